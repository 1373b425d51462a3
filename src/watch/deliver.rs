//! The delivery of alerts: a thread for each receiver, which waits when it fails and never gives up.
//!
//! Owns the back-off, the limit per minute, and that one receiver that hangs delays no other and no look.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::alert::Alert;
use super::outbox::{Outbox, Queue, Settled};
use super::receiver::Receiver;

/// How long to wait after the first failure, and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

const MINUTE: Duration = Duration::from_secs(60);

/// What all threads of the watch share.
#[derive(Debug)]
pub struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    outbox: Outbox,
    /// What the threads have to say, until somebody says it.
    remarks: Vec<String>,
    /// Counts up when the receivers are others than before; threads of an older number end.
    generation: u64,
    /// The receivers that are being told something now: by whom, does not matter.
    busy: BTreeSet<&'static str>,
}

/// The threads that deliver.
#[derive(Debug)]
pub struct Delivery {
    shared: Arc<Shared>,
    receivers: Vec<Receiver>,
    threads: Vec<JoinHandle<()>>,
    limit: u32,
}

impl Shared {
    fn new(outbox: Outbox) -> Self {
        Self {
            state: Mutex::new(State {
                outbox,
                remarks: Vec::new(),
                generation: 0,
                busy: BTreeSet::new(),
            }),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A thread that panicked leaves a state that is whole: each change is one call.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the outbox, or changes it, and wakes whoever waits for what is in it.
    pub fn outbox<T>(&self, change: impl FnOnce(&mut Outbox) -> T) -> T {
        let changed = change(&mut self.lock().outbox);
        self.changed.notify_all();
        changed
    }

    /// What the threads have to say since it was last asked.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().remarks)
    }
}

impl Delivery {
    /// Takes an outbox. Nobody is told anything yet.
    #[must_use]
    pub fn of(outbox: Outbox) -> Self {
        Self {
            shared: Arc::new(Shared::new(outbox)),
            receivers: Vec::new(),
            threads: Vec::new(),
            limit: 0,
        }
    }

    /// What all threads share.
    #[must_use]
    pub fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Has these receivers told from now on, each at most `limit` times a minute.
    pub fn tell(&mut self, receivers: Vec<Receiver>, limit: u32) {
        if receivers == self.receivers && limit == self.limit {
            return;
        }
        let generation = {
            let mut state = self.shared.lock();
            let names: Vec<_> = receivers.iter().map(Receiver::name).collect();
            state.outbox.serve(&names);
            state.generation += 1;
            state.generation
        };
        self.shared.changed.notify_all();
        self.threads.retain(|thread| !thread.is_finished());
        for receiver in &receivers {
            let courier = Courier {
                shared: self.shared(),
                receiver: receiver.clone(),
                limit,
                generation,
                sent: VecDeque::new(),
            };
            let spawned = std::thread::Builder::new().spawn(move || courier.run());
            match spawned {
                Ok(thread) => self.threads.push(thread),
                Err(error) => {
                    let remark = format!("nobody tells {}: {error}", receiver.name());
                    self.shared.lock().remarks.push(remark);
                }
            }
        }
        self.receivers = receivers;
        self.limit = limit;
    }

