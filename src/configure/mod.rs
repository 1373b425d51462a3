//! Putting the gate in an engine's way, and taking it out again exactly.
//!
//! Owns, for each way in, what is changed on the machine, how it is undone, and
//! whether it still stands. A plan is made first and says everything; only then
//! is something written. Nothing is ever restarted, and no engine is asked:
//! this works when nothing starts any more. How a start is judged is `gate`'s.

mod change;
mod daemon_json;
mod docker;
mod dockerd;
mod edit;
mod error;
pub mod json;
mod links;
mod places;
mod podman;
mod record;
mod status;
mod system;

use std::fmt;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::policy::gatebin::{GateBin, Mode};
use crate::sys::signal;
use change::carry_out;
use record::Record;

pub use change::{Change, Diversion};
pub use daemon_json::NAME;
pub use edit::{Before, Edit, SAVED};
pub use error::ConfigureError;
pub use places::Places;
pub use podman::Settings as PodmanSettings;
pub use status::{State, Status, status};

/// Tenths of a second that dockerd gets to read its settings.
const PATIENCE: u32 = 100;

/// A way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// Docker's default runtime.
    Docker,
    /// The runtimes that Podman finds, and its hooks.
    Podman,
    /// The programs `runc` and `crun` themselves.
    System,
}

impl Target {
    /// All of them, in the order in which they are undone.
    pub const ALL: [Self; 3] = [Self::Docker, Self::Podman, Self::System];

    /// Its name on the command line and in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::System => "system",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is to be done, in order, and what is to be said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The way in.
    pub target: Target,
    /// Whether the gate is put in, or taken out.
    pub puts_in: bool,
    /// What is to be done; empty when all of it is done.
    pub changes: Vec<Change>,
    /// What whoever does it must know.
    pub notes: Vec<Note>,
}

impl Plan {
    /// Whether links stay that something which runs still calls; they go when it is undone once more.
    fn leaves_links(&self) -> bool {
        self.notes.iter().any(|note| matches!(note, Note::Left(_)))
    }

    /// Whether there is anything to do, or to forget.
    #[must_use]
    pub fn is_needed(&self, places: &Places) -> bool {
        !self.changes.is_empty() || (!self.puts_in && Record::read(places, self.target).is_some())
    }
}

/// What whoever changes something must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// The gate refuses nothing yet.
    Audit,
    /// Docker reads its settings when it is told to.
    Reload,
    /// Docker goes on by what it once read, and looks for what is no longer there.
    Restart,
    /// Docker was told to read its settings, and starts containers as it did before us.
    Released,
    /// These containers of Docker's keep the runtime they were created with.
    KeepRuntime(Vec<String>),
    /// These were created with our runtime, which Docker will no longer know.
    LoseRuntime(Vec<String>),
    /// These run, and their shims call our link: it leads to the real runtime now, and stays.
    Left(Vec<String>),
    /// The gate runs one program of that name; this one, diverted too, is no longer run.
    Shadowed(std::path::PathBuf, std::path::PathBuf),
    /// This runtime of the engine's does not come past the gate.
    Beside(String),
    /// Nobody keeps a package's upgrade from putting its own file back.
    Unregistered,
    /// An engine keeps its containers there, and `[engines]` does not say so.
    Unlisted(std::path::PathBuf),
    /// The file is not as it was left: only what is ours was taken out.
    Changed(std::path::PathBuf),
    /// Another program stands where our link was; it stays.
    Replaced(std::path::PathBuf),
    /// The real program is gone, so that nothing can be put back.
    Lost(std::path::PathBuf),
}

/// Plans what puts the gate in an engine's way. Without gate.bin nothing is put in, but runtimes that
/// made way once do so again.
///
/// # Errors
/// [`ConfigureError`]: what stands there cannot be wrapped, or be read.
pub fn plan(
    target: Target,
    places: &Places,
    gate: Option<&GateBin>,
) -> Result<Plan, ConfigureError> {
    let Some(gate) = gate else {
        if target == Target::System && is_recorded(target, places) {
            return system::plan(places);
        }
        let text = "without a gate.bin that can be read nothing would start: run 'vcn-hook enroll', or \
             'vcn-hook apply'";
        return Err(ConfigureError::Unfit(text.to_owned()));
    };
    let mut plan = match target {
        Target::Docker => docker::plan(places, gate)?,
        Target::Podman => podman::plan(places, gate)?,
        Target::System => system::plan(places)?,
    };
    if gate.mode == Mode::Audit {
        plan.notes.push(Note::Audit);
    }
    let unlisted = docker::unlisted_roots(places, gate);
    let unlisted = unlisted.chain(podman::unlisted_roots(places, gate));
    plan.notes.extend(unlisted.map(Note::Unlisted));
    Ok(plan)
}

/// Plans what takes it out again. Needs neither configuration nor gate.bin.
///
/// # Errors
/// [`ConfigureError`]: what stands there cannot be read.
pub fn plan_undo(target: Target, places: &Places) -> Result<Plan, ConfigureError> {
    let record = Record::read(places, target);
    let record = record.as_ref();
    let mut plan = match target {
        Target::Docker => docker::plan_undo(places, record)?,
        Target::Podman => podman::plan_undo(places, record)?,
        Target::System => system::plan_undo(places, record),
    };
    if let Some(record) = record.filter(|_| !plan.leaves_links()) {
        plan.changes.extend(record.leftovers(places));
    }
    Ok(plan)
}

/// Says whether this way in was ever turned on and not off again.
#[must_use]
pub fn is_recorded(target: Target, places: &Places) -> bool {
    Record::read(places, target).is_some_and(|record| record.is_on())
}

/// Has a dockerd that runs start containers as it did before us, so that what it was told of us can go.
/// `is_free` asks it. Says whether it came to that.
///
/// # Errors
/// [`ConfigureError`]: its settings cannot be read or written.
pub fn let_go(places: &Places, is_free: &dyn Fn() -> bool) -> Result<bool, ConfigureError> {
    let _lock = record::lock(places)?;
    let Some((pid, edit)) = docker::let_go(places)? else {
        return Ok(false);
    };
    carry_out(&Change::Edit(edit))?;
    signal::hang_up(pid).map_err(ConfigureError::io(&places.proc))?;
    for _ in 0..PATIENCE {
        if is_free() {
            return Ok(true);
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(false)
}

/// Does what a plan says. When putting the gate in fails, what was done is undone.
///
/// # Errors
/// [`ConfigureError`]: the first change that could not be made.
pub fn execute(plan: &Plan, places: &Places, now: u64) -> Result<(), ConfigureError> {
    let _lock = record::lock(places)?;
    if !plan.puts_in {
        return take_out(plan, places);
    }
    if plan.changes.is_empty() {
        return Ok(());
    }
    let before = Record::read(places, plan.target);
    // First the intention: whatever happens next, undoing knows of everything that may have been done.
    Record::of(plan, before.as_ref(), now).write(places)?;
    let done = plan.changes.iter().try_for_each(carry_out);
    if done.is_err() && before.is_none() {
        // The first error is the one that matters; what cannot be undone now stays on record.
        let _ = plan_undo(plan.target, places).and_then(|undo| take_out(&undo, places));
    }
    done
}

/// Goes as far as possible: one file that cannot be put back must not keep the others.
fn take_out(plan: &Plan, places: &Places) -> Result<(), ConfigureError> {
    let mut first = Ok(());
    for change in &plan.changes {
        let done = carry_out(change);
        first = first.and(done);
    }
    first?;
    if plan.leaves_links() {
        return Record::keep_links(places, plan.target);
    }
    Record::forget(places, plan.target)
}
