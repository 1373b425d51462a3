//! The delivery of alerts: a thread for each receiver, which waits when it fails and never gives up.
//!
//! Owns the back-off, the limit per minute, and that one receiver that hangs delays no other and no look.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

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
            let kept = state.outbox.settle(name, alert.number, settled);
            let unkept = kept
                .err()
                .map(|error| format!("cannot keep what {name} was told: {error}"));
            state.remarks.extend(remark.into_iter().chain(unkept));
            drop(state);
            self.shared.changed.notify_all();
            if failures > 0 && !self.rest(backoff(failures)) {
                return;
            }
        }
    }

    /// Waits for an alert, and for the minute to have room for it. `None` when it is time to end.
    fn next(&mut self) -> Option<super::alert::Alert> {
        let name = self.receiver.name();
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        loop {
            if state.generation != self.generation {
                return None;
            }
            let wait = match state.outbox.next(name) {
                Some(alert) => match self.wait_for_room() {
                    wait if wait.is_zero() => return Some(alert.clone()),
                    wait => wait,
                },
                // It is woken when there is one; the length means nothing.
                None => MINUTE,
            };
            let waited = shared.changed.wait_timeout(state, wait);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
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
    use super::backoff;

    #[test]
    fn waits_twice_as_long_after_each_failure_and_never_for_ever() {
        let waits: Vec<_> = [1, 2, 3, 9, 10, 100, u32::MAX].map(backoff).into();
        let seconds: Vec<_> = waits.iter().map(std::time::Duration::as_secs).collect();
        assert_eq!(seconds, [1, 2, 4, 256, 300, 300, 300]);
    }
}
