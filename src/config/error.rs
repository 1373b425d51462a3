//! Why there is no configuration.
//!
//! Owns the words for it, each with the file it is about.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::spelling::Unknown;

/// Why there is no configuration.
#[derive(Debug)]
pub enum ConfigError {
    /// A file cannot be read.
    Read(PathBuf, io::Error),
    /// A file is not the TOML that this version knows; the text has line and column.
    Parse(PathBuf, String),
    /// Keys that nothing reads, in the order of files and lines; never empty.
    Unknown(Vec<Unknown>),
    /// A setting has a value that cannot be.
    Value(String),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(path, error) => write!(f, "cannot read '{}': {error}", path.display()),
            Self::Parse(path, text) => write!(f, "in '{}': {}", path.display(), text.trim_end()),
            Self::Unknown(keys) => {
                let each: Vec<_> = keys.iter().map(ToString::to_string).collect();
                f.write_str(&each.join("; "))
            }
            Self::Value(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for ConfigError {}
