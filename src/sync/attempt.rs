//! How the last sync ended, for whoever looks after it.
//!
//! Owns one small file in the node's copy of the log. Whoever runs sync can write it, so it is shown
//! and believed in nothing.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::sys::file::{read_capped, replace_volatile};

/// Room for one message.
const MAX_SIZE: u64 = 64 << 10;

/// One attempt to follow the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it ended, in Unix seconds.
    pub time: u64,
    /// What kept it from its end; `None` where nothing did.
    pub error: Option<String>,
}

impl Attempt {
    /// Reads how the last one ended. `None` when there was none, or the file is not one of ours.
    ///
    /// # Errors
    /// The operating system's.
    pub fn last(state_dir: &Path) -> io::Result<Option<Self>> {
        match read_capped(&path(state_dir), MAX_SIZE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => Ok(serde_json::from_slice(&read?).ok()),
        }
    }

    /// Remembers this one.
    ///
    /// # Errors
    /// The operating system's.
    pub fn remember(&self, state_dir: &Path) -> io::Result<()> {
        replace_volatile(&path(state_dir), &serde_json::to_vec(self)?, 0o644)
    }
}

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("log/attempt.json")
}

#[cfg(test)]
mod tests {
    use super::Attempt;

    #[test]
    fn remembers_how_the_last_one_ended() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let last = || Attempt::last(folder.path()).expect("readable");
        assert_eq!(last(), None);
        std::fs::create_dir(folder.path().join("log")).expect("made");
        for error in [Some("unreachable".to_owned()), None] {
            let attempt = Attempt { time: 7, error };
            attempt.remember(folder.path()).expect("written");
            assert_eq!(last(), Some(attempt));
        }
        std::fs::write(folder.path().join("log/attempt.json"), "{").expect("written");
        assert_eq!(last(), None);
    }
}
