//! What was done to this machine, so that it can be undone.
//!
//! Owns the files below `/var/lib/vcn-hook/configured`, one for each way in, written before
//! anything is done. They are a help and no more: without them, undoing goes by
//! what is recognisably ours, and only directories that we made are left behind.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::change::{Change, Diversion};
use super::edit::absent;
use super::error::ConfigureError;
use super::places::Places;
use super::{Plan, Target};
use crate::image::digest::Digest;
use crate::sys::file;

const SCHEMA: &str = "vcn-hook/configured/v1";

/// A record names a handful of files.
const MAX_RECORD: u64 = 1 << 20;

/// What was done for one way in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    schema: String,
    target: Target,
    version: String,
    /// Unix seconds: since when it is on.
    pub since: u64,
    #[serde(default)]
    pub files: Vec<Written>,
    #[serde(default)]
    pub diversions: Vec<Diversion>,
    #[serde(default)]
    links: Vec<PathBuf>,
    #[serde(default)]
    directories: Vec<PathBuf>,
}

/// A file that we wrote, and what we wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Written {
    pub path: PathBuf,
    pub sha256: Digest,
}

impl Record {
    /// What a plan is going to do, and what was done before.
    pub(super) fn of(plan: &Plan, before: Option<&Self>, now: u64) -> Self {
        let mut record = before.cloned().unwrap_or_else(|| Self {
            schema: SCHEMA.to_owned(),
            target: plan.target,
            version: String::new(),
            since: now,
            files: Vec::new(),
            diversions: Vec::new(),
            links: Vec::new(),
            directories: Vec::new(),
        });
        env!("CARGO_PKG_VERSION").clone_into(&mut record.version);
        if !record.is_on() {
            record.since = now;
        }
        for change in &plan.changes {
            match change {
                Change::MakeDirectory(path) => add(&mut record.directories, path.clone()),
                Change::Link { path, .. } => add(&mut record.links, path.clone()),
                Change::Edit(edit) => {
                    record.files.retain(|written| written.path != edit.path);
                    record.files.extend(edit.new.as_deref().map(|new| Written {
                        path: edit.path.clone(),
                        sha256: Digest::of(new),
                    }));
                }
                Change::Divert(diversion) => {
                    record.diversions.retain(|old| old.path != diversion.path);
                    record.diversions.push(diversion.clone());
                }
                Change::RemoveDirectory(_) | Change::Unlink(_) | Change::Undivert(_) => {}
            }
        }
        record
    }

    /// Reads the record of one way in. One that cannot be read is as good as none.
    pub(super) fn read(places: &Places, target: Target) -> Option<Self> {
        let bytes = file::read_owned(&path(places, target), MAX_RECORD).ok()?;
        let record: Self = serde_json::from_slice(&bytes).ok()?;
        (record.schema == SCHEMA && record.target == target).then_some(record)
    }

    pub(super) fn write(&self, places: &Places) -> Result<(), ConfigureError> {
        let path = path(places, self.target);
        let written = serde_json::to_vec_pretty(self)
            .map_err(std::io::Error::from)
            .and_then(|bytes| file::replace(&path, &bytes, 0o644));
        written.map_err(ConfigureError::io(&path))
    }

    pub(super) fn written(&self, path: &Path) -> Option<&Written> {
        self.files.iter().find(|written| written.path == path)
    }

    /// What is to be removed at last: links that nobody else's settings lead to, and empty directories.
    pub(super) fn leftovers(&self, places: &Places) -> Vec<Change> {
        let is_shared = self.target != Target::System
            && self
                .others(places)
                .any(|other| other.target != Target::System);
        let links = self
            .links
            .iter()
            .filter(|link| !is_shared && link.is_symlink());
        let mut directories: Vec<_> = self
            .directories
            .iter()
            .filter(|path| path.is_dir())
            .collect();
        directories.sort_by_key(|path| std::cmp::Reverse(path.components().count()));
        let links = links.cloned().map(Change::Unlink);
        let directories = directories
            .into_iter()
            .cloned()
            .map(Change::RemoveDirectory);
        links.chain(directories).collect()
    }

    /// Whether something is on by it. What is left of one is links that something still calls.
    pub(super) fn is_on(&self) -> bool {
        !self.files.is_empty() || !self.diversions.is_empty()
    }

    /// Forgets everything but links, and the directories they are in.
    pub(super) fn keep_links(places: &Places, target: Target) -> Result<(), ConfigureError> {
        let Some(mut record) = Self::read(places, target) else {
            return Ok(());
        };
        record.files.clear();
        record.diversions.clear();
        record.write(places)
    }

    fn others<'a>(&'a self, places: &'a Places) -> impl Iterator<Item = Self> + 'a {
        let others = Target::ALL
            .into_iter()
            .filter(|target| *target != self.target);
        others.filter_map(|target| Self::read(places, target))
    }

    /// Forgets what was undone. What others still need is from now on theirs to remove.
    pub(super) fn forget(places: &Places, target: Target) -> Result<(), ConfigureError> {
        let path = path(places, target);
        if let Some(record) = Self::read(places, target)
            && let Some(mut heir) = record.others(places).next()
        {
            let links = record.links.iter().filter(|link| link.is_symlink());
            links.for_each(|link| add(&mut heir.links, link.clone()));
            let directories = record.directories.iter().filter(|path| path.is_dir());
            directories.for_each(|directory| add(&mut heir.directories, directory.clone()));
            heir.write(places)?;
        }
        absent(std::fs::remove_file(&path)).map_err(ConfigureError::io(&path))?;
        // It stays as long as another way in is on record.
        let _ = std::fs::remove_dir(&places.records);
        Ok(())
    }
}

fn add(list: &mut Vec<PathBuf>, path: PathBuf) {
    if !list.contains(&path) {
        list.push(path);
    }
}

fn path(places: &Places, target: Target) -> PathBuf {
    places.records.join(format!("{target}.json"))
}

/// Waits until nobody else configures this machine.
pub(super) fn lock(places: &Places) -> Result<File, ConfigureError> {
    let path = &places.records;
    let locked = DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
        .and_then(|()| File::open(path))
        .and_then(|directory| directory.lock().map(|()| directory));
    locked.map_err(ConfigureError::io(path))
}
