//! `configure` and `unconfigure`: the gate comes into an engine's way, and out of it.
//!
//! Owns what is said about it: what was changed, what an engine has to be told, what goes on being as
//! it was. What is changed, and how, is the module `configure`'s.

mod notes;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::args::{self, Way};
use super::context::{Context, is_root};
use super::escape::Escaped;
use super::failure::{Failure, OrFail as _};
use super::images::daemon;
use super::{moment, patch};
use crate::configure::{
    self, Before, Change, ConfigureError, Diversion, NAME, Note, Places, Plan, SAVED, State,
    Status, Target,
};
use crate::gate::DEFAULT_STATE_DIR;
use crate::policy::gatebin::{GateBin, MAX_GATEBIN_SIZE};
use crate::sys::file;
use crate::verdict::{ReasonCode, exit};
use notes::{code, sentence};

/// Puts the gate in an engine's way, or says where it is.
///
/// # Errors
/// `configuration` when it cannot be put there as things are; nothing is changed then.
pub fn run(context: &mut Context, args: &args::Configure) -> Result<u8, Failure> {
    if args.status {
        return status(context);
    }
    let put = put_in_way(context, args.runtime, args.dry_run)?;
    answer(context, std::slice::from_ref(&put.plan), args.dry_run)
}

/// What putting the gate in an engine's way came to, or would.
#[derive(Debug)]
pub struct PutIn {
    plan: Plan,
    dry_run: bool,
}

impl PutIn {
    /// As scripts read it.
    #[must_use]
    pub fn value(&self) -> Value {
        value(&self.plan, self.dry_run)
    }

    /// For people: what was done, or the patch that would do it.
    #[must_use]
    pub fn text(&self) -> String {
        match self.dry_run {
            true => patch::of(&self.plan.changes),
            false => text(&self.plan),
        }
    }
}

/// Puts the gate in the way that was named, or else in the way of every engine.
///
/// # Errors
/// As [`run`].
pub fn put_in_way(context: &Context, way: Option<Way>, dry_run: bool) -> Result<PutIn, Failure> {
    let places = places()?;
    let target = match way {
        Some(way) => target(way)?,
        None if places.dpkg_divert.is_some() => Target::System,
        None => {
            let text = "say which way in: --runtime docker, --runtime podman, or --runtime system for every \
             engine that calls runc or crun";
            return Err(Failure::usage(text));
        }
    };
    let plan = put_in(context, target, &places, dry_run)?;
    Ok(PutIn { plan, dry_run })
}

/// Plans what puts the gate in an engine's way, and does it unless it is a dry run.
///
/// # Errors
/// As [`run`].
pub fn put_in(
    context: &Context,
    target: Target,
    places: &Places,
    dry_run: bool,
) -> Result<Plan, Failure> {
    if !dry_run {
        must_be_root()?;
    }
    let gate = gate_bin();
    let plan = configure::plan(target, places, gate.as_ref()).map_err(failure)?;
    if !dry_run {
        carry_out(context, &plan, places)?;
    }
    Ok(plan)
}

/// Takes the gate out of the ways that it is in.
///
/// # Errors
/// When something could not be put back; everything else is.
pub fn undo(context: &mut Context, args: &args::Unconfigure) -> Result<u8, Failure> {
    // Whatever has become of this program's file, what leads to it can go.
    let places = Places::of_machine(std::env::current_exe().unwrap_or_default());
    let targets = match args.runtime {
        Some(way) => vec![target(way)?],
        None => Target::ALL.into(),
    };
    let mut plans = Vec::new();
    let mut failures = Vec::new();
    for target in targets {
        match take_out(context, target, &places, args.dry_run) {
            Ok(plan) => plans.push(plan),
            Err(failure) => failures.push(failure),
        }
    }
    answer(context, &plans, args.dry_run)?;
    match failures.pop() {
        None => Ok(exit::OK),
        Some(last) => {
            for failure in failures {
                context.out.warn(&failure.to_string());
            }
            Err(last)
        }
    }
}

