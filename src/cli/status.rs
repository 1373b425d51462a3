//! `status`: is the gate on, how fresh is its allowlist, what did it decide.

mod alerts;
mod frame;
mod live;

use serde_json::{Value, json};

use super::args;
use super::context::Context;
use super::decisions::{self, Tail};
use super::failure::Failure;
use super::moment;
use super::output;
use super::view::View;
use crate::apply::exemptions;
use crate::audit::UNRECORDED;
use crate::config::Config;
use crate::policy::freshness::duration;
use crate::policy::gatebin::Exempted;
use crate::store::HighWater;
use crate::verdict::Reason;
use crate::watch::{self, outbox::Outbox};

/// Shows what this node knows and did.
///
/// # Errors
/// `configuration` for a configuration that cannot be read; anything else is part of the answer.
pub fn run(context: &mut Context, args: &args::Status) -> Result<u8, Failure> {
    if args.watch {
        return live::run(context, args);
    }
    let config = context.config()?;
    let node = Node::look(context, &config);
    let tail = decisions::tail(&config.decisions);
    let unrecorded = unrecorded(&config);
    // Only root may read it, and it is there once somebody has watched.
    let outbox = Outbox::read(&watch::directory(&config.state_dir)).ok();
    let mut value = node.value(&config, &tail, unrecorded);
    if let (Value::Object(map), Some(outbox)) = (&mut value, &outbox) {
        map.insert("alerts".to_owned(), alerts::value(outbox));
    }
    let now = context.now;
    context.out.answer(&value, |_| {
        let alerts = outbox.as_ref().map(alerts::rows).unwrap_or_default();
        node.text(&config, &tail, unrecorded, now) + &alerts
    })?;
    Ok(0)
}

/// How many decisions could not be written to their file: the gate adds a byte for each.
fn unrecorded(config: &Config) -> u64 {
    std::fs::metadata(config.run_dir.join(UNRECORDED)).map_or(0, |counter| counter.len())
}

/// What there is to see.
struct Node {
    view: Result<View, String>,
    allowlist: Result<Allowlist, String>,
    mark: HighWater,
    /// This node's id, or why it has none.
    id: Result<String, String>,
    /// What gate.bin has of exemptions, and whether they are in force.
    exempt: Vec<(Exempted, &'static str)>,
}

/// The signed facts of the allowlist in use.
struct Allowlist {
    log_size: u64,
    records: u64,
    root_version: u64,
    signed: u64,
    expires: u64,
    wrong: Option<Reason>,
}

impl Node {
    fn look(context: &Context, config: &Config) -> Self {
        let view = View::open(context).map_err(|failure| failure.to_string());
        let allowlist = match &view {
            Ok(view) => allowlist(view, context.now),
            Err(text) => Err(text.clone()),
        };
        let mark = view.as_ref().map_or_else(
            |_| crate::store::Store::new(&config.state_dir).high_water(),
            |view| view.store.high_water(),
        );
        let id = exemptions::node_id();
        Self {
            exempt: exempt(view.as_ref().ok(), context.now),
            view,
            allowlist,
            mark: mark.unwrap_or_default(),
            id: id.map(|id| id.to_string()).map_err(|why| why.to_string()),
        }
    }

    fn value(&self, config: &Config, tail: &std::io::Result<Tail>, unrecorded: u64) -> Value {
        let allowlist = match &self.allowlist {
            Ok(found) => json!({
                "logSize": found.log_size,
                "records": found.records,
                "rootVersion": found.root_version,
                "signed": moment::rfc3339(found.signed),
                "expires": moment::rfc3339(found.expires),
                "usable": found.wrong.is_none(),
                "code": found.wrong.as_ref().map(|reason| reason.code.as_str()),
                "error": found.wrong.as_ref().map(|reason| &reason.detail),
            }),
            Err(error) => json!({ "usable": false, "error": error }),
        };
        let gate = self.view.as_ref().ok().map(|view| &view.gate);
        json!({
            "config": config.path.display().to_string(),
            "ledger": config.ledger,
            "mode": config.mode,
            "applied": gate.map(|gate| json!({ "mode": gate.mode, "floor": gate.floor.len() })),
            "root": gate.map(|gate| json!({
                "origin": gate.trust.origin,
                "version": gate.trust.root_version,
                "digest": gate.trust.root_digest,
            })),
            "allowlist": allowlist,
            "highWater": {
                "logSize": self.mark.log_size,
                "time": moment::rfc3339(self.mark.time),
                "rootVersion": self.mark.root_version,
            },
            "node": self.id.as_ref().ok(),
            "held": self.view.as_ref().ok().map(|view| view.gate.held.iter().map(|each| json!({
                "config": each.config,
                "chain": each.chain,
                "since": moment::rfc3339(each.since),
            })).collect::<Vec<_>>()),
            "exemptions": self.exempt.iter().map(|(each, state)| json!({
                "config": each.config,
                "until": moment::rfc3339(each.until),
                "because": each.because,
                "state": state,
            })).collect::<Vec<_>>(),
            "decisions": match tail {
                Ok(tail) => Counts::of(tail).value(tail),
                Err(error) => json!({ "error": error.to_string() }),
            },
            "unrecorded": unrecorded,
        })
    }

