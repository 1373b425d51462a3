//! Everything that is shown of a node at one moment: what a metric, a page and a point are made of.
//!
//! Owns the words for it. Names and texts in here come from outside: each output escapes them its way.

use std::sync::Arc;

use super::decisions::Decisions;
use super::outbox::Outbox;
use super::sweep::{Sweep, Watched};
use crate::image::digest::Digest;
use crate::policy::gatebin::Mode;

/// Everything that is shown of a node.
#[derive(Debug, Clone, Default)]
pub struct Picture {
    /// When it was made, in Unix seconds.
    pub now: u64,
    /// Seconds between two sweeps.
    pub interval: u64,
    /// The last sweep, if there was one.
    pub sweep: Option<Arc<Sweep>>,
    /// What the gate decided.
    pub decisions: Decisions,
    /// What the node says of itself.
    pub node: Node,
    /// How telling others went.
    pub told: Vec<Telling>,
}

/// What the node says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Node {
    /// What a refusal does here; `None` where nothing was applied.
    pub mode: Option<Mode>,
    /// The ledger that it follows.
    pub ledger: Option<String>,
    /// How many decisions could not be written down.
    pub unrecorded: u64,
    /// The last proof that the gate is in.
    pub self_test: Option<SelfTest>,
    /// The last attempt to follow the ledger.
    pub sync: Option<Sync>,
    /// The images that may start although the ledger has no word about them.
    pub exemptions: Vec<Exemption>,
}

/// What the last self-test showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelfTest {
    /// When, in Unix seconds.
    pub time: u64,
    /// An image that nobody notarized was refused.
    pub proven: bool,
    /// What came of it, where that is not so.
    pub outcome: String,
}

/// How the last sync ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sync {
    /// When, in Unix seconds.
    pub time: u64,
    /// What kept it from its end.
    pub error: Option<String>,
}

/// One image that may start for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exemption {
    /// Its config digest.
    pub config: Digest,
    /// Until when, in Unix seconds.
    pub until: u64,
    /// Who signed that, and why.
    pub because: String,
}

/// How telling one other place went; points are counted by the batch, and since the watch began.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Telling {
    /// Which one: `influx`, `slack`, `webhook`, `exec`.
    pub target: String,
    /// What is not told yet.
    pub waiting: u64,
    /// What was told.
    pub delivered: u64,
    /// How many attempts failed.
    pub failed: u64,
    /// What will never be told.
    pub dropped: u64,
    /// Why the last attempt failed; `None` once one succeeded.
    pub error: Option<String>,
}

impl Telling {
    /// How telling each receiver of alerts went.
    #[must_use]
    pub fn all_of(outbox: &Outbox) -> Vec<Self> {
        let queues = outbox.queues().iter();
        let told = queues.map(|(target, queue)| Self {
            target: target.clone(),
            waiting: queue.waiting.len() as u64,
            delivered: queue.delivered,
            failed: queue.failures,
            dropped: queue.dropped,
            error: queue.error.clone(),
        });
        told.collect()
    }
}

impl Watched {
    /// What outputs call it: the short id, else its first process.
    #[must_use]
    pub fn label(&self) -> String {
        match self.id.is_empty() {
            true => format!("pid-{}", self.pid),
            false => self.short_id().to_owned(),
        }
    }

    /// The namespace and the pod that are in the name which Kubernetes gives Docker's containers
    /// (`k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT`), and the name that is left; nothing where there is none.
    #[must_use]
    pub fn pod(&self) -> (&str, &str, &str) {
        let name = self.name.as_deref().unwrap_or_default();
        let parts: Vec<_> = name.split('_').collect();
        match parts.as_slice() {
            ["k8s", container, pod, namespace, _, _] => (namespace, pod, container),
            _ => ("", "", name),
        }
    }
}