fn take_out(
    context: &Context,
    target: Target,
    places: &Places,
    dry_run: bool,
) -> Result<Plan, Failure> {
    let mut plan = configure::plan_undo(target, places).map_err(failure)?;
    if dry_run {
        // What will have to be done shows when it is done.
        plan.notes.retain(|note| *note != Note::Restart);
        return Ok(plan);
    }
    if plan.notes.contains(&Note::Restart) {
        must_be_root()?;
        let socket = docker_socket(context);
        let is_free = || daemon::default_runtime(&socket).is_some_and(|name| name != NAME);
        if is_free() {
            plan.notes.retain(|note| *note != Note::Restart);
        } else if daemon::default_runtime(&socket).is_some()
            && configure::let_go(places, &is_free).map_err(failure)?
        {
            plan.notes.retain(|note| *note != Note::Restart);
            plan.notes.push(Note::Released);
        }
    }
    carry_out(context, &plan, places)?;
    Ok(plan)
}

fn docker_socket(context: &Context) -> PathBuf {
    // Whatever has become of the configuration, this must go on.
    let config = context.config();
    config.map_or_else(
        |_| "/var/run/docker.sock".into(),
        |config| config.docker_socket,
    )
}

fn carry_out(context: &Context, plan: &Plan, places: &Places) -> Result<(), Failure> {
    if !plan.is_needed(places) {
        return Ok(());
    }
    must_be_root()?;
    configure::execute(plan, places, context.now).map_err(failure)
}

fn must_be_root() -> Result<(), Failure> {
    let text = "only root may change what an engine runs; '--dry-run' shows what would be changed";
    is_root()
        .then_some(())
        .ok_or_else(|| Failure::new(exit::FAILURE, text))
}

fn failure(error: ConfigureError) -> Failure {
    let code = match error {
        ConfigureError::Io(..) | ConfigureError::Program(_) => exit::FAILURE,
        ConfigureError::Malformed(..) | ConfigureError::Unfit(_) => {
            ReasonCode::Configuration.exit_code()
        }
    };
    Failure {
        code,
        error: error.into(),
    }
}

fn target(way: Way) -> Result<Target, Failure> {
    way.target().ok_or_else(|| {
        let text = "containerd and CRI-O have no way in of their own yet: '--runtime system' stands in the \
             place of runc and crun, which they call";
        Failure::usage(text)
    })
}

/// The machine's places, with this program at the end of every link.
///
/// # Errors
/// `configuration` when this program is not one that a start may depend on.
pub fn places() -> Result<Places, Failure> {
    let code = ReasonCode::Configuration.exit_code();
    let program =
        std::env::current_exe().or_fail(code, || "cannot find this program's own file")?;
    let installed = || {
        let shown = program.display();
        format!("'{shown}' cannot stand before a runtime: install it as root first")
    };
    file::check_owned_file(&program).or_fail(code, installed)?;
    if program.file_name().is_none_or(|name| name != "vcn-hook") {
        let text = format!("{}, under the name vcn-hook", installed());
        return Err(Failure::configuration(text));
    }
    Ok(Places::of_machine(program))
}

/// What the gate will judge by. Not the one of `-c`: a runtime that is called by its own name knows no `-c`.
fn gate_bin() -> Option<GateBin> {
    let path = Path::new(DEFAULT_STATE_DIR).join("gate.bin");
    let bytes = file::read_owned(&path, MAX_GATEBIN_SIZE).ok()?;
    GateBin::decode(&bytes).ok()
}

/// Tells what was done, or would be.
fn answer(context: &mut Context, plans: &[Plan], dry_run: bool) -> Result<u8, Failure> {
    let values: Vec<_> = plans.iter().map(|plan| value(plan, dry_run)).collect();
    let value = json!({
        "schema": "vcn-hook/configure/v1",
        "dryRun": dry_run,
        "targets": values,
    });
    context.out.answer(&value, |_| {
        let one = |plan: &Plan| match dry_run {
            true => patch::of(&plan.changes),
            false => text(plan),
        };
        let said: String = plans.iter().map(one).collect();
        match said.is_empty() && !dry_run {
            true => "nothing of vcn-hook's is in any engine's way\n".to_owned(),
            false => said,
        }
    })?;
    if dry_run {
        for note in plans.iter().flat_map(|plan| &plan.notes) {
            context.out.note(sentence(note));
        }
    }
    Ok(exit::OK)
}

