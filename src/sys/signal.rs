//! The signals by which a service is asked to end, and by which we ask one to read its settings.

use std::io;

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;

/// Sends SIGHUP, on which a daemon reads its settings again.
///
/// # Errors
/// The operating system's.
pub fn hang_up(pid: i32) -> io::Result<()> {
    kill(Pid::from_raw(pid), Signal::SIGHUP)?;
    Ok(())
}

/// SIGTERM and SIGINT, held back until somebody waits for them.
#[derive(Debug)]
pub struct Termination(SigSet);

impl Termination {
    /// Holds them back, in this thread and in all that it starts from now on.
    ///
    /// # Errors
    /// The operating system's.
    pub fn hold() -> io::Result<Self> {
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGTERM);
        signals.add(Signal::SIGINT);
        signals.thread_block()?;
        Ok(Self(signals))
    }

    /// Waits for the first of them.
    ///
    /// # Errors
    /// The operating system's.
    pub fn wait(&self) -> io::Result<()> {
        self.0.wait()?;
        Ok(())
    }
}
