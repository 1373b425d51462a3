//! How much memory one input makes a parser hold.
//!
//! Owns the counting allocator. libFuzzer's own limit is on the whole process,
//! of which its corpus is the larger part; here one input is counted alone.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// The system's allocator, which refuses what a parser may not have.
pub struct Counting;

static WATCHED: AtomicBool = AtomicBool::new(false);
static HELD: AtomicUsize = AtomicUsize::new(0);
static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);

/// Runs `work`, which may hold `limit` bytes more than are held now.
///
/// # Panics
/// When it asks for more.
pub fn watched(limit: usize, work: impl FnOnce()) {
    HELD.store(0, Relaxed);
    LIMIT.store(limit, Relaxed);
    WATCHED.store(true, Relaxed);
    work();
    WATCHED.store(false, Relaxed);
}

fn grown(bytes: usize) {
    // A panic is told at length; that is not the parser's memory.
    if !WATCHED.load(Relaxed) || std::thread::panicking() {
        return;
    }
    let held = HELD.fetch_add(bytes, Relaxed).wrapping_add(bytes);
    let limit = LIMIT.load(Relaxed);
    // What was held before and is freed meanwhile makes the count wrap below zero: that is no growth.
    if held > limit && held < usize::MAX / 2 {
        WATCHED.store(false, Relaxed);
        panic!("one input holds {held} bytes, more than {limit}");
    }
}

fn shrunk(bytes: usize) {
    if WATCHED.load(Relaxed) {
        HELD.fetch_sub(bytes, Relaxed);
    }
}

// SAFETY: every call is handed to the system's allocator as it came; counting touches no memory of theirs.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        shrunk(layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size > layout.size() {
            grown(size - layout.size());
        } else {
            shrunk(layout.size() - size);
        }
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
