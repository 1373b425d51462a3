//! Memory for a process that lives for a millisecond.
//!
//! Owns one fixed block from which memory is handed out and never taken back;
//! what does not fit comes from the system's allocator. A start needs less
//! than the block, and giving pages back to the kernel one by one was a third
//! of its time. A process that lives on loses the block and nothing else.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// More than any start was seen to need. Pages that are never touched cost nothing.
const SIZE: usize = 1 << 20;

/// Requests beyond this go to the system, so that one large file cannot use the block up.
const LARGEST: usize = SIZE / 4;

/// What a start of a container with ten layers uses.
const PREPARED: usize = 128 << 10;

const PAGE_SIZE: usize = 4096;

/// The block. Aligned as strictly as anything small asks for.
#[repr(align(64))]
struct Block(UnsafeCell<[u8; SIZE]>);

/// The allocator of this program.
#[derive(Debug)]
pub struct Arena {
    used: AtomicUsize,
}

// SAFETY: the bytes are only reached through pointers that `take` hands out, each range once.
unsafe impl Sync for Block {}

static BLOCK: Block = Block(UnsafeCell::new([0; SIZE]));

impl Arena {
    /// An allocator of which nothing is used yet. There must be one only.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "it is a static, and the only one"
    )]
    pub const fn new() -> Self {
        Self {
            used: AtomicUsize::new(0),
        }
    }

    /// Has the kernel put pages under the first part of the block, all at once: for a process that is
    /// known to be short and to need them. One fault for each page costs several times as much.
    pub fn prepare(&self) {
        let start = BLOCK.0.get() as usize;
        let start = start - start % PAGE_SIZE;
        // Best effort: a kernel before 5.14 does not know it, and the pages come one by one.
        // SAFETY: the range is part of `BLOCK`, but for what its first page holds before it, which
        // is this program's writable data; populating changes no byte.
        let _ = unsafe {
            libc::madvise(
                start as *mut libc::c_void,
                PREPARED,
                libc::MADV_POPULATE_WRITE,
            )
        };
    }

    /// Takes room from the block. `None` when it does not fit.
    fn take(&self, layout: Layout) -> Option<*mut u8> {
        if layout.size() > LARGEST || layout.align() > 64 {
            return None;
        }
        let mut used = self.used.load(Ordering::Relaxed);
        loop {
            let start = used.checked_next_multiple_of(layout.align())?;
            let end = start
                .checked_add(layout.size())
                .filter(|end| *end <= SIZE)?;
            match self
                .used
                .compare_exchange_weak(used, end, Ordering::Relaxed, Ordering::Relaxed)
            {
                // In bounds: `start <= end <= SIZE`.
                Ok(_) => return Some(BLOCK.0.get().cast::<u8>().wrapping_add(start)),
                Err(now) => used = now,
            }
        }
    }

    /// Where in the block `pointer` is. `None` when it is the system's.
    fn place(pointer: *mut u8) -> Option<usize> {
        let start = BLOCK.0.get() as usize;
        (pointer as usize)
            .checked_sub(start)
            .filter(|place| *place < SIZE)
    }

    /// Moves the end of the block's used part, if `end` is still where it is.
    fn move_end(&self, end: usize, to: usize) -> bool {
        let moved = self
            .used
            .compare_exchange(end, to, Ordering::Relaxed, Ordering::Relaxed);
        to <= SIZE && moved.is_ok()
    }
}

// SAFETY: a range of the block is handed out once, aligned and as long as asked for; it is reused
// only after it was given back while it was the last one. Everything else is the system's.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match self.take(layout) {
            Some(pointer) => pointer,
            // SAFETY: the caller's promise about `layout` is passed on.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        match Self::place(pointer) {
            Some(place) => {
                // The last one can be handed out again; the others wait for the process to end.
                self.move_end(place + layout.size(), place);
            }
            // SAFETY: it is not the block's, so it came from the system with this layout.
            None => unsafe { System.dealloc(pointer, layout) },
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(place) = Self::place(pointer) else {
            // SAFETY: it is not the block's, so it came from the system with this layout.
            return unsafe { System.realloc(pointer, layout, size) };
        };
        if size <= layout.size() {
            return pointer;
        }
        if size <= LARGEST
            && place + size <= SIZE
            && self.move_end(place + layout.size(), place + size)
        {
            return pointer;
        }
        let Ok(larger) = Layout::from_size_align(size, layout.align()) else {
            return std::ptr::null_mut();
        };
        // SAFETY: `size` is not 0, since it is more than another.
        let moved = unsafe { self.alloc(larger) };
        if !moved.is_null() {
            // SAFETY: both are live, at least `layout.size()` long, and distinct allocations.
            unsafe { std::ptr::copy_nonoverlapping(pointer, moved, layout.size()) };
        }
        moved
    }
}
