//! Many starts at once, while the allowlist is swapped under them.
//!
//! Owns how a burst is made and what became of each start. What an engine is
//! told, and what is right, is the caller's to say.

use super::command::Ran;
use super::node::Node;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What became of a burst, in the order of the starts.
#[derive(Debug)]
pub struct Burst {
    pub ran: Vec<Ran>,
    /// How long after the first each start was finished.
    pub took: Vec<Duration>,
}

impl Burst {
    /// Makes `count` starts at once, and waits for the last.
    pub fn of(count: usize, start: impl Fn(usize) -> Ran + Sync) -> Self {
        let begun = Instant::now();
        let start = &start;
        let finished: Vec<(Ran, Duration)> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..count)
                .map(|number| scope.spawn(move || (start(number), begun.elapsed())))
                .collect();
            starts
                .into_iter()
                .map(|start| start.join().unwrap())
                .collect()
        });
        let (ran, took) = finished.into_iter().unzip();
        Self { ran, took }
    }

    /// The slowest start.
    pub fn slowest(&self) -> Duration {
        self.took.iter().max().copied().unwrap_or_default()
    }
}

/// Runs `work`, while new statements are synced and swapped in one after the other. Says how often.
pub fn while_syncing<T>(node: &Node, work: impl FnOnce() -> T) -> (T, usize) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let syncing = scope.spawn(|| {
            let mut swaps = 0;
            while !done.load(Ordering::Relaxed) {
                node.vcn(&["notarize", "--hash", &format!("{swaps:064x}")])
                    .ok();
                node.sync();
                swaps += 1;
            }
            swaps
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        (result, syncing.join().unwrap())
    })
}

/// The codes on record for each container that has a name, one start after the other.
pub fn codes_by_name(node: &Node) -> BTreeMap<String, Vec<String>> {
    let mut codes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for decision in node.decisions() {
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        if let (Some(name), Some(code)) = (
            text(&decision["container"]["name"]),
            text(&decision["code"]),
        ) {
            codes.entry(name).or_default().push(code);
        }
    }
    codes
}
