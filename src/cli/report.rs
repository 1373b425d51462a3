//! `report`: what was refused, or would have been in audit mode, or would be at its next start: each
//! image and reason once.
//!
//! Owns the grouping, what the ledger says of each group by now, and what is to be done about it.
//! A refusal of yesterday whose image was notarized since is no refusal of tomorrow.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::args;
use super::context::Context;
use super::decisions::Decision;
use super::explain;
use super::failure::Failure;
use super::moment;
use super::output;
use super::self_test;
use super::view::View;
use crate::allowlist::record::{Key, Kind};
use crate::engine::running::Source;
use crate::image::digest::{ChainId, Digest};
use crate::image::identity::{EngineKind, Identity};
use crate::policy::decide::{Case, decide};
use crate::policy::facts::Facts;
use crate::verdict::{Reason, Verdict};
use crate::watch::look::{Lookout, Statements};
use crate::watch::sweep::{Stated, Watched};

/// Refusals of one image for one reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// The stable reason code.
    pub code: String,
    /// What the user asked for.
    pub image: String,
    /// The config digest, where the containers were bound to one.
    pub config: String,
    /// How often it was refused.
    pub refused: usize,
    /// How often it was let through in audit mode only.
    pub would_deny: usize,
    /// When that was last, in RFC 3339.
    pub last: String,
    /// The container that it was last.
    pub container: String,
    /// Why.
    pub detail: String,
    /// What to do.
    pub hint: String,
    /// The containers that run now, and would be refused at their next start.
    pub running: Vec<String>,
    /// True when the ledger's word was all that was missing, and is here by now.
    pub settled: bool,
    chain: Option<String>,
}

/// What was refused lately.
#[derive(Debug, Clone, Default)]
pub struct Refusals {
    /// Each image and reason once.
    pub groups: Vec<Group>,
    /// True when there are older decisions that were not read.
    pub cut: bool,
}

/// Lists them.
///
/// # Errors
/// When the record cannot be read.
pub fn run(context: &mut Context, args: &args::Report) -> Result<u8, Failure> {
    let since = match &args.since {
        None => 0,
        Some(span) => moment::parse(span, 0)
            .filter(|_| !span.contains('-'))
            .map(|span| context.now.saturating_sub(span))
            .ok_or_else(|| Failure::usage(format!("--since: '{span}' is no span such as 7d")))?,
    };
    let mut refusals = since_then(context, since)?;
    if args.running {
        refusals.add_running(context)?;
    }
    let values: Vec<Value> = refusals.groups.iter().map(Group::value).collect();
    context.out.answer(&values, |_| refusals.text())?;
    if refusals.cut {
        context
            .out
            .note("older decisions are in the file, and were not read");
    }
    Ok(0)
}

/// What was refused, or would have been, since `since` (Unix seconds).
///
/// # Errors
/// When the record cannot be read.
pub fn since_then(context: &Context, since: u64) -> Result<Refusals, Failure> {
    let tail = explain::read(context)?;
    let mut groups: BTreeMap<[String; 3], Group> = BTreeMap::new();
    // By digest: what a container is called would let anybody hide from this report.
    let canaries = self_test::canaries_of(&context.config()?);
    let canaries: Vec<_> = canaries.iter().map(ToString::to_string).collect();
    let is_canary = |decision: &&Decision| {
        let config = decision.config.as_ref();
        config.is_some_and(|config| canaries.contains(config))
    };
    let refused = tail.decisions.iter().filter(|decision| decision.refused());
    for decision in refused.filter(|decision| !is_canary(decision)) {
        if moment::parse(&decision.time, 0).unwrap_or(0) < since {
            continue;
        }
        let image = decision.image.clone().unwrap_or_default();
        let config = decision.config.clone().unwrap_or_default();
        let key = [decision.code.clone(), image, config];
        groups.entry(key).or_default().add(decision);
    }
    let view = View::open(context).ok();
    let mut groups: Vec<Group> = groups.into_values().collect();
    for group in &mut groups {
        group.settled = view
            .as_ref()
            .is_some_and(|view| group.is_settled(view, context.now));
    }
    Ok(Refusals {
        groups,
        cut: tail.cut,
    })
}

/// Nobody needs to know here what statements say.
struct Silence;

impl Statements for Silence {
    fn at(&mut self, _: u64) -> Option<Stated> {
        None
    }
}

impl Refusals {
    /// Adds the containers that run now and would be refused at their next start, by the gate's own
    /// function and by the layers that are mounted. What only a start shows is not among it.
    ///
    /// # Errors
    /// `configuration`.
    pub fn add_running(&mut self, context: &mut Context) -> Result<(), Failure> {
        let config = context.config()?;
        let mut lookout = Lookout::new(String::new(), &config);
        let sweep = lookout.sweep(&config, &mut Silence, context.now);
        for trouble in &sweep.troubles {
            context.out.note(format!("not looked at: {trouble}"));
        }
        for container in sweep.containers {
            let ours = ![Source::Nested, Source::Build, Source::User]
                .iter()
                .any(|source| source.as_str() == container.engine);
            if let (true, Verdict::Deny(reason)) = (ours, &container.verdict) {
                self.add_one(&container, reason);
            }
        }
        Ok(())
    }