    fn text(
        &self,
        config: &Config,
        tail: &std::io::Result<Tail>,
        unrecorded: u64,
        now: u64,
    ) -> String {
        let gate = self.view.as_ref().ok().map(|view| &view.gate);
        let mode = match gate {
            Some(gate) if gate.mode == config.mode => gate.mode.as_str().to_owned(),
            Some(gate) => format!(
                "{}; config.toml says {}, run 'vcn-hook apply'",
                gate.mode.as_str(),
                config.mode.as_str()
            ),
            None => format!("{}, not applied", config.mode.as_str()),
        };
        let mut rows = vec![
            ("Mode", mode),
            ("Configuration", config.path.display().to_string()),
            (
                "Ledger",
                config.ledger.clone().unwrap_or_else(|| "none".to_owned()),
            ),
        ];
        if let Some(gate) = gate {
            let trust = &gate.trust;
            let root = format!("version {} of {}", trust.root_version, trust.origin);
            rows.push(("Trust root", root));
        }
        match &self.allowlist {
            Ok(found) => rows.extend(found.rows(now)),
            Err(error) => rows.push(("Allowlist", error.clone())),
        }
        if self.mark != HighWater::default() {
            let mark = format!(
                "log size {}, root version {}, {}",
                self.mark.log_size,
                self.mark.root_version,
                moment::text(self.mark.time)
            );
            rows.push(("High water", mark));
        }
        let node = self.id.as_ref().unwrap_or_else(|why| why);
        rows.push(("Node", node.clone()));
        let held = self.view.as_ref().map(|view| view.gate.held.as_slice());
        rows.extend(held.unwrap_or_default().iter().map(|each| {
            let since = moment::text(each.since);
            let text = format!(
                "{} since {since}, its word is missing: see 'vcn-hook apply'",
                each.config
            );
            ("HELD", text)
        }));
        rows.extend(self.exempt.iter().map(|(each, state)| {
            let text = format!("{} {} ({state})", each.config, each.because);
            ("Exempt", text)
        }));
        rows.push((
            "Decisions",
            match tail {
                Ok(tail) => Counts::of(tail).text(tail),
                Err(error) => format!("cannot be read: {error}"),
            },
        ));
        if unrecorded > 0 {
            let text = format!(
                "{unrecorded} decisions could not be written to '{}'",
                config.decisions.display()
            );
            rows.push(("Unrecorded", text));
        }
        output::rows(&rows)
    }
}

impl Allowlist {
    fn rows(&self, now: u64) -> Vec<(&'static str, String)> {
        let state = match &self.wrong {
            Some(reason) => reason.to_string(),
            None => format!(
                "usable for {}, signed {} ago",
                duration(self.expires.saturating_sub(now)),
                duration(now.saturating_sub(self.signed))
            ),
        };
        let size = format!("{} records, log size {}", self.records, self.log_size);
        vec![("Allowlist", state), ("Size", size)]
    }
}

/// As the gate has them: not the files, which may have been put there since.
fn exempt(view: Option<&View>, now: u64) -> Vec<(Exempted, &'static str)> {
    let all = view.map(|view| view.gate.exemptions.clone());
    let state = |each: &Exempted| match each {
        each if now >= each.until => "ended",
        each if now < each.from => "pending",
        _ => "active",
    };
    let all = all.unwrap_or_default().into_iter();
    all.map(|each| (each.clone(), state(&each))).collect()
}

fn allowlist(view: &View, now: u64) -> Result<Allowlist, String> {
    let note = view.note().map_err(|reason| reason.to_string())?;
    // Any key shows whether the allowlist answers at all.
    let probe = crate::allowlist::record::Key::from_bytes([0; 32]);
    let wrong = match view.consult(&probe, now) {
        Ok(answer) => answer.freshness.err(),
        Err(reason) => Some(reason),
    };
    Ok(Allowlist {
        log_size: note.log_size,
        records: note.base.records.saturating_add(note.delta.records),
        root_version: note.root_version,
        signed: note.time,
        expires: note.expires,
        wrong,
    })
}

/// How the newest decisions came out.
#[derive(Default)]
struct Counts {
    allowed: usize,
    warned: usize,
    refused: usize,
    would_deny: usize,
}

impl Counts {
    fn of(tail: &Tail) -> Self {
        let mut counts = Self::default();
        for decision in &tail.decisions {
            match (decision.verdict.as_str(), decision.would_deny) {
                (_, true) => counts.would_deny += 1,
                ("allow", _) => counts.allowed += 1,
                ("warn", _) => counts.warned += 1,
                _ => counts.refused += 1,
            }
        }
        counts
    }

    fn value(&self, tail: &Tail) -> Value {
        json!({
            "allow": self.allowed,
            "warn": self.warned,
            "deny": self.refused,
            "wouldDeny": self.would_deny,
            "unreadable": tail.unreadable,
            "since": tail.decisions.first().map(|decision| &decision.time),
            "last": tail.decisions.last().map(|decision| &decision.time),
        })
    }

    fn text(&self, tail: &Tail) -> String {
        let Some(first) = tail.decisions.first() else {
            return "none recorded".to_owned();
        };
        format!(
            "{} allowed, {} warned, {} refused, {} would have been (since {})",
            self.allowed, self.warned, self.refused, self.would_deny, first.time
        )
    }
}