fn value(plan: &Plan, dry_run: bool) -> Value {
    let notes = plan
        .notes
        .iter()
        .map(|note| json!({ "code": code(note), "text": sentence(note) }));
    json!({
        "target": plan.target,
        "changed": !plan.changes.is_empty() && !dry_run,
        "changes": plan.changes.iter().map(line).collect::<Vec<_>>(),
        // It reads what stands there now, which is right only before anything was done.
        "patch": dry_run.then(|| patch::of(&plan.changes)),
        "notes": notes.collect::<Vec<_>>(),
    })
}

/// What was done, a line for each change, and then what to know about it.
fn text(plan: &Plan) -> String {
    let mut lines: Vec<String> = plan.changes.iter().map(line).collect();
    for change in &plan.changes {
        if let Change::Edit(edit) = change
            && plan.notes.contains(&Note::Changed(edit.path.clone()))
        {
            lines.push(patch::edited(edit).trim_end().to_owned());
        }
    }
    if plan.changes.is_empty() && plan.puts_in {
        lines.push(format!("{} is configured already", plan.target));
    }
    lines.extend(plan.notes.iter().map(sentence));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn line(change: &Change) -> String {
    let shown = |path: &Path| format!("'{}'", Escaped(&path.display().to_string()));
    match change {
        Change::MakeDirectory(path) => format!("made the directory {}", shown(path)),
        Change::RemoveDirectory(path) => {
            format!("removed the directory {}, if it is empty", shown(path))
        }
        Change::Link { path, to } => format!("linked {} to {}", shown(path), shown(to)),
        Change::Unlink(path) => format!("removed {}", shown(path)),
        Change::Edit(edit) => {
            let path = shown(&edit.path);
            match (&edit.new, &edit.before) {
                (None, _) => format!("removed {path}"),
                (_, Before::Return) => format!("put {path} back as it was"),
                (_, Before::Keep | Before::Make(_)) if edit.old.is_some() => {
                    format!("changed {path}; as it was, it is kept with the ending {SAVED}")
                }
                _ if edit.old.is_some() => format!("changed {path}"),
                _ => format!("wrote {path}"),
            }
        }
        Change::Divert(Diversion { path, real, .. }) => {
            format!(
                "{} is vcn-hook now; the real one is {}",
                shown(path),
                shown(real)
            )
        }
        Change::Undivert(Diversion { path, .. }) => {
            format!("{} is the real one again", shown(path))
        }
    }
}

/// Says of each way in whether it is on.
fn status(context: &mut Context) -> Result<u8, Failure> {
    let places = Places::of_machine(std::env::current_exe().unwrap_or_default());
    let mut all = configure::status(&places);
    let socket = docker_socket(context);
    let mut pending = None;
    for docker in all
        .iter_mut()
        .filter(|status| status.target == Target::Docker)
    {
        let wanted = match docker.state {
            State::On => true,
            State::Off => false,
            State::Partial | State::Overwritten | State::Unclear => continue,
        };
        if let Some(default) =
            daemon::default_runtime(&socket).filter(|default| (default == NAME) != wanted)
        {
            let verb = if wanted { "reload" } else { "restart" };
            pending = Some(verb);
            docker.findings.push(format!(
                "dockerd still starts with '{default}': run 'systemctl {verb} docker'"
            ));
        }
    }
    let values = all.iter().map(|status| {
        json!({
            "target": status.target,
            "state": status.state.as_str(),
            "since": status.since.map(moment::rfc3339),
            "findings": status.findings,
            "pending": pending.filter(|_| status.target == Target::Docker),
        })
    });
    let value = json!({
        "schema": "vcn-hook/configured/v1",
        "targets": values.collect::<Vec<_>>(),
    });
    context
        .out
        .answer(&value, |_| all.iter().map(row).collect())?;
    let is_sound = |status: &Status| matches!(status.state, State::On | State::Off);
    let code = if all.iter().all(is_sound) && pending.is_none() {
        exit::OK
    } else {
        exit::FAILURE
    };
    Ok(code)
}

fn row(status: &Status) -> String {
    let since = status
        .since
        .map(|since| format!(" since {}", moment::text(since)));
    let mut text = format!(
        "{:<8}{}{}\n",
        format!("{}:", status.target),
        status.state.as_str(),
        since.unwrap_or_default()
    );
    for finding in &status.findings {
        text.push_str(&format!("        {}\n", Escaped(finding)));
    }
    text
}
