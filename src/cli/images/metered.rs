//! A reader that counts, tells of its progress, and stops at a bound.

use std::cell::Cell;
use std::io::{self, Read};

/// Bytes between two reports.
const STEP: u64 = 4 << 20;

/// What one or more readers share: how much was read, and how much still may be.
pub(super) struct Meter<'a> {
    read: Cell<u64>,
    reported: Cell<u64>,
    left: Cell<u64>,
    expected: Option<u64>,
    progress: &'a dyn Fn(u64, Option<u64>),
}

/// A reader on a meter.
pub(super) struct Metered<'a, R> {
    inner: R,
    meter: &'a Meter<'a>,
}

impl<'a> Meter<'a> {
    pub(super) fn new(expected: Option<u64>, progress: &'a dyn Fn(u64, Option<u64>)) -> Self {
        Self {
            read: Cell::new(0),
            reported: Cell::new(0),
            left: Cell::new(u64::MAX),
            expected,
            progress,
        }
    }

    /// Bytes read so far.
    pub(super) fn total(&self) -> u64 {
        self.read.get()
    }

    /// From now on, an error follows after so many bytes.
    pub(super) fn allow(&self, bytes: u64) {
        self.left.set(bytes);
    }

    fn count(&self, bytes: u64) {
        let read = self.read.get().saturating_add(bytes);
        self.read.set(read);
        self.left.set(self.left.get().saturating_sub(bytes));
        if read - self.reported.get() >= STEP {
            self.reported.set(read);
            (self.progress)(read, self.expected);
        }
    }
}

impl<'a, R> Metered<'a, R> {
    pub(super) fn new(inner: R, meter: &'a Meter<'a>) -> Self {
        Self { inner, meter }
    }
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.meter.left.get()).unwrap_or(usize::MAX);
        if left == 0 {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "a header is longer than any that Docker writes",
            ));
        }
        let length = buffer.len().min(left);
        let count = self
            .inner
            .read(buffer.get_mut(..length).unwrap_or_default())?;
        self.meter.count(count as u64);
        Ok(count)
    }
}
