//! What is done about a container: its engine is told to pause or to stop it.
//!
//! Owns to whom it is done and how often. Never to what is on the floor, exempted or the watch's own
//! image, never while nothing can be decided, and never to what no engine of ours has. The gate never
//! does this: it must not ask an engine that waits for it.

use std::collections::{HashSet, VecDeque};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::incidents::key;
use super::program;
use super::sweep::{Sweep, Watched};
use crate::allowlist::record::Status;
use crate::audit::escape_controls;
use crate::config::Config;
use crate::config::watch::{Action, Watch};
use crate::policy::gatebin::Mode;
use crate::sys::clock::rfc3339;
use crate::sys::file::append_owned;
use crate::verdict::Verdict;

/// Engines wait ten seconds for a container to stop.
const PATIENCE: Duration = Duration::from_secs(40);

/// How long one look may act, until the last command begins: an engine that hangs must not keep what was
/// found from being told, nor the service's manager waiting.
const AT_ONCE: Duration = Duration::from_secs(40);

const MINUTE: Duration = Duration::from_secs(60);

/// The exit code of `verify` for what the ledger has no word about.
pub(super) const NO_WORD: u8 = 2;

/// How it begins what is said of a deed that failed.
const COULD_NOT: &str = "could not be";

/// What acts, and what it has done lately.
#[derive(Debug, Default)]
pub struct Actor {
    /// Whether it only says what it would do. In audit mode it does so anyway.
    pub dry_run: bool,
    recent: VecDeque<Instant>,
    /// What is on record of what is still to be done: each attempt that fails would be again. What was
    /// done is on record each time.
    noted: HashSet<String>,
}

/// Something that was done to a container, or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// Which container, by the key of its incident.
    pub key: String,
    /// What was to be done.
    pub action: Action,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of something that was to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done,
    /// It would have been.
    Dry,
    /// Too many were done in this minute, or it took too long.
    Limited,
    /// Its engine did not do it.
    Failed(String),
}

impl Actor {
    /// Does what `config` says to each container of a look that is to be acted upon.
    pub fn act(&mut self, sweep: &Sweep, config: &Config) -> Vec<Deed> {
        let dry_run = self.dry_run || sweep.mode != Some(Mode::Enforce);
        let mut deeds = Vec::new();
        let mut noted = HashSet::new();
        let begun = Instant::now();
        for watched in &sweep.containers {
            let Some(action) = due(watched, &config.watch) else {
                continue;
            };
            let Some(command) = command(watched, action, config) else {
                continue;
            };
            let outcome = if dry_run {
                Outcome::Dry
            } else if begun.elapsed() < AT_ONCE && self.is_free(config.watch.actions_per_minute) {
                program::run(command, b"", PATIENCE)
                    .map_or_else(Outcome::Failed, |()| Outcome::Done)
            } else {
                Outcome::Limited
            };
            let deed = Deed {
                key: key(watched),
                action,
                outcome,
            };
            let note = format!("{} {}", deed.key, deed.words());
            let is_known = self.noted.contains(&note) && deed.outcome != Outcome::Done;
            if !is_known && !self.is_quiet(&deed) {
                record(&deed, watched, sweep, config);
            }
            noted.insert(note);
            deeds.push(deed);
        }
        self.noted = noted;
        deeds
    }

    /// Whether there is nothing to record: nothing was tried, or nothing is to be written.
    fn is_quiet(&self, deed: &Deed) -> bool {
        self.dry_run || deed.outcome == Outcome::Limited
    }

    /// Whether one more may be done in this minute; it then counts.
    fn is_free(&mut self, limit: u32) -> bool {
        let now = Instant::now();
        while let Some(first) = self.recent.front()
            && now.duration_since(*first) >= MINUTE
        {
            self.recent.pop_front();
        }
        let is_free = self.recent.len() < usize::try_from(limit).unwrap_or(usize::MAX);
        if is_free {
            self.recent.push_back(now);
        }
        is_free
    }
}

/// What is to be done to a container now, if anything.
fn due(watched: &Watched, watch: &Watch) -> Option<Action> {
    let Verdict::Deny(reason) = &watched.verdict else {
        return None;
    };
    let action = match watched.status {
        Status::Untrusted | Status::Unsupported | Status::Revoked => watch.on_untrusted,
        Status::Unknown if reason.code.exit_code() == NO_WORD => watch.on_unknown,
        Status::Unknown | Status::Trusted => Action::Alert,
    };
    let is_done = action == Action::Alert || (action == Action::Pause && watched.paused);
    let has_engine = ["docker", "podman"].contains(&watched.engine) && !watched.id.is_empty();
    (!is_done && !watched.spared && has_engine).then_some(action)
}

/// The engine's own command for it.
fn command(watched: &Watched, action: Action, config: &Config) -> Option<Command> {
    let mut command = match watched.engine {
        "docker" => {
            let mut docker = Command::new("docker");
            let host = format!("unix://{}", config.docker_socket.display());
            docker.args(["--host", &host]);
            docker
        }
        "podman" => Command::new("podman"),
        _ => return None,
    };
    match action {
        Action::Alert => return None,
        Action::Pause => command.arg("pause"),
        Action::Stop => command.args(["stop", "-t", "10"]),
    };
    // An id is hexadecimal; whatever else it were is no option.
    command.args(["--", &watched.id]);
    Some(command)
}

