//! In the place of `runc` and `crun` themselves: whoever starts a container by these names comes past the gate.
//!
//! Owns which programs make way and where they go. What of them is looked for is what engines look
//! for: the names, in the directories of their `PATH`.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::change::{Change, Diversion, leads_to_us};
use super::error::ConfigureError;
use super::links;
use super::places::Places;
use super::record::Record;
use super::{Note, Plan, Target};
use crate::engine::RuntimeKind;

/// What is put behind the name of a runtime that stays in its directory, as Debian does.
const ASIDE: &str = ".distrib";

/// As many symlinks as the kernel follows.
const MAX_LINKS: usize = 40;

/// One runtime under its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Site {
    pub kind: RuntimeKind,
    pub diversion: Diversion,
    pub standing: Standing,
    /// Whether the gate runs this one.
    pub serves: bool,
}

/// What stands under a runtime's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// The runtime.
    Plain,
    /// The runtime, which has its second name already.
    Half,
    /// We, and the runtime is kept.
    Ours,
    /// We, and there is no runtime.
    Lost,
    /// Another program, and the runtime that we once replaced is kept still.
    Overwritten,
}

/// Plans what puts us in their place.
pub(super) fn plan(places: &Places) -> Result<Plan, ConfigureError> {
    let Found { sites, unfit } = sites(places);
    if let Some(text) = unfit.into_iter().next() {
        return Err(ConfigureError::Unfit(text));
    }
    if sites.is_empty() {
        let text = "there is neither runc nor crun in the directories where engines look for them";
        return Err(ConfigureError::Unfit(text.to_owned()));
    }
    let mut changes = Vec::new();
    let mut notes = Vec::new();
    for site in &sites {
        let Diversion { path, real, .. } = &site.diversion;
        let kept = places.real(site.kind);
        match site.standing {
            Standing::Ours => {}
            Standing::Lost => {
                let text = format!(
                    "the real {0} is gone, '{1}' leads to vcn-hook and '{2}' is not there: install {0} \
             anew, then try again",
                    site.kind.as_str(),
                    path.display(),
                    real.display()
                );
                return Err(ConfigureError::Unfit(text));
            }
            Standing::Plain | Standing::Half | Standing::Overwritten => {
                if *real == kept {
                    changes.extend(links::directories(&places.libexec));
                }
                changes.push(Change::Divert(site.diversion.clone()));
                if site.diversion.dpkg_divert.is_none() && !is_local(path) {
                    notes.push(Note::Unregistered);
                }
            }
        }
        if !site.serves {
            notes.push(Note::Shadowed(path.clone(), kept));
        } else if *real != kept && std::fs::read_link(&kept).ok().as_ref() != Some(real) {
            // The gate looks in one place; a file cannot be moved there from another file system.
            changes.extend(links::directories(&places.libexec));
            let (path, to) = (kept, real.clone());
            changes.push(Change::Link { path, to });
        }
    }
    // The link to the real one comes before ours, or a start in between would find none.
    changes.sort_by_key(|change| matches!(change, Change::Divert(_)));
    notes.dedup();
    Ok(Plan {
        target: Target::System,
        puts_in: true,
        changes,
        notes,
    })
}

/// Plans what gives the runtimes their names back.
pub(super) fn plan_undo(places: &Places, record: Option<&Record>) -> Plan {
    let mut changes = Vec::new();
    let mut notes = Vec::new();
    let mut sites = sites(places).sites;
    // A name that is not there any more is not found by looking.
    for diversion in record.into_iter().flat_map(|record| &record.diversions) {
        if !sites
            .iter()
            .any(|site| site.diversion.path == diversion.path)
        {
            sites.extend(Site::recorded(diversion));
        }
    }
    for site in sites {
        let Diversion { path, real, .. } = &site.diversion;
        match site.standing {
            Standing::Plain => continue,
            Standing::Lost => notes.push(Note::Lost(path.clone())),
            Standing::Overwritten => notes.push(Note::Replaced(path.clone())),
            Standing::Ours | Standing::Half => {}
        }
        let kept = places.real(site.kind);
        let is_link = *real != kept && std::fs::read_link(&kept).is_ok_and(|to| to == *real);
        changes.push(Change::Undivert(site.diversion));
        changes.extend(is_link.then_some(Change::Unlink(kept)));
    }
    Plan {
        target: Target::System,
        puts_in: false,
        changes,
        notes,
    }
}

/// What is there of runtimes.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Each once, those first that engines find first.
    pub sites: Vec<Site>,
    /// Why others cannot make way.
    pub unfit: Vec<String>,
}

