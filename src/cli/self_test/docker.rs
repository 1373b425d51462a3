//! The canaries in Docker, through the socket that config.toml names.
//!
//! Owns the requests. The command line client is not asked: its environment may send it to another machine.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::PATIENCE;
use super::canary::Canary;
use super::trial::Engine;
use crate::cli::images::daemon::{self, Body};

/// What the daemon says to one request.
const MAX_ANSWER: u64 = 1 << 20;

/// Docker, where its socket is.
#[derive(Debug)]
pub(super) struct Docker {
    socket: PathBuf,
}

impl Docker {
    /// Docker, if it answers.
    pub(super) fn find(socket: &Path) -> anyhow::Result<Self> {
        let docker = Self {
            socket: socket.to_owned(),
        };
        docker.ask("GET", "/_ping", None)?;
        Ok(docker)
    }

    /// Asks, and takes any answer but a good one for an error.
    fn ask(&self, method: &str, path: &str, body: Option<Body<'_>>) -> anyhow::Result<String> {
        let (status, answer) = self.request(method, path, body)?;
        if !(200..300).contains(&status) {
            bail!("Docker says {status}: {}", message(&answer));
        }
        Ok(answer)
    }

    fn request(
        &self,
        method: &str,
        path: &str,
        body: Option<Body<'_>>,
    ) -> anyhow::Result<(u16, String)> {
        let patience = Duration::from_secs(PATIENCE);
        let (status, answer) = daemon::request(&self.socket, method, path, body, patience)?;
        let mut text = String::new();
        answer
            .take(MAX_ANSWER)
            .read_to_string(&mut text)
            .context("Docker did not finish its answer")?;
        Ok((status, text))
    }
}

impl Engine for Docker {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn load(&self, canary: &Canary) -> anyhow::Result<()> {
        let body = Body {
            kind: "application/x-tar",
            bytes: &canary.archive,
        };
        let answer = self.ask("POST", "/images/load?quiet=1", Some(body))?;
        // A good status is sent before the archive is read.
        if answer.contains("\"errorDetail\"") {
            bail!("Docker cannot load the canary: {answer}");
        }
        Ok(())
    }

    fn create(&self, canary: &Canary, name: &str) -> anyhow::Result<String> {
        let spec = json!({ "Image": canary.tag, "HostConfig": { "NetworkMode": "none" } });
        let spec = spec.to_string();
        let body = Body {
            kind: "application/json",
            bytes: spec.as_bytes(),
        };
        let path = format!("/containers/create?name={name}");
        let answer: Value = serde_json::from_str(&self.ask("POST", &path, Some(body))?)?;
        let id = answer.get("Id").and_then(Value::as_str);
        id.map(str::to_owned).context("Docker names no container")
    }

    fn start(&self, id: &str) -> anyhow::Result<Result<(), String>> {
        let (status, answer) = self.request("POST", &format!("/containers/{id}/start"), None)?;
        Ok(match status {
            200..300 => Ok(()),
            _ => Err(message(&answer)),
        })
    }

    fn wait(&self, id: &str) -> anyhow::Result<i64> {
        let answer = self.ask("POST", &format!("/containers/{id}/wait"), None)?;
        let answer: Value = serde_json::from_str(&answer)?;
        let code = answer.get("StatusCode").and_then(Value::as_i64);
        code.context("Docker names no exit code")
    }

    fn remove(&self, id: &str) -> anyhow::Result<()> {
        self.ask("DELETE", &format!("/containers/{id}?force=1&v=1"), None)?;
        Ok(())
    }

    fn remove_image(&self, canary: &Canary) -> anyhow::Result<()> {
        self.ask("DELETE", &format!("/images/{}?force=1", canary.tag), None)?;
        Ok(())
    }
}

/// The daemon's words in its JSON.
fn message(answer: &str) -> String {
    let value: Option<Value> = serde_json::from_str(answer).ok();
    let message = value.and_then(|value| Some(value.get("message")?.as_str()?.to_owned()));
    message.unwrap_or_else(|| answer.trim().to_owned())
}