/// One line of JSON beside the decisions. What cannot be written is in the alert all the same.
fn record(deed: &Deed, watched: &Watched, sweep: &Sweep, config: &Config) {
    let line = escape_controls(&line(deed, watched, sweep).to_string()) + "\n";
    let _ = append_owned(
        &config.decisions.with_file_name("actions.jsonl"),
        line.as_bytes(),
    );
}

fn line(deed: &Deed, watched: &Watched, sweep: &Sweep) -> Value {
    let reason = watched.verdict.reason();
    json!({
        "schema": "vcn-hook/action/v1",
        "time": rfc3339(sweep.begun),
        "node": sweep.node,
        "action": deed.action,
        "outcome": deed.outcome.as_str(),
        "error": match &deed.outcome {
            Outcome::Failed(why) => Some(why),
            Outcome::Done | Outcome::Dry | Outcome::Limited => None,
        },
        "container": { "id": watched.id, "name": watched.name },
        "image": watched.image,
        "config": watched.config.map(|config| config.to_string()),
        "engine": watched.engine,
        "status": watched.status.as_str(),
        "code": reason.code.as_str(),
        "detail": reason.detail,
    })
}

impl Deed {
    /// Whether somebody who knows of the container's failure, and was told this of it, is to be told of
    /// this, too: that it was done, each time; that it could not be, once.
    #[must_use]
    pub fn is_news(&self, told: Option<&str>) -> bool {
        match self.outcome {
            Outcome::Done => true,
            Outcome::Failed(_) => !told.is_some_and(|told| told.starts_with(COULD_NOT)),
            Outcome::Dry | Outcome::Limited => false,
        }
    }

    /// What came of it, as the end of "it ...".
    #[must_use]
    pub fn words(&self) -> String {
        let done = match self.action {
            Action::Alert => "reported",
            Action::Pause => "paused",
            Action::Stop => "stopped",
        };
        match &self.outcome {
            Outcome::Done => format!("was {done}"),
            Outcome::Dry => format!("would be {done}"),
            Outcome::Limited => format!("will be {done} later: there are too many at once"),
            Outcome::Failed(why) => format!("{COULD_NOT} {done}: {why}"),
        }
    }
}

impl Outcome {
    /// The stable name used in records.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Dry => "dry-run",
            Self::Limited => "limited",
            Self::Failed(_) => "failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Actor, due};
    use crate::allowlist::record::Status;
    use crate::config::Config;
    use crate::config::watch::{Action, Watch};
    use crate::verdict::{Reason, ReasonCode, Verdict};
    use crate::watch::sweep::Watched;
    use crate::watch::sweep::tests::container;

    fn watch() -> Watch {
        let text = "[watch]\non_untrusted = \"stop\"\non_unknown = \"pause\"\n";
        let path = std::path::Path::new("/etc/vcn-hook/config.toml");
        let config = Config::from_bytes(path, text.as_bytes());
        config.expect("it is sound").watch
    }

    #[test]
    fn only_what_the_ledger_speaks_of_is_acted_upon() {
        use ReasonCode::{NoIdentity, Quorum, Revoked, Stale, Unknown, Untrusted};
        for (status, code, expected) in [
            (Status::Untrusted, Untrusted, Some(Action::Stop)),
            (Status::Revoked, Revoked, Some(Action::Stop)),
            (Status::Unknown, Unknown, Some(Action::Pause)),
            (Status::Unknown, Quorum, Some(Action::Pause)),
            // Whoever cannot decide does nothing.
            (Status::Unknown, Stale, None),
            (Status::Unknown, NoIdentity, None),
        ] {
            let denied = Watched {
                status,
                verdict: Verdict::Deny(Reason::new(code, "d", "")),
                ..container("a")
            };
            assert_eq!(due(&denied, &watch()), expected, "{code}");
            let spared = Watched {
                spared: true,
                ..denied.clone()
            };
            assert_eq!(due(&spared, &watch()), None, "{code}");
            let nobodys = Watched {
                engine: "nested",
                ..denied.clone()
            };
            assert_eq!(due(&nobodys, &watch()), None, "{code}");
            let paused = Watched {
                paused: true,
                ..denied
            };
            let again = expected.filter(|action| *action == Action::Stop);
            assert_eq!(due(&paused, &watch()), again, "{code}");
        }
        let warned = Watched {
            status: Status::Unsupported,
            verdict: Verdict::Warn(Reason::new(ReasonCode::Unsupported, "d", "")),
            ..container("a")
        };
        assert_eq!(due(&warned, &watch()), None);
    }

    #[test]
    fn a_minute_has_room_for_so_many() {
        let mut actor = Actor::default();
        let free: Vec<_> = (0..4).map(|_| actor.is_free(2)).collect();
        assert_eq!(free, [true, true, false, false]);
    }
}
