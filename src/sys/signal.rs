//! The signals by which a service is asked for something, and by which we ask one to read its settings.

use std::io;
use std::time::Duration;

use nix::libc;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::time::TimeSpec;
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

/// What somebody asks a service for by a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// To end (SIGTERM, SIGINT).
    End,
    /// To read its settings again (SIGHUP).
    Reload,
}

/// SIGTERM, SIGINT and SIGHUP, held back until somebody looks.
#[derive(Debug)]
pub struct Requests(SigSet);

impl Requests {
    /// Holds them back, in this thread and in all that it starts from now on.
    ///
    /// # Errors
    /// The operating system's.
    pub fn hold() -> io::Result<Self> {
        let mut signals = SigSet::empty();
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            signals.add(signal);
        }
        signals.thread_block()?;
        Ok(Self(signals))
    }

    /// Waits for one of them, for so long at most.
    #[must_use]
    pub fn within(&self, span: Duration) -> Option<Asked> {
        let time = TimeSpec::from_duration(span);
        let info = std::ptr::null_mut();
        // SAFETY: set and time are borrowed for the call, and no information is asked for.
        let signal = unsafe { libc::sigtimedwait(self.0.as_ref(), info, time.as_ref()) };
        match signal {
            libc::SIGHUP => Some(Asked::Reload),
            libc::SIGTERM | libc::SIGINT => Some(Asked::End),
            // The time is over, or another signal has ended the wait.
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Asked, Requests};
    use nix::sys::signal::{Signal, raise};
    use std::time::Duration;

    #[test]
    fn a_request_is_kept_until_somebody_looks() {
        let seen = std::thread::spawn(|| {
            let requests = Requests::hold().expect("they are held back");
            let before = requests.within(Duration::ZERO);
            // To this thread alone.
            raise(Signal::SIGHUP).expect("it is sent");
            (before, requests.within(Duration::from_secs(60)))
        });
        assert_eq!(seen.join().expect("it ends"), (None, Some(Asked::Reload)));
    }
}
