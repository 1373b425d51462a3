//! Why the gate could not be put in, or taken out.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why the gate could not be put in, or taken out.
#[derive(Debug)]
pub enum ConfigureError {
    /// The operating system said no.
    Io(PathBuf, io::Error),
    /// What stands there cannot be understood.
    Malformed(PathBuf, String),
    /// What stands there must not be wrapped or replaced; what to do instead.
    Unfit(String),
    /// Another program failed: what it said.
    Program(String),
}

impl ConfigureError {
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io(path, error)
    }
}

impl fmt::Display for ConfigureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, _) => write!(f, "'{}'", path.display()),
            Self::Malformed(path, why) => write!(f, "'{}': {why}", path.display()),
            Self::Unfit(text) | Self::Program(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for ConfigureError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(_, error) => Some(error),
            Self::Malformed(..) | Self::Unfit(_) | Self::Program(_) => None,
        }
    }
}