    /// Waits until everybody was told everything; for one that fails, and tries again, only so long as
    /// `failing` says.
    pub fn flush(&self, failing: Duration, within: Duration) {
        let begun = Instant::now();
        let mut state = self.shared.lock();
        loop {
            let waiting = |queue: &&Queue| !queue.waiting.is_empty();
            let waiting = state.outbox.queues().values().filter(waiting);
            let limits = waiting.map(|queue| queue.error.as_ref().map_or(within, |_| failing));
            let Some(limit) = limits.max() else {
                return;
            };
            let left = limit.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return;
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Ends the threads after what they are doing now; a receiver that hangs is not waited for.
    pub fn end(&self, within: Duration) {
        self.shared.lock().generation += 1;
        self.shared.changed.notify_all();
        let begun = Instant::now();
        while begun.elapsed() < within && self.threads.iter().any(|thread| !thread.is_finished()) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Who tells one receiver.
struct Courier {
    shared: Arc<Shared>,
    receiver: Receiver,
    limit: u32,
    generation: u64,
    /// When this minute's alerts were sent.
    sent: VecDeque<Instant>,
}

impl Courier {
    fn run(mut self) {
        let name = self.receiver.name();
        let mut failures = 0;
        while let Some(alert) = self.next() {
            let settled = self.receiver.deliver(&alert);
            self.sent.push_back(Instant::now());
            let remark = match &settled {
                Settled::Delivered if failures > 0 => Some(format!("{name} takes alerts again")),
                Settled::Delivered => None,
                Settled::Failed(why) if failures == 0 => {
                    Some(format!("cannot tell {name}, and will try again: {why}"))
                }
                Settled::Failed(_) => None,
                Settled::Refused(why) => Some(format!("{name} does not want an alert: {why}")),
            };
            failures = match settled {
                Settled::Failed(_) => failures + 1,
                Settled::Delivered | Settled::Refused(_) => 0,
            };
            let mut state = self.shared.lock();
            state.remarks.extend(remark);
            self.settle(&mut state, alert.number, settled);
            drop(state);
            self.shared.changed.notify_all();
            if failures > 0 && !self.rest(backoff(failures)) {
                return;
            }
        }
    }

    /// Waits for an alert, and for the minute to have room for it. `None` when it is time to end.
    fn next(&mut self) -> Option<Alert> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        loop {
            if state.generation != self.generation {
                return None;
            }
            let wait = match self.take(&mut state) {
                Ok(alert) => return Some(alert),
                Err(wait) => wait,
            };
            let waited = shared.changed.wait_timeout(state, wait);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Notes what became of an alert that was taken.
    fn settle(&self, state: &mut State, number: u64, settled: Settled) {
        let name = self.receiver.name();
        state.busy.remove(name);
        if let Err(error) = state.outbox.settle(name, number, settled) {
            let remark = format!("cannot keep what {name} was told: {error}");
            state.remarks.push(remark);
        }
    }

    /// The next alert, which nobody else tells then; else how long to wait.
    fn take(&mut self, state: &mut State) -> Result<Alert, Duration> {
        let name = self.receiver.name();
        match state.outbox.next(name) {
            // A thread of older settings may still be telling it this very alert.
            Some(alert) if !state.busy.contains(name) => {
                let wait = self.wait_for_room();
                if wait.is_zero() {
                    state.busy.insert(name);
                    return Ok(alert.clone());
                }
                Err(wait)
            }
            // It is woken when there is one; the length means nothing.
            Some(_) | None => Err(MINUTE),
        }
    }

    /// How long it is until this minute has room for one more.
    fn wait_for_room(&mut self) -> Duration {
        while let Some(first) = self.sent.front()
            && first.elapsed() >= MINUTE
        {
            self.sent.pop_front();
        }
        match self.sent.front() {
            Some(first) if self.sent.len() >= usize::try_from(self.limit).unwrap_or(usize::MAX) => {
                MINUTE.saturating_sub(first.elapsed())
            }
            // Without any room at all nothing would ever be told.
            _ => Duration::ZERO,
        }
    }

    /// Waits. Says whether to go on.
    fn rest(&self, span: Duration) -> bool {
        let begun = Instant::now();
        let mut state = self.shared.lock();
        loop {
            let left = span.saturating_sub(begun.elapsed());
            if state.generation != self.generation {
                return false;
            }
            if left.is_zero() {
                return true;
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Twice as long after each failure.
fn backoff(failures: u32) -> Duration {
    let (first, longest) = BACKOFF;
    let doubled = 2_u32.checked_pow(failures.saturating_sub(1));
    doubled
        .and_then(|times| first.checked_mul(times))
        .map_or(longest, |wait| wait.min(longest))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Arc;

    use super::{Courier, MINUTE, Shared, backoff};
    use crate::config::watch::Secret;
    use crate::verdict::{Reason, ReasonCode, Verdict};
    use crate::watch::outbox::{Outbox, Settled};
    use crate::watch::receiver::Receiver;
    use crate::watch::sweep::Watched;
    use crate::watch::sweep::tests::{container, sweep};

    #[test]
    fn what_is_being_told_is_not_told_by_the_thread_of_newer_settings_too() {
        let mut outbox = Outbox::default();
        outbox.serve(&["slack"]);
        let denied = Watched {
            verdict: Verdict::Deny(Reason::new(ReasonCode::Unknown, "d", "")),
            ..container("a")
        };
        let (told, _) = outbox.learn(&sweep(vec![denied]), &[]);
        assert_eq!(told.len(), 1);
        let shared = Arc::new(Shared::new(outbox));
        let courier = |generation| Courier {
            shared: Arc::clone(&shared),
            receiver: Receiver::Slack(Secret::Said("http://none".to_owned())),
            limit: 30,
            generation,
            sent: VecDeque::new(),
        };
        let (mut old, mut new) = (courier(0), courier(1));
        let mut state = shared.lock();
        let told = old.take(&mut state).expect("it waits");
        assert_eq!(new.take(&mut state), Err(MINUTE));
        old.settle(&mut state, told.number, Settled::Failed(String::new()));
        assert_eq!(
            new.take(&mut state).map(|alert| alert.number),
            Ok(told.number)
        );
    }

    #[test]
    fn waits_twice_as_long_after_each_failure_and_never_for_ever() {
        let waits: Vec<_> = [1, 2, 3, 9, 10, 100, u32::MAX].map(backoff).into();
        let seconds: Vec<_> = waits.iter().map(std::time::Duration::as_secs).collect();
        assert_eq!(seconds, [1, 2, 4, 256, 300, 300, 300]);
    }
}
