//! What is wrong and whom it must still be told, kept on disk, so that a restart loses and repeats nothing.
//!
//! Owns the file `outbox.json` in the watch's own directory: the incidents, and a bounded queue for
//! each receiver. Both are in one file, so that an incident is never known without its alert waiting.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::act::Deed;
use super::alert::Alert;
use super::incidents::Incidents;
use super::sweep::Sweep;
use crate::sys::file::{read_owned, replace};

/// As many alerts as wait for one receiver; the oldest are dropped, and counted.
const MAX_WAITING: usize = 1000;

/// Room for that many alerts about names as long as engines permit, for each of a few receivers.
const MAX_SIZE: u64 = 64 << 20;

/// The state of all alerts.
#[derive(Debug, Default)]
pub struct Outbox {
    path: PathBuf,
    kept: Kept,
    /// Held by whoever writes it: two that tell would tell everything twice.
    lock: Option<Flock<File>>,
    /// Whose queues are filled; `None` before anybody said.
    served: Option<Vec<String>>,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    /// The number of the last alert.
    last: u64,
    incidents: Incidents,
    queues: BTreeMap<String, Queue>,
}

/// What one receiver must still be told, and what became of the rest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Queue {
    /// Oldest first.
    pub waiting: VecDeque<Alert>,
    /// How many were delivered.
    pub delivered: u64,
    /// How many attempts failed.
    pub failures: u64,
    /// How many were given up: too many waited, or the receiver took all but this one.
    pub dropped: u64,
    /// Why the last attempt failed, if it did.
    pub error: Option<String>,
}

impl Outbox {
    /// Takes it from the watch's own directory, for this process alone. One that is not there is empty.
    ///
    /// # Errors
    /// The operating system's; `WouldBlock` when another process has it, `InvalidData` for a file that
    /// is not ours.
    pub fn open(directory: &Path) -> io::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        let lock = File::open(directory)?;
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock).map_err(|(_, why)| why)?;
        Ok(Self {
            lock: Some(lock),
            ..Self::read(directory)?
        })
    }

    /// Reads it, to show what is in it. Nothing that changes it is written.
    ///
    /// # Errors
    /// The operating system's; `InvalidData` for a file that is not ours.
    pub fn read(directory: &Path) -> io::Result<Self> {
        let path = directory.join("outbox.json");
        let kept = match read_owned(&path, MAX_SIZE) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Kept::default(),
            Err(error) => return Err(error),
        };
        Ok(Self {
            path,
            kept,
            lock: None,
            served: None,
        })
    }

    /// Has a queue filled for each of `receivers`. Whoever is not among them when the watch begins is
    /// not told what is long over; whoever is left out for a while, as when an editor empties a file
    /// before it writes it, loses nothing.
    pub fn serve(&mut self, receivers: &[&str]) {
        let queues = &mut self.kept.queues;
        if self.served.is_none() {
            queues.retain(|name, _| receivers.contains(&name.as_str()));
        }
        self.served = Some(receivers.iter().map(ToString::to_string).collect());
        for name in receivers {
            // What failed before need not fail now.
            queues.entry((*name).to_owned()).or_default().error = None;
        }
    }

    /// Learns what a look found and what was done, and has everybody told: what is new, and whether it
    /// could be kept. If not, it is known until the watch ends.
    pub fn learn(&mut self, sweep: &Sweep, deeds: &[Deed]) -> (Vec<Alert>, io::Result<()>) {
        let mut alerts = self.kept.incidents.learn(sweep, deeds);
        if alerts.is_empty() {
            return (alerts, Ok(()));
        }
        for alert in &mut alerts {
            self.kept.last += 1;
            alert.number = self.kept.last;
            for name in self.served.iter().flatten() {
                let queue = self.kept.queues.entry(name.clone()).or_default();
                queue.push(alert.clone());
            }
        }
        (alerts, self.save())
    }

    /// The next alert for a receiver.
    #[must_use]
    pub fn next(&self, receiver: &str) -> Option<&Alert> {
        self.kept.queues.get(receiver)?.waiting.front()
    }

    /// Notes what became of an attempt to deliver the alert of this number.
    ///
    /// # Errors
    /// The operating system's; the alert may then come twice after a restart.
    pub fn settle(&mut self, receiver: &str, number: u64, settled: Settled) -> io::Result<()> {
        let Some(queue) = self.kept.queues.get_mut(receiver) else {
            return Ok(());
        };
        let is_first = queue
            .waiting
            .front()
            .is_some_and(|first| first.number == number);
        match settled {
            Settled::Delivered => {
                queue.delivered += 1;
                queue.error = None;
            }
            Settled::Failed(why) => {
                queue.failures += 1;
                let is_known = queue.error.is_some();
                queue.error = Some(why);
                if is_known {
                    // Only counters are new, and they may be lost.
                    return Ok(());
                }
                return self.save();
            }
            Settled::Refused(why) => {
                queue.failures += 1;
                queue.dropped += 1;
                queue.error = Some(why);
            }
        }
        // It may have been dropped meanwhile.
        if is_first {
            queue.waiting.pop_front();
        }
        self.save()
    }

    /// The queue of each receiver.
    #[must_use]
    pub const fn queues(&self) -> &BTreeMap<String, Queue> {
        &self.kept.queues
    }

    /// What is wrong now.
    #[must_use]
    pub const fn incidents(&self) -> &Incidents {
        &self.kept.incidents
    }

    fn save(&self) -> io::Result<()> {
        match self.lock {
            Some(_) => replace(&self.path, &serde_json::to_vec(&self.kept)?, 0o600),
            None => Ok(()),
        }
    }
}

