//! The highest signed values that this node has seen.
//!
//! Owns the file `high-water`. It is root's, so that whoever runs `sync` cannot
//! put an old allowlist back; it holds signed values only, never the wall clock,
//! so that a wrong clock cannot lock a node out for good.

use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::allowlist::index_note::IndexNote;
use crate::sys::file;

use super::{Store, StoreError};

const VERSION: &str = "vcn-high-water/v1";
const MAX_SIZE: u64 = 4096;

/// The largest log size, note time and root version seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HighWater {
    /// Entries of the log that a note covered.
    pub log_size: u64,
    /// When a note was signed, by its own word.
    pub time: u64,
    /// The trust root that a note named.
    pub root_version: u64,
}

/// What is older than it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RolledBack {
    /// Which value: `log size`, `time` or `root version`.
    pub what: &'static str,
    /// What this node has seen.
    pub seen: u64,
    /// What the note says.
    pub found: u64,
}

/// Whether to wait for somebody else who changes the mark.
enum Wait {
    Yes,
    No,
}

impl HighWater {
    /// The mark that a note alone would set.
    #[must_use]
    pub const fn of(note: &IndexNote) -> Self {
        Self {
            log_size: note.log_size,
            time: note.time,
            root_version: note.root_version,
        }
    }

    /// Says what in `note` is older than this mark, if anything is.
    #[must_use]
    pub fn rolled_back(&self, note: &IndexNote) -> Option<RolledBack> {
        [
            ("log size", self.log_size, note.log_size),
            ("time", self.time, note.time),
            ("root version", self.root_version, note.root_version),
        ]
        .into_iter()
        .find(|(_, seen, found)| found < seen)
        .map(|(what, seen, found)| RolledBack { what, seen, found })
    }

    /// The higher of both, value by value.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            log_size: self.log_size.max(other.log_size),
            time: self.time.max(other.time),
            root_version: self.root_version.max(other.root_version),
        }
    }

    /// Parses the mark as [`HighWater::format`] writes it, and no other spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        if lines.next()? != VERSION {
            return None;
        }
        let mut value = |name: &str| lines.next()?.strip_prefix(name)?.parse().ok();
        let mark = Self {
            log_size: value("log ")?,
            time: value("time ")?,
            root_version: value("root ")?,
        };
        // One spelling, as everywhere: no sign, no leading zero, no line more.
        (mark.format() == text).then_some(mark)
    }

    /// The mark as it is kept on disk.
    #[must_use]
    pub fn format(&self) -> String {
        format!(
            "{VERSION}\nlog {}\ntime {}\nroot {}\n",
            self.log_size, self.time, self.root_version
        )
    }
}

impl Store {
    /// Reads the mark; all zero on a node that has none yet.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`], also when others than root could have changed it.
    pub fn high_water(&self) -> Result<HighWater, StoreError> {
        let path = self.high_water_path();
        let read = if self.roots {
            file::read_owned(&path, MAX_SIZE)
        } else {
            file::read_capped(&path, MAX_SIZE)
        };
        let unreadable = |why: String| StoreError::Unreadable {
            path: path.clone(),
            why,
        };
        match read {
            Ok(bytes) => std::str::from_utf8(&bytes)
                .ok()
                .and_then(HighWater::parse)
                .ok_or_else(|| unreadable("not a high-water mark".into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(HighWater::default()),
            Err(error) => Err(unreadable(error.to_string())),
        }
    }

    /// Checks that `note` is not older than this node has seen.
    ///
    /// # Errors
    /// [`StoreError::RolledBack`], or as [`Store::high_water`].
    pub fn check_high_water(&self, note: &IndexNote) -> Result<(), StoreError> {
        let rolled_back = self.high_water()?.rolled_back(note);
        rolled_back.map_or(Ok(()), |what| Err(StoreError::RolledBack(what)))
    }

    /// Raises the mark to what `note` says, and never lowers it. The note must be verified.
    ///
    /// # Errors
    /// As [`Store::high_water`], and [`StoreError::Unwritable`].
    pub fn advance_high_water(&self, note: &IndexNote) -> Result<HighWater, StoreError> {
        self.change_high_water(Wait::Yes, |mark| mark.max(HighWater::of(note)))
    }

    /// As [`Store::advance_high_water`], but gives up at once when somebody else is at it: for starts.
    ///
    /// # Errors
    /// As [`Store::advance_high_water`], also when the mark is being changed.
    pub fn try_advance_high_water(&self, note: &IndexNote) -> Result<HighWater, StoreError> {
        self.change_high_water(Wait::No, |mark| mark.max(HighWater::of(note)))
    }

    /// Sets the mark, down as well: only for a trust root that drops the indexer that raised it.
    ///
    /// # Errors
    /// As [`Store::advance_high_water`].
    pub fn reset_high_water(&self, mark: HighWater) -> Result<HighWater, StoreError> {
        self.change_high_water(Wait::Yes, |_| mark)
    }

    fn change_high_water(
        &self,
        wait: Wait,
        change: impl FnOnce(HighWater) -> HighWater,
    ) -> Result<HighWater, StoreError> {
        let path = self.high_water_path();
        let unwritable = |error: io::Error| StoreError::Unwritable {
            path: path.clone(),
            why: error.to_string(),
        };
        // Two that raise it at once must not undo each other; held until the end of this function.
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
            .open(lock_beside(&path))
            .map_err(unwritable)?;
        match wait {
            Wait::Yes => lock.lock(),
            Wait::No => lock.try_lock().map_err(io::Error::from),
        }
        .map_err(unwritable)?;
        let old = self.high_water()?;
        let new = change(old);
        if new != old {
            file::replace(&path, new.format().as_bytes(), 0o644).map_err(unwritable)?;
        }
        Ok(new)
    }

    fn high_water_path(&self) -> PathBuf {
        self.state.join("high-water")
    }
}

fn lock_beside(path: &Path) -> PathBuf {
    path.with_extension("lock")
}

impl fmt::Display for RolledBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the allowlist is older than one seen before: {} {} after {}",
            self.what, self.found, self.seen
        )
    }
}

#[cfg(test)]
mod tests {
    use super::HighWater;

    #[test]
    fn a_mark_has_one_spelling() {
        let mark = HighWater {
            log_size: 7,
            time: 1_790_000_000,
            root_version: 2,
        };
        let text = "vcn-high-water/v1\nlog 7\ntime 1790000000\nroot 2\n";
        assert_eq!(mark.format(), text);
        assert_eq!(HighWater::parse(text), Some(mark));
        for other in [
            "",
            "vcn-high-water/v2\nlog 7\ntime 1790000000\nroot 2\n",
            "vcn-high-water/v1\nlog 07\ntime 1790000000\nroot 2\n",
            "vcn-high-water/v1\nlog +7\ntime 1790000000\nroot 2\n",
            "vcn-high-water/v1\nlog 7\ntime 1790000000\nroot 2",
            "vcn-high-water/v1\nlog 7\ntime 1790000000\nroot 2\n\n",
            "vcn-high-water/v1\nlog 7\nroot 2\ntime 1790000000\n",
        ] {
            assert_eq!(HighWater::parse(other), None, "{other:?}");
        }
    }
}
