//! One Docker for all cases of a file, which take turns.

use super::daemon::Daemon;
use super::scratch::Scratch;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// What all cases of a file share; only one of them uses the daemon at a time.
#[derive(Debug)]
pub struct Stage {
    pub scratch: Scratch,
    pub daemon: Daemon,
}

/// The stage of the file `name`, without a gate and without containers.
pub fn stage(name: &str) -> MutexGuard<'static, Stage> {
    static STAGE: OnceLock<Mutex<Stage>> = OnceLock::new();
    let stage = STAGE.get_or_init(|| {
        let scratch = Scratch::new(name);
        let daemon = Daemon::start(&scratch);
        Mutex::new(Stage { scratch, daemon })
    });
    // A case that failed says nothing about the next one.
    let stage = stage.lock().unwrap_or_else(PoisonError::into_inner);
    stage.daemon.ungated();
    stage.daemon.clear();
    stage
}