    fn add_one(&mut self, container: &Watched, reason: &Reason) {
        let config = container.config.map(|config| config.to_string());
        let config = config.unwrap_or_default();
        let image = container.image.clone().unwrap_or_default();
        let same = |group: &&mut Group| {
            (group.code.as_str(), &group.image, &group.config)
                == (reason.code.as_str(), &image, &config)
        };
        let name = container.name.as_ref().unwrap_or(&container.id).clone();
        if let Some(group) = self.groups.iter_mut().find(same) {
            group.settled = false;
            group.running.push(name);
            return;
        }
        self.groups.push(Group {
            code: reason.code.as_str().to_owned(),
            image,
            config,
            container: container.id.clone(),
            detail: reason.detail.clone(),
            hint: reason.hint.clone(),
            running: vec![name],
            ..Group::default()
        });
    }

    /// Those that would be refused again.
    pub fn open(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().filter(|group| !group.settled)
    }

    /// As a table, with what is to be done.
    #[must_use]
    pub fn text(&self) -> String {
        if self.groups.is_empty() {
            return "nothing was refused, and nothing would have been\n".to_owned();
        }
        let lines: Vec<[String; 7]> = self.groups.iter().map(Group::line).collect();
        output::table(
            ["REASON", "TIMES", "LAST", "RUNS", "IMAGE", "CONFIG", "NEXT"],
            &lines,
        )
    }
}

impl Group {
    fn add(&mut self, decision: &Decision) {
        if decision.would_deny {
            self.would_deny += 1;
        } else {
            self.refused += 1;
        }
        self.code.clone_from(&decision.code);
        self.image = decision.image.clone().unwrap_or_default();
        self.config = decision.config.clone().unwrap_or_default();
        self.chain.clone_from(&decision.chain);
        self.last.clone_from(&decision.time);
        self.container.clone_from(&decision.container.id);
        self.detail.clone_from(&decision.detail);
        self.hint.clone_from(&decision.hint);
    }

    /// Asks the ledger's word again. What no ledger decides (mounts, files, host access) may be again.
    fn is_settled(&self, view: &View, now: u64) -> bool {
        const LEDGER: [&str; 11] = [
            "untrusted",
            "unknown",
            "chain-mismatch",
            "quorum",
            "lapsed",
            "unsupported",
            "revoked",
            "no-allowlist",
            "stale",
            "root-behind",
            "tampered",
        ];
        if !LEDGER.contains(&self.code.as_str()) {
            return false;
        }
        let Some(identity) = self.identity() else {
            return false;
        };
        let answer = view.consult(&Key::of(Kind::Config, &identity.config), now);
        let case = Case {
            identity: &identity,
            records: answer.as_ref().map(|answer| answer.records.as_slice()),
            freshness: answer
                .as_ref()
                .map_or(Ok(()), |answer| answer.freshness.as_ref().copied()),
            chain_of_config: identity.chain,
            pause: false,
            facts: &Facts::none(),
            now,
        };
        !matches!(decide(&view.gate, &case), Verdict::Deny(_))
    }

    fn identity(&self) -> Option<Identity> {
        Some(Identity {
            config: self.config.parse::<Digest>().ok()?,
            chain: match &self.chain {
                Some(chain) => Some(chain.parse::<ChainId>().ok()?),
                None => None,
            },
            manifest: None,
            // No rule asks which engine it was.
            engine: EngineKind::Bundle,
        })
    }

    fn next(&self) -> String {
        if self.settled {
            return "nothing: the ledger vouches for it by now".to_owned();
        }
        let missing = ["unknown", "lapsed"].contains(&self.code.as_str());
        let id = self.config.strip_prefix("sha256:");
        match id.and_then(|id| id.get(..12)).filter(|_| missing) {
            Some(id) => {
                format!("yours: vcn-hook baseline --only '{id}*'; not yours: remove what starts it")
            }
            None => self.hint.clone(),
        }
    }

    /// As scripts read it.
    #[must_use]
    pub fn value(&self) -> Value {
        json!({
            "code": self.code, "image": self.image, "config": self.config, "refused": self.refused,
            "wouldDeny": self.would_deny, "last": self.last, "container": self.container,
            "detail": self.detail, "hint": self.hint, "next": self.next(), "settled": self.settled,
            "running": self.running,
        })
    }

    fn line(&self) -> [String; 7] {
        let count = |count: usize| match count {
            0 => String::new(),
            count => count.to_string(),
        };
        [
            self.code.clone(),
            count(self.refused + self.would_deny),
            self.last.clone(),
            count(self.running.len()),
            self.image.clone(),
            self.config.clone(),
            self.next(),
        ]
    }
}
