//! `sync`: the allowlist here follows the ledger.
//!
//! Owns what follows a sync: as root the settings are applied at once, so that
//! the gate knows a new trust root as soon as the allowlist names it.

use std::error::Error as _;
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::{Gid, Uid};
use serde_json::json;

use super::applying;
use super::context::{ALLOWLIST, Context, is_root};
use super::failure::{Failure, OrFail as _};
use super::moment;
use super::output;
use super::trusted;
use crate::apply::{Applied, Lapses};
use crate::config::Config;
use crate::sync::{self, Attempt, Fault, Settings, SyncError, SyncReport};
use crate::sys::user::{as_owner_of, lesser_owner};
use crate::verdict::{ReasonCode, exit};

/// How long somebody else's sync is waited for: as long as a first sync of a large ledger may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often the other sync is asked whether it has ended.
const PAUSE: Duration = Duration::from_millis(50);

/// What a sync brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synced {
    /// Entries of the log that were verified.
    pub log_size: u64,
    /// Unix seconds at which the allowlist expires.
    pub expires: u64,
    /// True when there was something new.
    pub changed: bool,
    /// True when the gate's settings were compiled anew.
    pub applied: bool,
    /// What whoever is on call should know of that.
    pub told: Vec<String>,
}

/// Syncs, and says what came of it.
///
/// # Errors
/// As [`refresh`].
pub fn run(context: &mut Context) -> Result<u8, Failure> {
    let synced = refresh(context)?;
    for line in &synced.told {
        context.out.warn(line);
    }
    let value = json!({
        "logSize": synced.log_size,
        "expires": moment::rfc3339(synced.expires),
        "changed": synced.changed,
        "applied": synced.applied,
    });
    context.out.answer(&value, |_| {
        output::rows(&[
            ("Log size", synced.log_size.to_string()),
            ("Expires", moment::text(synced.expires)),
        ])
    })?;
    Ok(0)
}

/// Brings this user's allowlist up to date, and as root the gate's settings.
///
/// # Errors
/// `configuration` when this machine follows no ledger or the settings cannot be applied;
/// otherwise what kept the ledger from being followed. What was installed before stays.
pub fn refresh(context: &Context) -> Result<Synced, Failure> {
    let config = context.config()?;
    let state = context.own_state(&config)?;
    let ledger = config.ledger.clone().ok_or_else(trusted::not_enrolled)?;
    let pinned = trusted::root(&config, &state)?;
    let store = context.own_store(&state);
    let sources = [ledger];
    let settings = Settings {
        sources: &sources,
        state_dir: &state,
        store: &store,
        pinned_root: &pinned.note,
        replay: false,
    };
    // Root leaves files behind that the timer's account can go on with, and follows none of its symlinks.
    let allowlist = state.join(ALLOWLIST);
    let report = as_owner_of(&allowlist, || followed(&settings, context.now))
        .or_fail(
            exit::FAILURE,
            || "cannot sync as the owner of the allowlist",
        )?
        .map_err(|error| failure(error, lesser_owner(&allowlist)))?;
    // The node's mark is root's, lest whoever syncs put it anywhere: 'apply' advances it.
    if !context.syncs_for_node(&config) {
        store
            .advance_high_water(&report.note)
            .or_fail(exit::FAILURE, || "cannot remember how new the allowlist is")?;
    }
    let told = match is_root() {
        true => applying::said_of(&applied(&config, context.now)?),
        false => Vec::new(),
    };
    Ok(Synced {
        log_size: report.note.log_size,
        expires: report.note.expires,
        changed: report.changed,
        applied: is_root(),
        told,
    })
}

fn applied(config: &Config, now: u64) -> Result<Applied, Failure> {
    applying::compiled(config, Lapses::Hold, now).or_fail(
        ReasonCode::Configuration.exit_code(),
        || "the allowlist is here, and the gate's settings could not be applied",
    )
}

/// Syncs, and remembers how that ended.
fn followed(settings: &Settings<'_>, now: u64) -> Result<SyncReport, SyncError> {
    let ended = patiently(settings, now);
    let attempt = Attempt {
        time: now,
        error: ended.as_ref().err().map(in_full),
    };
    // Only doctor misses it.
    let _ = attempt.remember(settings.state_dir);
    ended
}

/// An error with its causes, as one sentence.
fn in_full(error: &SyncError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// Syncs, waiting for a sync of somebody else's to end: the timer's and a publisher's may meet.
fn patiently(settings: &Settings<'_>, now: u64) -> Result<SyncReport, SyncError> {
    let begun = Instant::now();
    loop {
        match sync::run(settings, now) {
            Err(SyncError::Busy) if begun.elapsed() < PATIENCE => thread::sleep(PAUSE),
            done => return done,
        }
    }
}

fn failure(error: SyncError, account: Option<(Uid, Gid)>) -> Failure {
    let code = match error.fault() {
        Fault::Unreachable => exit::UNREACHABLE,
        Fault::Configuration => ReasonCode::Configuration.exit_code(),
        Fault::NoAllowlist => ReasonCode::NoAllowlist.exit_code(),
        Fault::RolledBack => ReasonCode::RolledBack.exit_code(),
        Fault::Tampered => ReasonCode::Tampered.exit_code(),
        Fault::Local => exit::FAILURE,
    };
    let error = anyhow::Error::from(error);
    // Root may read what it cannot.
    let error = match account {
        Some((user, _)) => {
            error.context(format!("syncing as the account {user}, as the timer does"))
        }
        None => error,
    };
    Failure { code, error }
}
