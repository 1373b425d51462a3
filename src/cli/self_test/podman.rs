//! The canaries in Podman, through its command.
//!
//! Owns the command lines, and that none of them runs for ever.

use std::io::{Read, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::PATIENCE;
use super::canary::Canary;
use super::trial::Engine;

/// Where programs of a distribution are; nobody's environment says so.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How often an unfinished command is looked at.
const GLANCE: Duration = Duration::from_millis(20);

/// How long the end of a stream is waited for, once its command has ended.
const GRACE: Duration = Duration::from_secs(2);

/// What a command may say.
const MAX_ANSWER: u64 = 1 << 20;

/// Root's Podman.
#[derive(Debug)]
pub(super) struct Podman {
    program: PathBuf,
}

impl Podman {
    /// Podman, if it is installed.
    pub(super) fn find() -> Option<Self> {
        let places = PATH
            .split(':')
            .map(|place| PathBuf::from(place).join("podman"));
        let program = places.into_iter().find(|path| path.is_file())?;
        Some(Self { program })
    }

    fn ask(&self, words: &[&str], input: &[u8]) -> anyhow::Result<String> {
        self.run(words, input)?.map_err(anyhow::Error::msg)
    }

    /// Runs one command: what it answers, or what it complains of.
    fn run(&self, words: &[&str], input: &[u8]) -> anyhow::Result<Result<String, String>> {
        let mut child = Command::new(&self.program)
            .args(words)
            .env_clear()
            .env("PATH", PATH)
            .env("HOME", "/root")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run '{}'", self.program.display()))?;
        let stdin = child.stdin.take();
        let input = input.to_vec();
        // Who does not read its input has ended; its answer says why.
        thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&input)));
        let (stdout, stderr) = (reader(child.stdout.take()), reader(child.stderr.take()));
        let status = patiently(&mut child)?;
        // Somebody whom it has left behind may hold its streams open: what they say is not waited for.
        let text = |answer: Receiver<String>| answer.recv_timeout(GRACE).unwrap_or_default();
        Ok(match status.success() {
            true => Ok(text(stdout)),
            false => Err(text(stderr)),
        })
    }
}

/// Reads a stream to its end, beside everything else.
fn reader(stream: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (answer, read) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(stream) = stream {
            // What cannot be read is not there; the status says whether it went well.
            let _ = stream.take(MAX_ANSWER).read_to_end(&mut bytes);
        }
        // Nobody may be waiting any more.
        let _ = answer.send(String::from_utf8_lossy(&bytes).trim().to_owned());
    });
    read
}

/// Waits for the end of a command, and ends one that takes too long.
fn patiently(child: &mut Child) -> anyhow::Result<std::process::ExitStatus> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if begun.elapsed() > Duration::from_secs(PATIENCE) {
            child.kill()?;
            child.wait()?;
            bail!("Podman did not answer within {PATIENCE} seconds");
        }
        thread::sleep(GLANCE);
    }
}

impl Engine for Podman {
    fn name(&self) -> &'static str {
        "podman"
    }

    fn load(&self, canary: &Canary) -> anyhow::Result<()> {
        self.ask(&["load", "-q"], &canary.archive).map(drop)
    }

    fn create(&self, canary: &Canary, name: &str) -> anyhow::Result<String> {
        let words = [
            "create",
            "--pull=never",
            "--network=none",
            "--name",
            name,
            &canary.tag,
        ];
        self.ask(&words, &[])
    }

    fn start(&self, id: &str) -> anyhow::Result<Result<(), String>> {
        Ok(self.run(&["start", id], &[])?.map(drop))
    }

    fn wait(&self, id: &str) -> anyhow::Result<i64> {
        let code = self.ask(&["wait", id], &[])?;
        code.parse().context("Podman names no exit code")
    }

    fn remove(&self, id: &str) -> anyhow::Result<()> {
        self.ask(&["rm", "-f", "-t", "0", id], &[]).map(drop)
    }

    fn remove_image(&self, canary: &Canary) -> anyhow::Result<()> {
        self.ask(&["rmi", "-f", &canary.tag], &[]).map(drop)
    }
}
