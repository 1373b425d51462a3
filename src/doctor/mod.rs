//! What on this node lets a container start unjudged, and what will stop the gate from judging right.
//!
//! Owns the checks, one file for each subject, and how bad each finding is. Looks at files, processes
//! and mounts only: asks no engine, changes nothing, and says what it was not allowed to see. How a
//! finding is shown is `cli`'s.

mod allowlist;
mod around;
mod check;
mod configured;
mod containerd;
mod daemons;
mod docker;
mod files;
mod gate;
mod health;
mod podman;
mod programs;
mod starts;
mod sync;

use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::configure::{self, Places};
use crate::engine::Engines;
use crate::engine::running::{self, Running};
use crate::pipeline;
use crate::policy::gatebin::GateBin;

use daemons::Daemon;

pub use check::{Check, Finding, Findings, Severity};

/// What puts the gate where every engine finds it.
const CONFIGURE: &str = "vcn-hook configure --runtime system";

/// What makes the node follow a ledger.
const ENROLL: &str = "vcn-hook enroll DIR|URL";

/// What whoever asks has brought along.
#[derive(Debug)]
pub struct Question {
    /// The configuration file in force.
    pub config_path: PathBuf,
    /// What is in it, or why it cannot be used.
    pub config: Result<Config, String>,
    /// Whether root asks, who may see all.
    pub is_root: bool,
    /// Unix seconds.
    pub now: u64,
}

/// The node, looked at once for all checks.
struct Node<'a> {
    question: &'a Question,
    gate: Result<GateBin, gate::Trouble>,
    engines: Engines,
    daemons: Vec<Daemon>,
    places: Places,
    ways: Vec<configure::Status>,
    running: Running,
}

impl Node<'_> {
    const fn now(&self) -> u64 {
        self.question.now
    }

    /// Where starts are on record.
    fn decisions(&self) -> Option<&Path> {
        let of_gate = self.gate.as_ref().ok().map(|gate| gate.decisions.as_path());
        of_gate.or_else(|| Some(self.config()?.decisions.as_path()))
    }

    fn config(&self) -> Option<&Config> {
        self.question.config.as_ref().ok()
    }
}

/// Looks at everything.
#[must_use]
pub fn examine(question: &Question) -> Findings {
    let mut found = Findings::default();
    let gate = gate::read(question);
    let engines = engines(question, gate.as_ref().ok());
    // Whatever has become of this program's file, what leads to it can be looked at.
    let places = Places::of_machine(std::env::current_exe().unwrap_or_default());
    let node = Node {
        running: running::list(&engines, question.now),
        daemons: daemons::list(),
        ways: configure::status(&places),
        places,
        gate,
        engines,
        question,
    };
    configured::look(&node, &mut found);
    around::look(&node, &mut found);
    docker::look(&node, &mut found);
    containerd::look(&node, &mut found);
    podman::look(&node, &mut found);
    starts::look(&node, &mut found);
    gate::look(&node, &mut found);
    allowlist::look(&node, &mut found);
    sync::look(&node, &mut found);
    files::look(&node, &mut found);
    health::look(&node, &mut found);
    found
}

/// Where engines keep their files: as the gate knows it, else as it would.
fn engines(question: &Question, gate: Option<&GateBin>) -> Engines {
    if let Some(gate) = gate {
        return pipeline::engines(gate);
    }
    let defaults = || Config::from_bytes(&question.config_path, b"").ok();
    let config = question.config.as_ref().ok().cloned().or_else(defaults);
    config.map_or_else(Engines::default, |config| Engines {
        docker_roots: config.engines.docker_roots,
        containerd_roots: config.engines.containerd_roots,
        storage_roots: config.engines.storage_roots,
        bundles: Vec::new(),
    })
}