/// Looks for every runtime of the machine.
pub(super) fn sites(places: &Places) -> Found {
    let mut sites = Vec::new();
    let mut unfit = Vec::new();
    for kind in [RuntimeKind::Runc, RuntimeKind::Crun] {
        let mut paths: Vec<PathBuf> = Vec::new();
        for directory in &places.path {
            match last_name(&directory.join(kind.as_str()), places) {
                Some(Ok(path)) if !paths.contains(&path) => paths.push(path),
                Some(Err(text)) => unfit.push(text),
                Some(Ok(_)) | None => {}
            }
        }
        let kept = places.real(kind);
        let serving = serving(&paths, &kept);
        for (at, path) in paths.into_iter().enumerate() {
            let serves = serving == Some(at);
            let moves = serves && !kept.is_symlink() && on_one_file_system(&path, &places.libexec);
            let diversion = Diversion {
                real: if moves { kept.clone() } else { aside(&path) },
                program: places.program.clone(),
                dpkg_divert: places.dpkg_divert.clone().filter(|_| !is_local(&path)),
                path,
            };
            sites.push(Site {
                kind,
                standing: diversion.standing(),
                diversion,
                serves,
            });
        }
    }
    Found { sites, unfit }
}

/// Which of them the gate runs. Whoever was there first stays, even if engines would find another one now.
fn serving(paths: &[PathBuf], kept: &Path) -> Option<usize> {
    let there = match std::fs::read_link(kept) {
        Ok(to) => paths.iter().position(|path| aside(path) == to),
        Err(_) if !kept.exists() => None,
        Err(_) => paths
            .iter()
            .position(|path| !aside(path).exists() && (leads_to_us(path) || is_same(path, kept))),
    };
    there.or_else(|| paths.iter().position(|path| !aside(path).exists()))
}

/// Where a runtime is kept that cannot be moved to the one place.
fn aside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(ASIDE);
    path.with_file_name(name)
}

impl Site {
    /// What is on record of a name that nothing stands under.
    fn recorded(diversion: &Diversion) -> Option<Self> {
        let name = diversion.path.file_name()?;
        let kinds = [RuntimeKind::Runc, RuntimeKind::Crun];
        let kind = kinds.into_iter().find(|kind| name == kind.as_str())?;
        let standing = if diversion.real.exists() {
            Standing::Ours
        } else {
            Standing::Lost
        };
        let diversion = diversion.clone();
        Some(Self {
            kind,
            diversion,
            standing,
            serves: true,
        })
    }
}

impl Diversion {
    fn standing(&self) -> Standing {
        match (leads_to_us(&self.path), self.real.exists()) {
            (true, true) => Standing::Ours,
            (true, false) => Standing::Lost,
            (false, false) => Standing::Plain,
            (false, true) if is_same(&self.path, &self.real) => Standing::Half,
            (false, true) => Standing::Overwritten,
        }
    }
}

/// Whether two names are of one file.
fn is_same(one: &Path, other: &Path) -> bool {
    let number = |path| {
        let metadata = std::fs::symlink_metadata(path).ok();
        metadata.map(|metadata| (metadata.dev(), metadata.ino()))
    };
    number(one).is_some_and(|found| number(other) == Some(found))
}

/// The last name on the way of a runtime's: the program's own, or the one of our link. `None` if there is
/// none; a sentence if we cannot stand there.
fn last_name(path: &Path, places: &Places) -> Option<Result<PathBuf, String>> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        // `/sbin` is `/usr/sbin`, and is one place.
        let directory = std::fs::canonicalize(path.parent()?).ok()?;
        path = directory.join(path.file_name()?);
        let metadata = std::fs::symlink_metadata(&path).ok()?;
        if leads_to_us(&path) {
            return Some(fit(path, places));
        }
        if !metadata.is_symlink() {
            return metadata.is_file().then(|| fit(path, places));
        }
        path = directory.join(std::fs::read_link(&path).ok()?);
    }
    None
}

/// Under another name we would not know that we are called as a runtime.
fn fit(path: PathBuf, places: &Places) -> Result<PathBuf, String> {
    let name = path.file_name().unwrap_or_default();
    if std::fs::canonicalize(&places.program).is_ok_and(|program| program == path) {
        let shown = path.display();
        return Err(format!(
            "'{shown}' is vcn-hook itself: install it as 'vcn-hook'"
        ));
    }
    if name == RuntimeKind::Runc.as_str() || name == RuntimeKind::Crun.as_str() {
        return Ok(path);
    }
    Err(format!(
        "a runtime is the symlink to '{}', which has another name: make it a file of the name \
             runc or crun, or use '--runtime docker' or '--runtime podman'",
        path.display()
    ))
}

/// Packages do not reach there.
fn is_local(path: &Path) -> bool {
    path.starts_with("/usr/local")
}

/// By the directories: a union of file systems gives files numbers of their own.
fn on_one_file_system(path: &Path, libexec: &Path) -> bool {
    let there = path
        .parent()
        .and_then(|parent| std::fs::metadata(parent).ok());
    let here = libexec
        .ancestors()
        .find_map(|path| std::fs::metadata(path).ok());
    matches!((there, here), (Some(there), Some(here)) if there.dev() == here.dev())
}
