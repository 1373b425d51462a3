//! A command that signs: the message on its standard input, 64 bytes on its standard output.
//!
//! For key services that have a command line of their own. It is run by the
//! shell, as its user and with its environment, and its standard error is ours.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::{KeyError, Signer, checked};
use crate::allowlist::note::VerifierKey;

/// How long it may take: somebody may have to touch a token, or approve on a phone.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often a command that has said everything is asked whether it has ended.
const PAUSE: Duration = Duration::from_millis(5);

/// A signing command, and the key that it signs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandKey {
    key: VerifierKey,
    command: String,
    patience: Duration,
}

impl CommandKey {
    /// Names a command. It is first run when something is signed.
    #[must_use]
    pub fn new(key: VerifierKey, command: &str) -> Self {
        Self {
            key,
            command: command.to_owned(),
            patience: PATIENCE,
        }
    }

    #[cfg(test)]
    pub(super) const fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    fn failed(&self, why: &'static str) -> KeyError {
        KeyError::Command(self.command.clone(), why)
    }

    /// Talks to the command until it has ended or the deadline has passed.
    fn talk(&self, child: &mut Child, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let deadline = Instant::now() + self.patience;
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(self.failed("has no standard input or output"));
        };
        let message = message.to_owned();
        // Both ends at once, or two full pipes would wait for each other. A command that ends
        // without reading everything is judged by what it wrote.
        thread::spawn(move || stdin.write_all(&message));
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let mut answer = Vec::new();
            // One byte more than a signature, to see that there is more.
            let read = stdout.take(65).read_to_end(&mut answer);
            // Nobody listens any more when the deadline has passed.
            let _ = sender.send(read.map(|_| answer));
        });
        let late = || self.failed("took too long");
        let answer = receiver
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            .map_err(|_| late())?
            .map_err(|error| KeyError::Run(self.command.clone(), error))?;
        loop {
            match child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(answer),
                Ok(Some(_)) => return Err(self.failed("failed")),
                Ok(None) if Instant::now() < deadline => thread::sleep(PAUSE),
                Ok(None) => return Err(late()),
                Err(error) => return Err(KeyError::Run(self.command.clone(), error)),
            }
        }
    }
}

impl Signer for CommandKey {
    fn verifier(&self) -> &VerifierKey {
        &self.key
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], KeyError> {
        let mut child = Command::new("/bin/sh")
            .arg("-c")
            .arg(&self.command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| KeyError::Run(self.command.clone(), error))?;
        let answer = self.talk(&mut child, message);
        if answer.is_err() {
            // Best effort: it may have ended by itself.
            let _ = child.kill().and_then(|()| child.wait());
        }
        let answer = answer?;
        if answer.len() != 64 {
            return Err(self.failed("did not write the 64 bytes of a signature"));
        }
        checked(&self.key, message, &answer)
    }
}
