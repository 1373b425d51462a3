//! The folder in which a publisher's keys lie.

use std::io;
use std::path::{Path, PathBuf};

use super::{KeyError, public_path, read_public};
use crate::allowlist::note::VerifierKey;

/// The name of the key that is taken when none is named.
pub const DEFAULT_KEY: &str = "default";

/// A folder of key files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFolder(PathBuf);

/// A key of the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedKey {
    /// Its private half's file.
    pub path: PathBuf,
    /// Its public half.
    pub public: VerifierKey,
}

impl KeyFolder {
    /// Takes this folder.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The caller's folder: `$XDG_CONFIG_HOME/vcn-hook/keys`, or `.config` in `$HOME`.
    ///
    /// # Errors
    /// [`KeyError::NoFolder`] when neither is set to an absolute path.
    pub fn of_user() -> Result<Self, KeyError> {
        let absolute = |name| {
            let path = PathBuf::from(std::env::var_os(name)?);
            path.is_absolute().then_some(path)
        };
        let config = absolute("XDG_CONFIG_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".config")))
            .ok_or(KeyError::NoFolder)?;
        Ok(Self(config.join("vcn-hook/keys")))
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where the key of this file name is.
    #[must_use]
    pub fn key(&self, file_name: &str) -> PathBuf {
        self.0.join(file_name)
    }

    /// Finds the file that a person means: a bare name is first a key of the folder.
    #[must_use]
    pub fn find(&self, path: &Path) -> PathBuf {
        let bare = path.components().count() == 1 && path.is_relative();
        let inside = self.0.join(path);
        // Where there is neither, the error should name the folder.
        if bare && (inside.exists() || !path.exists()) {
            inside
        } else {
            path.to_owned()
        }
    }

    /// The keys that have a readable public half, by path.
    ///
    /// # Errors
    /// [`KeyError::Read`] when the folder cannot be read; one that does not exist has no keys.
    pub fn list(&self) -> Result<Vec<ListedKey>, KeyError> {
        let read = |error| KeyError::Read(self.0.clone(), error);
        let entries = match std::fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(read)?,
        };
        let mut keys = Vec::new();
        for entry in entries {
            let path = entry.map_err(read)?.path();
            if !public_path(&path).is_file() {
                continue;
            }
            // Files of other kinds may lie there; a broken one is reported when it is used.
            if let Ok(public) = read_public(&public_path(&path)) {
                keys.push(ListedKey { path, public });
            }
        }
        keys.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(keys)
    }
}
