//! `enroll`: this machine follows a ledger from now on.
//!
//! Owns the question whether a trust root is the right one. It is asked of a
//! person, answered by `--root`, or not needed for a directory that only root
//! can change, since root could answer it anyway.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::args;
use super::ask;
use super::context::{ALLOWLIST, Context, config_home, is_root};
use super::failure::{Failure, OrFail as _};
use super::ledgers::{self, Place};
use super::node::{self, Synced};
use super::output;
use super::setting;
use crate::allowlist::index_note::MAX_INDEX_NOTE_SIZE;
use crate::config::DEFAULT_PATH;
use crate::ledger::checkpoint::{Checkpoint, MAX_CHECKPOINT};
use crate::ledger::client::MAX_ROOT_NOTE;
use crate::ledger::roots::{RootVersion, Roots, RootsError};
use crate::store::{self, HighWater};
use crate::sys::file;
use crate::sys::user::as_owner_of;
use crate::trust::root::{KeySet, TrustRoot};
use crate::verdict::{ReasonCode, exit};

/// What a machine follows from now on.
#[derive(Debug)]
pub struct Enrolled {
    place: Place,
    chosen: RootVersion,
    config: PathBuf,
    written: PathBuf,
    synced: Synced,
}

/// Enrols, and says where.
///
/// # Errors
/// As [`enrol`].
pub fn run(context: &mut Context, args: &args::Enroll) -> Result<u8, Failure> {
    let enrolled = enrol(context, args)?;
    context.out.answer(&enrolled.value(), |_| enrolled.text())?;
    Ok(exit::OK)
}

/// Pins the trust root, writes where the ledger is, and brings the allowlist here.
///
/// # Errors
/// Unreachable or tampered from the ledger; `configuration` when nobody vouches for its trust root.
pub fn enrol(context: &mut Context, args: &args::Enroll) -> Result<Enrolled, Failure> {
    let place = Place::parse(&args.ledger)?;
    let log = place.open()?;
    let roots = ledgers::roots(log.as_ref())?;
    let chosen = ledgers::choose(&roots, args.root.as_deref())?;
    chosen.root.check_expiry(context.now).or_fail(
        ReasonCode::Stale.exit_code(),
        || "this trust root cannot be pinned",
    )?;
    if args.root.is_none() {
        consent(context, &place, chosen)?;
    }
    if !is_root()
        && context.config_path.as_os_str() == DEFAULT_PATH
        && let Some(own) = config_home()
    {
        context.config_path = own.join("config.toml");
    }
    let former = pinned(&context.config_path);
    let written = pin(context, &place, chosen)?;
    let another = match &former {
        Some(former) => !has(&roots, former),
        None => is_foreign(context, &roots)?,
    };
    if another {
        forget(context)?;
    }
    let synced = node::refresh(context)?;
    for line in &synced.told {
        context.out.warn(line);
    }
    Ok(Enrolled {
        chosen: chosen.clone(),
        config: context.config_path.clone(),
        place,
        written,
        synced,
    })
}

impl Enrolled {
    /// As scripts read it.
    #[must_use]
    pub fn value(&self) -> Value {
        json!({
            "ledger": self.place.to_string(),
            "origin": self.chosen.root.origin,
            "root": { "version": self.chosen.root.version, "fingerprint": self.chosen.digest },
            "config": self.config.display().to_string(),
            "written": self.written.display().to_string(),
            "logSize": self.synced.log_size,
            "applied": self.synced.applied,
        })
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let root = &self.chosen.root;
        output::rows(&[
            ("Ledger", self.place.to_string()),
            ("Origin", root.origin.clone()),
            (
                "Trust root",
                format!("version {}, {}", root.version, self.chosen.digest),
            ),
            ("Written to", self.written.display().to_string()),
            ("Log size", self.synced.log_size.to_string()),
        ])
    }
}

/// Finds somebody who says that this is the right trust root.
fn consent(context: &mut Context, place: &Place, chosen: &RootVersion) -> Result<(), Failure> {
    let shown = format!(
        "version {} of the trust root of '{}' has the fingerprint {}",
        chosen.root.version, chosen.root.origin, chosen.digest
    );
    if let Some(directory) = place.directory() {
        let note = directory.join(format!("root/{}.note", chosen.root.version));
        if file::read_owned(&note, u64::from(u32::MAX)).is_ok_and(|note| note == chosen.note) {
            context.out.note(shown);
            return Ok(());
        }
    }
    if !ask::somebody() {
        return Err(Failure::configuration(format!(
            "{shown}; nobody is here to compare it: pass it with --root"
        )));
    }
    context.out.note(shown);
    if ask::yes("Is that the one its keepers publish, and do you trust it?")? {
        return Ok(());
    }
    Err(Failure::configuration("not enrolled"))
}

