//! What the gate decided, counted from its record as that grows.
//!
//! Owns the counters, how long decisions took, and the newest refusals. Whatever a record says, there
//! are only so many counters: a word that the gate does not know is counted as `other`.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;

use serde::Deserialize;

use crate::audit::follow::Follow;
use crate::verdict::ReasonCode;

/// Of a record that is met first, some hundred thousand decisions.
const TAIL: u64 = 64 << 20;

/// As many refusals as somebody looks through.
const REFUSALS: usize = 50;

/// Decisions whose times are remembered one by one, for quantiles.
const RECENT: usize = 1000;

/// The upper bounds of the histogram: microseconds, and as Prometheus writes them in seconds.
pub const BOUNDS: [(u64, &str); 14] = [
    (100, "0.0001"),
    (250, "0.00025"),
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (2_500_000, "2.5"),
];

/// What one counter counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Outcome {
    /// `allow`, `warn`, `deny`, or `would-deny` for what only audit mode let start.
    pub decision: &'static str,
    /// The reason code.
    pub reason: &'static str,
    /// The engine; `none` where no image was known.
    pub engine: &'static str,
}

/// A start that was refused, or would have been.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// RFC 3339.
    pub time: String,
    /// The runtime's id of the container.
    pub id: String,
    /// The name that people know it by.
    pub name: Option<String>,
    /// What the user asked for, else the image's digest, else nothing.
    pub image: String,
    /// The reason code.
    pub code: String,
    /// One sentence about this start.
    pub detail: String,
    /// What to do next.
    pub hint: String,
    /// It started nevertheless, as the node is in audit mode.
    pub only_audited: bool,
}

/// What the record amounts to so far.
#[derive(Debug, Clone, Default)]
pub struct Decisions {
    /// How often each came out.
    pub counts: BTreeMap<Outcome, u64>,
    /// How many took no longer than each bound and longer than the one before; the last are beyond all.
    pub buckets: [u64; BOUNDS.len() + 1],
    /// How long all of them took, in microseconds.
    pub sum: u64,
    /// Lines that are no decision.
    pub unreadable: u64,
    /// The newest refusals, newest last.
    pub refusals: VecDeque<Refusal>,
    /// How long the newest took, in microseconds.
    recent: VecDeque<u64>,
}

/// A record that is being counted.
#[derive(Debug)]
pub struct Record {
    file: Follow,
    /// What was counted.
    pub decisions: Decisions,
}

impl Record {
    /// The record in the file at `path`. Nothing is read yet.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        Self {
            file: Follow::of(path, TAIL),
            decisions: Decisions::default(),
        }
    }

    /// The file that is counted.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Counts what was added since.
    ///
    /// # Errors
    /// The operating system's.
    pub fn read_on(&mut self) -> io::Result<()> {
        let decisions = &mut self.decisions;
        self.file.read_on(&mut |line| decisions.count(line))
    }
}

/// A line of the record, as far as it is counted.
#[derive(Deserialize)]
struct Line {
    time: String,
    verdict: String,
    code: String,
    detail: String,
    #[serde(default)]
    hint: String,
    container: Container,
    image: Option<String>,
    config: Option<String>,
    engine: Option<String>,
    #[serde(default)]
    would_deny: bool,
    duration_us: u64,
}

#[derive(Deserialize)]
struct Container {
    id: String,
    name: Option<String>,
}

impl Decisions {
    /// Counts one line of the record.
    pub fn count(&mut self, line: &[u8]) {
        let Ok(line) = serde_json::from_slice::<Line>(line) else {
            self.unreadable = self.unreadable.saturating_add(1);
            return;
        };
        let count = self.counts.entry(line.outcome()).or_default();
        *count = count.saturating_add(1);
        let took = line.duration_us;
        let place = BOUNDS.iter().position(|(bound, _)| took <= *bound);
        if let Some(bucket) = self.buckets.get_mut(place.unwrap_or(BOUNDS.len())) {
            *bucket = bucket.saturating_add(1);
        }
        self.sum = self.sum.saturating_add(took);
        keep(&mut self.recent, took, RECENT);
        if line.verdict == "deny" || line.would_deny {
            keep(&mut self.refusals, line.into(), REFUSALS);
        }
    }

