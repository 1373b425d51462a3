//! Batches of points that wait on disk.
//!
//! Owns their order, and the bound: past it the oldest are dropped, and counted. A batch is there whole
//! or not at all, whenever the machine ends.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sys::file::{read_capped, replace};

/// Bytes that all batches may have: some weeks of a node with a hundred containers.
const MAX_ALL: u64 = 64 << 20;

/// Bytes of one batch: what one request carries.
const MAX_BATCH: usize = 1 << 20;

/// The directory of the batches.
#[derive(Debug)]
pub(super) struct Spool {
    directory: PathBuf,
    most: u64,
    /// The number of the last batch. None is used again while this is open: whoever sends to a server of
    /// before may still be about to remove a batch by its number.
    last: AtomicU64,
}

/// What waits.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Waiting {
    /// The batches, oldest first, with their sizes.
    batches: Vec<(u64, u64)>,
}

impl Waiting {
    pub(super) fn oldest(&self) -> Option<u64> {
        self.batches.first().map(|(number, _)| *number)
    }

    fn newest(&self) -> u64 {
        self.batches.last().map_or(0, |(number, _)| *number)
    }

    pub(super) const fn count(&self) -> u64 {
        self.batches.len() as u64
    }
}

impl Spool {
    /// Takes a directory over, and makes it where it is not there.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(directory)?;
        let mut spool = Self {
            directory: directory.to_owned(),
            most: MAX_ALL,
            last: AtomicU64::new(0),
        };
        let waiting = spool.waiting()?;
        spool.last = AtomicU64::new(waiting.newest());
        Ok(spool)
    }

    /// Adds points, and says how many batches had to go for them.
    pub(super) fn push(&self, points: &[String]) -> io::Result<u64> {
        let mut batch = String::new();
        for point in points {
            if !batch.is_empty() && batch.len() + point.len() >= MAX_BATCH {
                self.add(&batch)?;
                batch.clear();
            }
            batch.push_str(point);
            batch.push('\n');
        }
        if !batch.is_empty() {
            self.add(&batch)?;
        }
        self.shrink()
    }

    fn add(&self, batch: &str) -> io::Result<()> {
        let number = self.last.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        replace(&self.path(number), batch.as_bytes(), 0o600)
    }

    /// Drops the oldest until the rest has room. The newest stays, whatever it has.
    fn shrink(&self) -> io::Result<u64> {
        let waiting = self.waiting()?;
        let mut all: u64 = waiting.batches.iter().map(|(_, size)| size).sum();
        let mut dropped = 0_u64;
        let but_newest = waiting
            .batches
            .split_last()
            .map_or(&[][..], |(_, rest)| rest);
        for (number, size) in but_newest {
            if all <= self.most {
                break;
            }
            self.remove(*number)?;
            all = all.saturating_sub(*size);
            dropped = dropped.saturating_add(1);
        }
        Ok(dropped)
    }

    /// What waits now.
    pub(super) fn waiting(&self) -> io::Result<Waiting> {
        let mut batches = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
            // A temporary of an interrupted write is none.
            if let Some(number) = number.and_then(|number| number.parse().ok()) {
                batches.push((number, entry.metadata()?.len()));
            }
        }
        batches.sort_unstable();
        Ok(Waiting { batches })
    }

    pub(super) fn read(&self, number: u64) -> io::Result<Vec<u8>> {
        // A single point is far below the batch's bound.
        read_capped(&self.path(number), 2 * MAX_BATCH as u64)
    }

    pub(super) fn remove(&self, number: u64) -> io::Result<()> {
        match std::fs::remove_file(self.path(number)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    fn path(&self, number: u64) -> PathBuf {
        self.directory.join(format!("{number:020}{SUFFIX}"))
    }
}

const SUFFIX: &str = ".lines";

#[cfg(test)]
mod tests {
    use super::Spool;

    #[test]
    fn batches_come_in_order_survive_and_the_oldest_make_room() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut spool = Spool::open(directory.path()).expect("it is made");
        spool.most = 30;
        for n in 0..3 {
            let point = [format!("point {n}")];
            assert_eq!(spool.push(&point).expect("it is written"), 0);
        }
        let spool = Spool {
            most: 30,
            ..Spool::open(directory.path()).expect("it is there")
        };
        let waiting = spool.waiting().expect("it is read");
        assert_eq!((waiting.count(), waiting.oldest()), (3, Some(1)));
        assert_eq!(spool.read(1).expect("it is read"), b"point 0\n");
        assert_eq!(spool.push(&["x".repeat(20)]).expect("written"), 2);
        let waiting = spool.waiting().expect("it is read");
        assert_eq!((waiting.count(), waiting.oldest()), (2, Some(3)));
        let older = spool;
        let spool = Spool::open(directory.path()).expect("it is there");
        for number in [3, 4, 4] {
            spool.remove(number).expect("it is gone");
        }
        assert_eq!(spool.waiting().expect("it is read").oldest(), None);
        // What an older sender removes late is not what was added meanwhile.
        assert_eq!(spool.push(&["y".to_owned()]).expect("written"), 0);
        older.remove(4).expect("it is gone");
        assert_eq!(spool.waiting().expect("it is read").oldest(), Some(5));
    }

    #[test]
    fn more_than_a_request_carries_is_several() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let spool = Spool::open(directory.path()).expect("it is made");
        let points = vec!["x".repeat(1000); 3000];
        spool.push(&points).expect("it is written");
        let waiting = spool.waiting().expect("it is read");
        assert_eq!(waiting.count(), 3);
        let read = (1..=3).map(|n| spool.read(n).expect("it is read").len());
        assert_eq!(read.sum::<usize>(), 3000 * 1001);
    }
}
