//! One change to the machine, and how it is made so that it can be made again.
//!
//! Owns the order of steps within a change: at every instant there is a runtime under its name, and
//! after a crash the same change, or its opposite, still goes through.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::edit::{Edit, absent, remove, temporary};
use super::error::ConfigureError;
use crate::sys::file;

/// One change to the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A directory that is not there is made.
    MakeDirectory(PathBuf),
    /// A directory that we made is removed, if nothing is in it.
    RemoveDirectory(PathBuf),
    /// A symlink is made, or made to lead elsewhere.
    Link {
        /// Where it is.
        path: PathBuf,
        /// What it leads to.
        to: PathBuf,
    },
    /// A symlink of ours is removed.
    Unlink(PathBuf),
    /// A settings file.
    Edit(Edit),
    /// A runtime makes way for us.
    Divert(Diversion),
    /// It comes back.
    Undivert(Diversion),
}

/// A runtime in whose place we stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diversion {
    /// Its name, where engines look for it.
    pub path: PathBuf,
    /// Where it is kept.
    pub real: PathBuf,
    /// What stands in its place: a symlink to this.
    pub program: PathBuf,
    /// The program of Debian's packages that is told, so that an upgrade goes to the other place.
    pub dpkg_divert: Option<PathBuf>,
}

/// Makes one change.
pub(super) fn carry_out(change: &Change) -> Result<(), ConfigureError> {
    match change {
        Change::MakeDirectory(path) => {
            let made = std::fs::create_dir(path).or_else(|error| match error.kind() {
                io::ErrorKind::AlreadyExists if path.is_dir() => Ok(()),
                _ => Err(error),
            });
            // Whatever mask this was called with: users' engines read there, and only root writes.
            made.and_then(|()| std::fs::set_permissions(path, Permissions::from_mode(0o755)))
                .map_err(ConfigureError::io(path))
        }
        Change::RemoveDirectory(path) => match std::fs::remove_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
            removed => absent(removed).map_err(ConfigureError::io(path)),
        },
        Change::Link { path, to } => link(path, to).map_err(ConfigureError::io(path)),
        Change::Unlink(path) => remove(path).map_err(ConfigureError::io(path)),
        Change::Edit(edit) => edit.carry_out(),
        Change::Divert(diversion) => diversion.divert(),
        Change::Undivert(diversion) => diversion.undivert(),
    }
}

impl Diversion {
    /// The real one gets its second name, then packages are told, then ours takes the first name.
    fn divert(&self) -> Result<(), ConfigureError> {
        if !leads_to_us(&self.path) {
            second_name(&self.path, &self.real).map_err(ConfigureError::io(&self.real))?;
        }
        self.register("--add")?;
        link(&self.path, &self.program).map_err(ConfigureError::io(&self.path))
    }

    /// The real one takes its name back, then packages are told, then the second name goes.
    fn undivert(&self) -> Result<(), ConfigureError> {
        if leads_to_us(&self.path) || !self.path.exists() {
            if self.real.exists() {
                second_name(&self.real, &self.path).map_err(ConfigureError::io(&self.path))?;
            } else {
                // A link to a gate without a runtime helps nobody, and is in a package's way.
                remove(&self.path).map_err(ConfigureError::io(&self.path))?;
            }
        }
        self.register("--remove")?;
        absent(std::fs::remove_file(temporary(&self.path)))
            .map_err(ConfigureError::io(&self.path))?;
        remove(&self.real).map_err(ConfigureError::io(&self.real))?;
        synced(&self.real).map_err(ConfigureError::io(&self.real))
    }

    fn register(&self, how: &str) -> Result<(), ConfigureError> {
        let Some(program) = &self.dpkg_divert else {
            return Ok(());
        };
        let line = [
            how,
            "--quiet",
            "--no-rename",
            "--package",
            "vcn-hook",
            "--divert",
        ];
        let output = Command::new(program)
            .args(line)
            .args([&self.real, &self.path])
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .output()
            .map_err(ConfigureError::io(program))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim().replace('\n', "; ");
        let text = format!("dpkg-divert {how} '{}' failed: {said}", self.path.display());
        Err(ConfigureError::Program(text))
    }
}

/// Whether a path is a symlink to this program, wherever an earlier version of it was.
pub(super) fn leads_to_us(path: &Path) -> bool {
    std::fs::read_link(path).is_ok_and(|to| to.file_name().is_some_and(|name| name == "vcn-hook"))
}

/// Gives the file at `from` the name `to` as well, in the place of whatever had that name.
fn second_name(from: &Path, to: &Path) -> io::Result<()> {
    let temporary = temporary(to);
    absent(std::fs::remove_file(&temporary))?;
    std::fs::hard_link(from, &temporary)?;
    std::fs::rename(&temporary, to)?;
    // Two names of one file stay two when the one is renamed to the other.
    absent(std::fs::remove_file(&temporary))?;
    synced(to)
}

fn link(path: &Path, to: &Path) -> io::Result<()> {
    let temporary = temporary(path);
    absent(std::fs::remove_file(&temporary))?;
    symlink(to, &temporary)?;
    std::fs::rename(&temporary, path)?;
    synced(path)
}

fn synced(path: &Path) -> io::Result<()> {
    file::sync_directory(path.parent().unwrap_or_else(|| Path::new("/")))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;
    use std::path::Path;

    use super::{Change, Diversion, carry_out, leads_to_us};

    fn diversion(folder: &Path) -> Diversion {
        fs::create_dir(folder.join("libexec")).unwrap();
        fs::write(folder.join("vcn-hook"), "us").unwrap();
        fs::write(folder.join("runc"), "real").unwrap();
        Diversion {
            path: folder.join("runc"),
            real: folder.join("libexec/runc"),
            program: folder.join("vcn-hook"),
            dpkg_divert: None,
        }
    }

    #[test]
    fn a_runtime_that_makes_way_comes_back_as_the_very_file() {
        let folder = tempfile::tempdir().unwrap();
        let diversion = diversion(folder.path());
        let inode = fs::metadata(&diversion.path).unwrap().ino();
        for _ in 0..2 {
            carry_out(&Change::Divert(diversion.clone())).unwrap();
            assert!(leads_to_us(&diversion.path));
            assert_eq!(fs::metadata(&diversion.real).unwrap().ino(), inode);
        }
        for _ in 0..2 {
            carry_out(&Change::Undivert(diversion.clone())).unwrap();
            let back = fs::symlink_metadata(&diversion.path).unwrap();
            assert_eq!((back.ino(), back.nlink()), (inode, 1));
            assert!(!diversion.real.exists());
        }
    }

    #[test]
    fn after_a_crash_between_two_names_both_ways_go_through() {
        for forward in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let diversion = diversion(folder.path());
            fs::hard_link(&diversion.path, &diversion.real).unwrap();
            let change = if forward {
                Change::Divert
            } else {
                Change::Undivert
            };
            carry_out(&change(diversion.clone())).unwrap();
            assert_eq!(leads_to_us(&diversion.path), forward);
            assert_eq!(diversion.real.exists(), forward);
            let names = fs::read_dir(folder.path()).unwrap().count();
            assert_eq!(names, 3, "no temporary name is left");
        }
    }
}