/// The trust root that was pinned here before, if there was one.
fn pinned(config: &Path) -> Option<RootVersion> {
    let path = config.with_file_name("trust/root.note");
    let note = file::read_capped(&path, MAX_ROOT_NOTE).ok()?;
    Roots::pinned(&note)
        .ok()
        .map(|roots| roots.latest().clone())
}

/// Says whether a ledger's history has this very trust root in it.
fn has(roots: &Roots, former: &RootVersion) -> bool {
    let same = roots.version(former.root.version);
    same.is_some_and(|version| version.digest == former.digest)
}

/// Says whether what is installed comes from another ledger, where the pin is lost that would tell:
/// a trust root, a note or a checkpoint is here that no version of this ledger's trust root stands by.
fn is_foreign(context: &Context, roots: &Roots) -> Result<bool, Failure> {
    let state = context.own_state(&context.config()?)?;
    let read = |name: &str, most| file::read_capped(&state.join(name), most).ok();
    let kept = |version| read(&format!("log/root/{version}.note"), MAX_ROOT_NOTE);
    let mut known = roots.clone();
    // This node may have seen later versions than the ledger shows now.
    let followed: Result<(), RootsError> = known.walk(|version| Ok(kept(version)));
    let is_kept = |version: &RootVersion| {
        kept(version.root.version).is_none_or(|note| {
            Roots::pinned(&note).is_ok_and(|kept| kept.latest().digest == version.digest)
        })
    };
    let by_indexers = |note: &[u8], root: &TrustRoot| {
        let KeySet { keys, threshold } = &root.indexers;
        store::verify_note(note, keys, *threshold, &root.origin).is_ok()
    };
    let by_log = |note: &[u8], root: &TrustRoot| Checkpoint::verify(note, &root.log).is_ok();
    let ours = |note: Option<Vec<u8>>, stands_by: &dyn Fn(&[u8], &TrustRoot) -> bool| {
        note.is_none_or(|note| known.all().any(|known| stands_by(&note, &known.root)))
    };
    Ok(followed.is_err()
        || !roots.all().all(is_kept)
        || !ours(read("allowlist/note", MAX_INDEX_NOTE_SIZE), &by_indexers)
        || !ours(read("log/checkpoint", MAX_CHECKPOINT), &by_log))
}

/// Forgets what another ledger said, and how new that was: its log sizes mean nothing in this one.
/// Until the sync that follows nothing is allowed.
fn forget(context: &mut Context) -> Result<(), Failure> {
    let config = context.config()?;
    let state = context.own_state(&config)?;
    context
        .out
        .note("this is another ledger than before: its allowlist is forgotten");
    for path in [ALLOWLIST, "log"].map(|name| state.join(name)) {
        as_owner_of(&path, || empty(&path))
            .and_then(|emptied| emptied)
            .or_fail(exit::FAILURE, || format!("'{}'", path.display()))?;
    }
    context
        .own_store(&state)
        .reset_high_water(HighWater::default())
        .or_fail(exit::FAILURE, || "cannot forget how new the allowlist was")?;
    Ok(())
}

/// Removes what is in a directory; the directory itself stays whose it is.
fn empty(directory: &Path) -> io::Result<()> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Writes the trust root beside the configuration, and the ledger's place into it: says where.
fn pin(context: &Context, place: &Place, chosen: &RootVersion) -> Result<PathBuf, Failure> {
    let code = ReasonCode::Configuration.exit_code();
    let trust = context.config_path.with_file_name("trust");
    let what = || format!("cannot pin the trust root in '{}'", trust.display());
    std::fs::create_dir_all(&trust).or_fail(code, what)?;
    file::replace(&trust.join("root.note"), &chosen.note, 0o644).or_fail(code, what)?;
    let written = setting::set(&context.config_path, "ledger", &place.to_string())?;
    let read = context.config()?.ledger;
    if read != Some(place.to_string()) {
        let by = "another file in conf.d sets 'ledger' to something else";
        return Err(Failure::configuration(by));
    }
    Ok(written)
}
