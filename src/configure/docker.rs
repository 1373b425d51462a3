//! Docker: a runtime that is ours, and the default one.
//!
//! Owns where Docker's settings are, what of the machine decides what becomes of them, and what whoever
//! changes them must know. What is in them is `daemon_json`'s.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::change::Change;
use super::daemon_json::{NAME, Settings, released, without, written_over};
use super::dockerd::{self, Created, Daemon};
use super::edit::{Before, Edit, read, saved};
use super::error::ConfigureError;
use super::places::Places;
use super::record::Record;
use super::{Note, Plan, Target, links};
use crate::engine::RuntimeKind;
use crate::gate::real;
use crate::policy::gatebin::GateBin;

/// Plans what makes our runtime Docker's default.
pub(super) fn plan(places: &Places, gate: &GateBin) -> Result<Plan, ConfigureError> {
    if places.find("dockerd").is_none() && !places.daemon_json.exists() {
        let text = "there is no dockerd on this machine";
        return Err(ConfigureError::Unfit(text.to_owned()));
    }
    let started = Daemon::find(places).unwrap_or_default();
    let path = daemon_json(places, &started);
    for option in ["--default-runtime", "--add-runtime"] {
        if started.option(option).is_some() {
            let text = format!(
                "dockerd was started with {option}, and refuses to start when daemon.json says it too: \
             move it there, or use '--runtime system'"
            );
            return Err(ConfigureError::Unfit(text));
        }
    }
    let old = read(&path)?;
    let before = old.as_deref().unwrap_or_default();
    let malformed = |why| ConfigureError::Malformed(path.clone(), why);
    let settings = Settings::parse(before).map_err(malformed)?;
    let mut changes = links::missing(places);
    if !settings.is_ours(places) {
        let entry = settings.wrapped(places, &|kind, program| wrap(kind, program, places, gate));
        let entry = entry.map_err(ConfigureError::Unfit)?;
        let new = settings.with(&entry).map_err(malformed)?;
        let earlier = read(&saved(&path))?;
        let keep = match without(before, earlier.as_deref(), places).map_err(malformed)? {
            Some(clean) if clean != before => Before::Make(clean),
            None if old.is_some() => Before::Drop,
            _ => Before::Keep,
        };
        changes.extend(path.parent().into_iter().flat_map(links::directories));
        changes.push(Change::Edit(Edit {
            path: path.clone(),
            old: old.clone(),
            new: Some(new),
            before: keep,
        }));
    }
    let mut notes = Vec::new();
    if changes
        .iter()
        .any(|change| matches!(change, Change::Edit(_)))
    {
        notes.push(Note::Reload);
    }
    let containers = roots(places, &started, &settings, Some(gate));
    let containers: Vec<_> = containers
        .iter()
        .flat_map(|root| dockerd::containers(root))
        .collect();
    let keep = named(&containers, |created| created.runtime != NAME);
    notes.extend((!keep.is_empty()).then_some(Note::KeepRuntime(keep)));
    notes.extend(settings.beside().map(Note::Beside));
    Ok(Plan {
        target: Target::Docker,
        puts_in: true,
        changes,
        notes,
    })
}

/// Plans what makes Docker's settings what they were.
pub(super) fn plan_undo(places: &Places, record: Option<&Record>) -> Result<Plan, ConfigureError> {
    let started = Daemon::find(places).unwrap_or_default();
    let paths = record
        .into_iter()
        .flat_map(|record| record.files.iter().map(|file| &file.path));
    let mut paths: Vec<_> = paths.cloned().collect();
    let now = daemon_json(places, &started);
    if !paths.contains(&now) {
        paths.push(now);
    }
    let mut changes = Vec::new();
    let mut notes = Vec::new();
    for path in paths {
        let written = record.and_then(|record| record.written(&path));
        // A file that we would not touch need not be fit for it.
        if written.is_none() && !places.are_named_in(&path) && !saved(&path).exists() {
            continue;
        }
        let wrote = |before: Option<&[u8]>| written_over(before, places).unwrap_or_default();
        let ours = |now: &[u8], before: Option<&[u8]>| without(now, before, places);
        let Some((edit, is_changed)) = Edit::undoing(&path, written, wrote, ours)? else {
            continue;
        };
        notes.extend((started != Daemon::default()).then_some(Note::Restart));
        notes.extend(is_changed.then_some(Note::Changed(path)));
        changes.push(Change::Edit(edit));
    }
    let settings = read(&daemon_json(places, &started)).ok().flatten();
    let settings = settings.and_then(|bytes| Settings::parse(&bytes).ok());
    let roots = roots(places, &started, &settings.unwrap_or_default(), None);
    let containers: Vec<_> = roots
        .iter()
        .flat_map(|root| dockerd::containers(root))
        .collect();
    let running = named(&containers, |created| {
        created.runtime == NAME && created.runs
    });
    let lose = named(&containers, |created| created.runtime == NAME);
    if !changes.is_empty() && !lose.is_empty() {
        notes.push(Note::LoseRuntime(lose));
    }
    if !running.is_empty() && record.is_some() {
        changes.extend(links::left_behind(places));
        notes.push(Note::Left(running));
    }
    Ok(Plan {
        target: Target::Docker,
        puts_in: false,
        changes,
        notes,
    })
}

