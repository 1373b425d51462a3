//! The heartbeat: an address that is asked for after each look, so that somebody notices silence.
//!
//! Owns that it delays nothing: one request at a time, in a thread of its own.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::receiver::heartbeat;
use crate::config::watch::Secret;

/// The last beat, and what became of it.
#[derive(Debug, Default)]
pub struct Heart {
    beating: Option<JoinHandle<()>>,
    heard: Arc<Mutex<Heard>>,
}

#[derive(Debug, Default)]
struct Heard {
    is_failing: bool,
    remark: Option<String>,
}

impl Heart {
    /// Asks for the address, unless the last time is not over yet.
    pub fn beat(&mut self, address: &Secret) {
        if self
            .beating
            .as_ref()
            .is_some_and(|beat| !beat.is_finished())
        {
            return;
        }
        let (address, heard) = (address.clone(), Arc::clone(&self.heard));
        let beat = move || {
            let asked = heartbeat(&address);
            let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            heard.remark = match &asked {
                Err(why) if !heard.is_failing => Some(format!("the heartbeat is not heard: {why}")),
                Ok(()) if heard.is_failing => Some("the heartbeat is heard again".to_owned()),
                Ok(()) | Err(_) => heard.remark.take(),
            };
            heard.is_failing = asked.is_err();
        };
        // Without a thread there is silence, and somebody notices.
        self.beating = std::thread::Builder::new().spawn(beat).ok();
    }

    /// What is to be said of it, once.
    #[must_use]
    pub fn remark(&self) -> Option<String> {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.remark.take()
    }

    /// Waits for the last beat, but not for long.
    pub fn rest(&self, within: Duration) {
        let begun = Instant::now();
        let beating = || {
            self.beating
                .as_ref()
                .is_some_and(|beat| !beat.is_finished())
        };
        while beating() && begun.elapsed() < within {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
