//! A settings file of an engine's: read with care, replaced in one step, and put back as the very same file.
//!
//! Owns how a file is kept beside its replacement: as a hard link, so that what comes back is not a
//! copy but the file itself, with its times, owner and attributes. What is in the files is each engine's.

use std::ffi::OsString;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use super::error::ConfigureError;
use super::record::Written;
use crate::image::digest::Digest;
use crate::sys::file;

/// What a file that was replaced is called until it is put back, behind its own name. Engines read
/// names that end otherwise.
pub const SAVED: &str = ".before-vcn-hook";

/// A settings file is written by people.
pub(super) const MAX_SETTINGS: u64 = 4 << 20;

/// One file before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The file.
    pub path: PathBuf,
    /// What is in it now; `None` if it is not there.
    pub old: Option<Vec<u8>>,
    /// What will be in it; `None` to remove it.
    pub new: Option<Vec<u8>>,
    /// What becomes of the file that was there before us.
    pub before: Before,
}

/// What becomes of the file that was there before us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Before {
    /// It is kept beside the new one.
    Keep,
    /// Something like it is made and kept: our part was in it already.
    Make(Vec<u8>),
    /// It comes back.
    Return,
    /// It is no longer wanted, or was never there.
    Drop,
    /// It stays where it is kept.
    Stay,
}

impl Edit {
    /// Writes, or removes, or puts back. Done once more it changes nothing.
    pub(super) fn carry_out(&self) -> Result<(), ConfigureError> {
        let keeps = matches!(self.before, Before::Keep | Before::Make(_));
        if keeps && file::read_capped(&self.path, MAX_SETTINGS).ok() != self.old {
            // Another one was at it; what it kept as the file before us must not be replaced by its own.
            let why = "it was changed meanwhile: try again".to_owned();
            return Err(ConfigureError::Malformed(self.path.clone(), why));
        }
        self.steps().map_err(ConfigureError::io(&self.path))
    }

    fn steps(&self) -> io::Result<()> {
        let directory = self.path.parent().unwrap_or_else(|| Path::new("/"));
        let saved = saved(&self.path);
        match &self.before {
            Before::Keep => {
                absent(std::fs::remove_file(&saved))?;
                if self.old.is_some() {
                    std::fs::hard_link(&self.path, &saved)?;
                }
            }
            Before::Make(bytes) => write(&saved, bytes, &self.path)?,
            Before::Return => {
                std::fs::rename(&saved, &self.path)?;
                absent(std::fs::remove_file(temporary(&self.path)))?;
                return file::sync_directory(directory);
            }
            Before::Drop | Before::Stay => {}
        }
        match &self.new {
            Some(bytes) => write(&self.path, bytes, &self.path)?,
            None => remove(&self.path)?,
        }
        if self.before == Before::Drop {
            absent(std::fs::remove_file(&saved))?;
        }
        file::sync_directory(directory)
    }

    /// The edit that undoes what we wrote: the file as it was if it is as we left it, else the file
    /// that is there without what is `ours`. `None` if nothing of ours is in it; the flag says whether it was changed.
    pub(super) fn undoing(
        path: &Path,
        written: Option<&Written>,
        wrote: impl FnOnce(Option<&[u8]>) -> Vec<Vec<u8>>,
        without: impl FnOnce(&[u8], Option<&[u8]>) -> Result<Option<Vec<u8>>, String>,
    ) -> Result<Option<(Self, bool)>, ConfigureError> {
        let before = read(&saved(path))?;
        let edit = |old, new, before| {
            let path = path.to_owned();
            let edit = Self {
                path,
                old,
                new,
                before,
            };
            Ok(Some((edit, false)))
        };
        let Some(old) = read(path)? else {
            // Whoever removed it wants it gone.
            return match before {
                Some(_) => edit(None, None, Before::Drop),
                None => Ok(None),
            };
        };
        let is_ours = written.is_some_and(|written| written.sha256 == Digest::of(&old))
            || wrote(before.as_deref()).contains(&old);
        if is_ours {
            let how = before.as_ref().map_or(Before::Drop, |_| Before::Return);
            return edit(Some(old), before, how);
        }
        let malformed = |why| ConfigureError::Malformed(path.to_owned(), why);
        let new = without(&old, before.as_deref()).map_err(malformed)?;
        if new.as_ref() == Some(&old) && before.is_none() {
            return Ok(None);
        }
        let edited = edit(Some(old), new, Before::Drop)?;
        Ok(edited.map(|(edit, _)| (edit, true)))
    }
}