/// A dockerd that runs, and the settings with which it is told what its default runtime was before:
/// it does not go back to its own default just because a setting is gone. `None` if none runs.
pub(super) fn let_go(places: &Places) -> Result<Option<(i32, Edit)>, ConfigureError> {
    let Some(daemon) = Daemon::find(places) else {
        return Ok(None);
    };
    let path = daemon_json(places, &daemon);
    let malformed = |why| ConfigureError::Malformed(path.clone(), why);
    let old = read(&path)?;
    let before = read(&saved(&path))?;
    let before = Settings::parse(before.as_deref().unwrap_or_default()).map_err(malformed)?;
    let new = released(old.as_deref().unwrap_or_default(), &before).map_err(malformed)?;
    let edit = Edit {
        path,
        old,
        new: Some(new),
        before: Before::Stay,
    };
    Ok(Some((daemon.pid, edit)))
}

/// Where dockerd reads its settings.
pub(super) fn daemon_json(places: &Places, started: &Daemon) -> PathBuf {
    let given = started.option("--config-file").map(PathBuf::from);
    let given = given.filter(|path| path.is_absolute());
    given.unwrap_or_else(|| places.daemon_json.clone())
}

/// Data roots of Docker's that `[engines]` does not name: nothing there has an identity.
pub(super) fn unlisted_roots<'a>(
    places: &Places,
    gate: &'a GateBin,
) -> impl Iterator<Item = PathBuf> + use<'a> {
    let started = Daemon::find(places).unwrap_or_default();
    let path = daemon_json(places, &started);
    let settings = read(&path)
        .ok()
        .flatten()
        .and_then(|bytes| Settings::parse(&bytes).ok());
    let roots = roots(places, &started, &settings.unwrap_or_default(), None);
    let listed = &gate.engines.docker_roots;
    let real = |path: &PathBuf| std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
    roots.into_iter().filter(move |root| {
        root.exists() && !listed.iter().any(|listed| real(listed) == real(root))
    })
}

fn roots(
    places: &Places,
    started: &Daemon,
    settings: &Settings,
    gate: Option<&GateBin>,
) -> Vec<PathBuf> {
    let given = ["--data-root", "-g", "--graph"]
        .iter()
        .find_map(|name| started.option(name));
    let set = settings.data_root();
    match (given.or_else(|| set.map(str::to_owned)), gate) {
        (Some(root), _) => vec![root.into()],
        (None, Some(gate)) => gate.engines.docker_roots.clone(),
        (None, None) => vec![places.docker_root.clone()],
    }
}

fn named(containers: &[Created], which: impl Fn(&Created) -> bool) -> Vec<String> {
    let chosen = containers.iter().filter(|created| which(created));
    chosen.map(|created| created.name.clone()).collect()
}

/// Whether the gate would run this very program, and whether it is what it is called.
fn wrap(kind: RuntimeKind, program: &Path, places: &Places, gate: &GateBin) -> Result<(), String> {
    let found = match program.components().count() {
        1 => program.to_str().and_then(|name| places.find(name)),
        _ => Some(program.to_owned()),
    };
    let found = found.and_then(|found| std::fs::canonicalize(found).ok());
    let found = found.ok_or_else(|| format!("'{}' is not there", program.display()))?;
    if !is_runtime(&found, kind) {
        return Err(format!(
            "'{}' is not {} but something before it: let it be, and use '--runtime system', which stands below it",
            program.display(),
            kind.as_str()
        ));
    }
    let configured = match kind {
        RuntimeKind::Runc => &gate.runtimes.runc,
        RuntimeKind::Crun => &gate.runtimes.crun,
    };
    let real = real::find(kind, Some(configured)).and_then(|real| std::fs::canonicalize(real).ok());
    if real.as_ref() == Some(&found) {
        return Ok(());
    }
    Err(format!(
        "the gate would run '{}' and not '{}': say [runtime] {} = \"{1}\" in config.toml, run \
             'vcn-hook apply', then try again",
        real.unwrap_or_default().display(),
        found.display(),
        kind.as_str()
    ))
}

/// A program, not a script, that calls itself by this name.
fn is_runtime(program: &Path, kind: RuntimeKind) -> bool {
    let mut magic = [0; 4];
    let is_elf = std::fs::File::open(program)
        .and_then(|mut file| file.read_exact(&mut magic))
        .is_ok_and(|()| magic == *b"\x7fELF");
    let says = || {
        let said = Command::new(program)
            .arg("--version")
            .stdin(Stdio::null())
            .output();
        said.is_ok_and(|said| {
            said.stdout
                .starts_with(format!("{} version", kind.as_str()).as_bytes())
        })
    };
    is_elf && says()
}
