//! The index, kept up with the log and signed anew before it expires.
//!
//! Owns when: soon after an append, not more often than nodes could use, and
//! once a minute in any case, so that a note never gets old and a trust root
//! that somebody has published is seen. What an index is, is `index`'s.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Serve, Tell};
use crate::ledger::index::{self, IndexError, Publish};
use crate::trust::keys::{SecretKey, Signer};

/// How long the next index waits for more statements, and by how much longer than the last one
/// took: each is a handful of writes that the log's own have to share the disk with.
const GATHER: Duration = Duration::from_millis(100);
const SHARE: u32 = 4;

/// How often the note's age and the trust root are looked at.
const HEARTBEAT: Duration = Duration::from_secs(60);

/// How long to wait after a failure.
const RETRY: Duration = Duration::from_secs(5);

/// Rung when there is something new in the log.
#[derive(Debug, Default)]
pub(super) struct Bell {
    state: Mutex<State>,
    rung: Condvar,
}

#[derive(Debug, Default, Clone, Copy)]
struct State {
    rung: bool,
    ended: bool,
}

impl Bell {
    pub(super) fn ring(&self) {
        self.change(|state| state.rung = true);
    }

    /// There will be nothing new any more.
    pub(super) fn end(&self) {
        self.change(|state| state.ended = true);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.rung.notify_all();
    }

    /// Waits until it is rung or ended, and says which it was; neither after that long.
    fn wait(&self, longest: Duration, done: impl Fn(State) -> bool) -> State {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .rung
            .wait_timeout_while(state, longest, |state| !done(*state));
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let found = *state;
        if done(found) {
            state.rung = false;
        }
        found
    }
}

/// Publishes until the bell is ended, and then once more what came last.
pub(super) fn run(serve: &Serve<'_>, bell: &Bell, tell: Tell<'_>) {
    let Some(indexer) = serve.indexer else {
        return;
    };
    let mut longest = HEARTBEAT;
    loop {
        let state = bell.wait(longest, |state| state.rung || state.ended);
        longest = HEARTBEAT;
        let begun = Instant::now();
        if let Err(error) = publish(serve, indexer) {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            tell(&format!(
                "the index stays as it is: {error}{}",
                cause.unwrap_or_default()
            ));
            longest = RETRY;
        }
        if state.ended {
            return;
        }
        let rest = GATHER.max(begun.elapsed().saturating_mul(SHARE));
        bell.wait(rest.min(HEARTBEAT), |state| state.ended);
    }
}

pub(super) fn publish(serve: &Serve<'_>, indexer: &SecretKey) -> Result<(), IndexError> {
    let indexers: [&dyn Signer; 1] = [indexer];
    let what = Publish {
        directory: serve.directory,
        indexers: &indexers,
        validity: serve.validity,
        force: false,
    };
    index::publish(&what, (serve.now)()).map(drop)
}
