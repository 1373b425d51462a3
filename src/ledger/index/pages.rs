//! The pages of a table in a file.
//!
//! Owns reading and writing them at their offsets. What they hold is
//! `allowlist::table`'s, and durability the caller's.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use crate::allowlist::build::PageSink;
use crate::allowlist::page::{self, Entry, PAGE_SIZE};
use crate::allowlist::table::{PageBytes, PageError, Pages};
use crate::sys::cores::on_all_cores;

/// Fewer pages than this are hashed by the thread that wants them.
const FEW: u64 = 256;

/// An open table file.
#[derive(Debug)]
pub(super) struct PageFile(pub(super) File);

impl Pages for PageFile {
    fn read_page(&self, offset: u64, page: &mut PageBytes) -> Result<(), PageError> {
        self.0
            .read_exact_at(page, offset)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => PageError::Truncated,
                _ => PageError::Failed(error.to_string()),
            })
    }
}

impl PageSink for PageFile {
    fn write_page(&mut self, offset: u64, page: &PageBytes) -> Result<(), PageError> {
        self.0
            .write_all_at(page, offset)
            .map_err(|error| PageError::Failed(error.to_string()))
    }

    fn entries(&self, offset: u64, count: u64) -> Result<Vec<Entry>, PageError> {
        on_all_cores(count, FEW, |part| {
            let start = offset + part.start * PAGE_SIZE as u64;
            page::entries(self, start, part.end - part.start)
        })
    }
}
