//! Whether what was put in still stands.
//!
//! Owns the answer to one question for each way in, by what is on the machine and not by what was
//! once written down. What an engine read of it, only the engine knows.

use super::daemon_json::{NAME, Settings};
use super::docker;
use super::dockerd::Daemon;
use super::edit::read;
use super::places::Places;
use super::record::Record;
use super::system::{self, Found, Standing};
use super::{Target, links, podman};
use crate::engine::RuntimeKind;

/// How one way in stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The way in.
    pub target: Target,
    /// Whether starts come past the gate there.
    pub state: State,
    /// What of it is not as it should be, one thing a line.
    pub findings: Vec<String>,
    /// Since when it is on, if that is on record. Unix seconds.
    pub since: Option<u64>,
}

/// Whether starts come past the gate by one way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing of ours is there.
    Off,
    /// All of it is there.
    On,
    /// Some of it is missing.
    Partial,
    /// It was on, and something else has taken its place.
    Overwritten,
    /// What stands there cannot be read.
    Unclear,
}

impl State {
    /// Its name in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Partial => "partial",
            Self::Overwritten => "overwritten",
            Self::Unclear => "unclear",
        }
    }
}

/// Looks at every way in.
#[must_use]
pub fn status(places: &Places) -> Vec<Status> {
    let look = |target| {
        let record = Record::read(places, target);
        let record = record.filter(Record::is_on);
        let is_recorded = record.is_some();
        let (state, findings) = match target {
            Target::Docker => of_docker(places, is_recorded),
            Target::Podman => of_podman(places, is_recorded),
            Target::System => of_system(places, is_recorded),
        };
        Status {
            target,
            state,
            findings,
            since: record.map(|record| record.since),
        }
    };
    Target::ALL.map(look).into()
}

fn of_docker(places: &Places, is_recorded: bool) -> (State, Vec<String>) {
    let started = Daemon::find(places).unwrap_or_default();
    let path = docker::daemon_json(places, &started);
    let bytes = match read(&path) {
        Ok(bytes) => bytes.unwrap_or_default(),
        Err(error) => return (State::Unclear, vec![in_full(&error)]),
    };
    let settings = match Settings::parse(&bytes) {
        Ok(settings) => settings,
        Err(why) => return (State::Unclear, vec![format!("'{}': {why}", path.display())]),
    };
    let mut findings = Vec::new();
    let is_default = settings.default() == NAME;
    let has_entry = settings.has_entry(places);
    if !is_default && (has_entry || is_recorded) {
        let default = settings.default();
        findings.push(format!(
            "'{}': the default runtime is '{default}'",
            path.display()
        ));
    }
    if !has_entry && (is_default || is_recorded) {
        findings.push(format!(
            "'{}': no runtime '{NAME}' that is vcn-hook",
            path.display()
        ));
    }
    findings.extend(missing_links(places, has_entry));
    let state = match (is_default && has_entry, is_default || has_entry) {
        (true, _) if findings.is_empty() => State::On,
        (_, true) => State::Partial,
        _ if is_recorded => State::Overwritten,
        _ => State::Off,
    };
    (state, findings)
}

fn of_podman(places: &Places, is_recorded: bool) -> (State, Vec<String>) {
    let settings = match podman::Settings::read(places, None) {
        Ok(settings) => settings,
        Err(error) => return (State::Unclear, vec![in_full(&error)]),
    };
    let hook = podman::hook_file(places, &settings);
    let drop_in = podman::drop_in(places);
    let (has_file, has_hook) = (podman::is_ours(&drop_in, places), hook.is_file());
    if !has_file && !has_hook {
        return match is_recorded {
            true => (
                State::Overwritten,
                vec![format!("'{}' is gone", drop_in.display())],
            ),
            false => (State::Off, Vec::new()),
        };
    }
    let mut findings = Vec::new();
    let mut is_overwritten = false;
    for (is_there, path) in [(has_file, &drop_in), (has_hook, &hook)] {
        if !is_there {
            findings.push(format!("'{}' is gone", path.display()));
        }
    }
    for kind in [RuntimeKind::Runc, RuntimeKind::Crun] {
        let programs = settings.programs(kind.as_str());
        if has_file && programs.first() != Some(&places.gate(kind)) {
            is_overwritten = true;
            let shown = programs.first();
            let shown = shown.map_or("nothing", |path| path.to_str().unwrap_or("?"));
            findings.push(format!(
                "other settings of Podman's say that {} is '{shown}'",
                kind.as_str()
            ));
        }
    }
    findings.extend(missing_links(places, has_file));
    let state = match findings.is_empty() {
        true => State::On,
        false if is_overwritten => State::Overwritten,
        false => State::Partial,
    };
    (state, findings)
}

fn of_system(places: &Places, is_recorded: bool) -> (State, Vec<String>) {
    let Found { sites, unfit } = system::sites(places);
    let is_on = is_recorded || sites.iter().any(|site| site.standing != Standing::Plain);
    if !is_on {
        return (State::Off, Vec::new());
    }
    let mut state = if unfit.is_empty() {
        State::On
    } else {
        State::Partial
    };
    let mut findings = unfit;
    for site in &sites {
        let path = site.diversion.path.display();
        let (worse, finding) = match site.standing {
            Standing::Ours => continue,
            Standing::Plain => (State::Partial, format!("'{path}' is not vcn-hook")),
            Standing::Half => (State::Partial, format!("'{path}' is not vcn-hook yet")),
            Standing::Overwritten => (
                State::Overwritten,
                format!("'{path}' was replaced by another program, as a package's upgrade does"),
            ),
            Standing::Lost => (
                State::Partial,
                format!("'{path}' is vcn-hook, and the real program is gone: nothing starts"),
            ),
        };
        if state != State::Overwritten {
            state = worse;
        }
        findings.push(finding);
    }
    if sites.is_empty() {
        state = State::Overwritten;
        findings.push("there is neither runc nor crun any more".to_owned());
    }
    (state, findings)
}

fn missing_links(places: &Places, are_wanted: bool) -> Option<String> {
    let is_missing = are_wanted && !links::are_there(places);
    let directory = places.libexec.join("gate");
    is_missing.then(|| {
        let directory = directory.display();
        format!(
            "runc and crun in '{directory}' do not both lead to vcn-hook: containers do not start"
        )
    })
}

fn in_full(error: &super::ConfigureError) -> String {
    use std::error::Error as _;
    error
        .source()
        .map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}