/// Where the file that was there before us is kept.
pub(super) fn saved(path: &Path) -> PathBuf {
    let mut name = path.file_name().map_or_else(OsString::new, OsString::from);
    name.push(SAVED);
    path.with_file_name(name)
}

/// The name under which something for `path` is made. Always the same, so that nothing is left of a
/// crash when it is done again; whoever configures is alone.
pub(super) fn temporary(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".vcn-hook");
    path.with_file_name(name)
}

/// Reads a file that only root can have written; `None` if it is not there.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, ConfigureError> {
    match file::read_owned(path, MAX_SETTINGS) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if path.is_symlink() => {
            let text = "it is a symlink, which this does not replace: edit what it leads to by hand, or use \
             '--runtime system'";
            let kind = error.kind();
            Err(ConfigureError::Io(
                path.to_owned(),
                io::Error::new(kind, text),
            ))
        }
        Err(error) => Err(ConfigureError::Io(path.to_owned(), error)),
    }
}

/// Replaces a file with mode and group of the one at `like`, or makes one that everybody may read.
fn write(path: &Path, bytes: &[u8], like: &Path) -> io::Result<()> {
    let temporary = temporary(path);
    absent(std::fs::remove_file(&temporary))?;
    file::write_new(&temporary, bytes, 0o600)?;
    let (mode, group) = match std::fs::symlink_metadata(like) {
        Ok(metadata) => (metadata.mode(), Some(metadata.gid())),
        Err(_) => (0o644, None),
    };
    let written = chown(&temporary, None, group)
        .and_then(|()| std::fs::set_permissions(&temporary, Permissions::from_mode(mode & 0o7777)))
        .and_then(|()| std::fs::rename(&temporary, path));
    // Best effort: the error that matters is the first one.
    written.inspect_err(|_| drop(std::fs::remove_file(&temporary)))
}

/// Removes a file of ours, and what a crash may have left of its making.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    absent(std::fs::remove_file(temporary(path)))?;
    absent(std::fs::remove_file(path))
}

/// What is not there need not be removed.
pub(super) fn absent(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
    use std::path::Path;

    use super::{Before, Edit, saved};
    use crate::sys::file::read_capped;

    fn bytes(path: &Path) -> Vec<u8> {
        read_capped(path, 100).unwrap()
    }

    #[test]
    fn what_comes_back_is_the_very_file_that_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("daemon.json");
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        let before = std::fs::metadata(&path).unwrap();
        let edit = Edit {
            path: path.clone(),
            old: Some(b"old".to_vec()),
            new: Some(b"new".to_vec()),
            before: Before::Keep,
        };
        edit.carry_out().unwrap();
        let now = std::fs::metadata(&path).unwrap();
        assert_eq!((bytes(&path), now.mode()), (b"new".to_vec(), before.mode()));
        let undo = Edit {
            path: path.clone(),
            old: edit.new.clone(),
            new: edit.old.clone(),
            before: Before::Return,
        };
        undo.carry_out().unwrap();
        let after = std::fs::metadata(&path).unwrap();
        let seen =
            |m: &std::fs::Metadata| (m.ino(), m.mtime(), m.mtime_nsec(), m.mode(), m.nlink());
        assert_eq!(seen(&after), seen(&before));
        assert!(!saved(&path).exists());
    }

    #[test]
    fn a_file_that_was_not_there_is_removed_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.conf");
        let mut edit = Edit {
            path: path.clone(),
            old: None,
            new: Some(b"new".to_vec()),
            before: Before::Keep,
        };
        edit.carry_out().unwrap();
        assert_eq!(bytes(&path), b"new");
        edit.carry_out()
            .expect_err("who planned it saw no file, and now there is one");
        std::mem::swap(&mut edit.old, &mut edit.new);
        edit.before = Before::Drop;
        for _ in 0..2 {
            edit.carry_out().unwrap();
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