/// What became of an attempt to deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// It was taken.
    Delivered,
    /// It was not, and may be later.
    Failed(String),
    /// It never will be.
    Refused(String),
}

impl Queue {
    fn push(&mut self, alert: Alert) {
        if self.waiting.len() >= MAX_WAITING {
            self.waiting.pop_front();
            self.dropped += 1;
        }
        self.waiting.push_back(alert);
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_WAITING, Outbox, Queue, Settled};
    use crate::verdict::{Reason, ReasonCode, Verdict};
    use crate::watch::alert::tests::alert;
    use crate::watch::sweep::tests::{container, sweep};
    use crate::watch::sweep::{Sweep, Watched};

    fn wrong() -> Sweep {
        sweep(vec![Watched {
            verdict: Verdict::Deny(Reason::new(ReasonCode::Unknown, "d", "")),
            ..container("a")
        }])
    }

    #[test]
    fn a_restart_loses_and_repeats_nothing() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("not root: this case needs root-owned files and is checked by 'make test'");
            return;
        }
        let directory = tempfile::tempdir().expect("a temporary directory");
        let open = || {
            let mut outbox = Outbox::open(directory.path()).expect("it opens");
            outbox.serve(&["slack", "exec"]);
            outbox
        };
        let (told, kept) = open().learn(&wrong(), &[]);
        kept.expect("it is written");
        assert_eq!(told.len(), 1);
        let mut again = open();
        let busy = Outbox::open(directory.path()).map_err(|error| error.kind());
        assert_eq!(busy.err(), Some(std::io::ErrorKind::WouldBlock));
        assert_eq!(again.learn(&wrong(), &[]).0, []);
        let number = again.next("slack").expect("it waits").number;
        let failed = Settled::Failed("away".to_owned());
        again
            .settle("slack", number, failed)
            .expect("it is written");
        drop(again);
        let mut again = open();
        assert_eq!(again.next("slack").map(|alert| alert.number), Some(number));
        again
            .settle("slack", number, Settled::Delivered)
            .expect("it is written");
        drop(again);
        let again = open();
        assert_eq!(again.next("slack"), None);
        assert_eq!(again.next("exec").map(|alert| alert.number), Some(number));
        let slack = &again.queues()["slack"];
        assert_eq!((slack.delivered, slack.failures), (1, 1));
    }

    #[test]
    fn the_oldest_of_too_many_are_dropped_and_counted() {
        let mut queue = Queue::default();
        for number in 0..MAX_WAITING as u64 + 3 {
            queue.push(crate::watch::alert::Alert { number, ..alert() });
        }
        assert_eq!((queue.waiting.len(), queue.dropped), (MAX_WAITING, 3));
        assert_eq!(queue.waiting.front().map(|first| first.number), Some(3));
    }
}