    /// How many there were.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// How many came out like this.
    #[must_use]
    pub fn came_out(&self, decision: &str) -> u64 {
        let counts = self.counts.iter();
        let counts = counts.filter(|(outcome, _)| outcome.decision == decision);
        counts.map(|(_, count)| count).sum()
    }

    /// The time, in microseconds, that so many thousandths of the newest decisions did not exceed.
    #[must_use]
    pub fn quantile(&self, thousandths: usize) -> Option<u64> {
        let mut times: Vec<_> = self.recent.iter().copied().collect();
        times.sort_unstable();
        let place = (times.len() * thousandths).div_ceil(1000);
        times.get(place.saturating_sub(1)).copied()
    }
}

fn keep<T>(list: &mut VecDeque<T>, newest: T, most: usize) {
    if list.len() == most {
        list.pop_front();
    }
    list.push_back(newest);
}

impl Line {
    fn outcome(&self) -> Outcome {
        let known = |words: &[&'static str], word: &str| {
            let found = words.iter().find(|known| **known == word);
            found.copied().unwrap_or("other")
        };
        let reasons: Vec<_> = ReasonCode::ALL.iter().map(|code| code.as_str()).collect();
        Outcome {
            decision: match self.would_deny {
                true => "would-deny",
                false => known(&["allow", "warn", "deny"], &self.verdict),
            },
            reason: known(&reasons, &self.code),
            engine: match self.engine.as_deref() {
                None => "none",
                Some(engine) => known(&["docker", "docker-containerd", "podman", "bundle"], engine),
            },
        }
    }
}

impl From<Line> for Refusal {
    fn from(line: Line) -> Self {
        Self {
            time: line.time,
            id: line.container.id,
            name: line.container.name,
            image: line.image.or(line.config).unwrap_or_default(),
            code: line.code,
            detail: line.detail,
            hint: line.hint,
            only_audited: line.would_deny,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Decisions, Outcome};

    fn line(verdict: &str, code: &str, engine: &str, took: u64, would_deny: bool) -> String {
        format!(
            r#"{{"schema":"vcn-hook/decision/v1","time":"2026-01-01T00:00:00Z","verdict":"{verdict}","code":"{code}","detail":"d","hint":"h","container":{{"id":"i","name":null}},"image":null,"config":"sha256:00","engine":{engine},"verb":"create","mode":"enforce","would_deny":{would_deny},"duration_us":{took}}}"#
        )
    }

    #[test]
    fn counts_by_outcome_and_time_within_a_bound_whatever_is_written() {
        let mut decisions = Decisions::default();
        decisions.count(line("allow", "trusted", "\"docker\"", 100, false).as_bytes());
        decisions.count(line("allow", "trusted", "\"docker\"", 101, false).as_bytes());
        decisions.count(line("deny", "unknown", "null", 9_000_000, false).as_bytes());
        decisions.count(line("warn", "unknown", "\"podman\"", 1, true).as_bytes());
        decisions.count(b"no record");
        for n in 0..100 {
            let odd = line(
                &format!("v{n}"),
                &format!("c{n}"),
                &format!("\"e{n}\""),
                1,
                false,
            );
            decisions.count(odd.as_bytes());
        }
        let outcome = |decision, reason, engine| Outcome {
            decision,
            reason,
            engine,
        };
        let counted: Vec<_> = decisions.counts.iter().map(|(o, n)| (*o, *n)).collect();
        assert_eq!(
            counted,
            [
                (outcome("allow", "trusted", "docker"), 2),
                (outcome("deny", "unknown", "none"), 1),
                (outcome("other", "other", "other"), 100),
                (outcome("would-deny", "unknown", "podman"), 1),
            ]
        );
        assert_eq!(decisions.buckets.first(), Some(&102));
        assert_eq!(decisions.buckets.last(), Some(&1));
        assert_eq!(decisions.unreadable, 1);
        assert_eq!(decisions.refusals.len(), 2);
        assert_eq!(decisions.quantile(500), Some(1));
        assert_eq!(decisions.quantile(1000), Some(9_000_000));
        assert_eq!(decisions.total(), 104);
    }
}
