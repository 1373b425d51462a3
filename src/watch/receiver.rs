//! To whom alerts go: Slack, a webhook that takes JSON, a program.
//!
//! Owns the form that each is sent in. An address is a secret: it is read when it is needed, and is in
//! no message.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::{StatusCode, header};

use super::alert::Alert;
use super::outbox::Settled;
use super::program;
use crate::config::watch::{Secret, Watch};
use crate::sys::file::{check_owned_file, read_capped};

/// Whom somebody is told through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receiver {
    /// Slack's incoming webhook.
    Slack(Secret),
    /// A webhook that takes JSON.
    Webhook(Secret),
    /// A program.
    Exec(PathBuf),
}

const USER_AGENT: &str = concat!("vcn-hook/", env!("CARGO_PKG_VERSION"));

/// How long a receiver may take altogether.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a program may take.
const PROGRAM: Duration = Duration::from_secs(30);

/// An address is one line.
const MAX_ADDRESS: u64 = 4096;

/// Of an answer nothing is used but its status.
const MAX_ANSWER: u64 = 64 << 10;

impl Receiver {
    /// The receivers that are configured.
    #[must_use]
    pub fn of(watch: &Watch) -> Vec<Self> {
        let slack = watch.slack_webhook.clone().map(Self::Slack);
        let webhook = watch.webhook.clone().map(Self::Webhook);
        let exec = watch.exec.clone().map(Self::Exec);
        [slack, webhook, exec].into_iter().flatten().collect()
    }

    /// The stable name, as queues and metrics have it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Slack(_) => "slack",
            Self::Webhook(_) => "webhook",
            Self::Exec(_) => "exec",
        }
    }

    /// Delivers one alert.
    #[must_use]
    pub fn deliver(&self, alert: &Alert) -> Settled {
        match self {
            Self::Slack(secret) => post(secret, &slack(alert)),
            Self::Webhook(secret) => post(secret, &alert.json()),
            Self::Exec(path) => exec(path, alert),
        }
    }
}

/// Slack's form: its own three characters escaped, so that no name mentions anybody.
fn slack(alert: &Alert) -> Value {
    let text = alert.text();
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    json!({ "text": text })
}

fn post(secret: &Secret, body: &Value) -> Settled {
    let address = match address(secret) {
        Ok(address) => address,
        Err(why) => return Settled::Failed(why),
    };
    let request = agent()
        .post(&address)
        .header(header::CONTENT_TYPE, "application/json");
    match request.send(body.to_string()) {
        Ok(mut answer) => {
            let status = answer.status();
            // Read to its end, so that the server has said all it wanted; what it was changes nothing.
            let body = answer.body_mut().as_reader();
            let _ = std::io::copy(&mut body.take(MAX_ANSWER), &mut std::io::sink());
            settled(status)
        }
        Err(error) => Settled::Failed(without(&address, &error.to_string())),
    }
}

fn settled(status: StatusCode) -> Settled {
    let why = format!("the receiver answers {status}");
    match status.as_u16() {
        200..300 => Settled::Delivered,
        // It has understood and does not want this one; whatever else it says may pass.
        400 | 413 | 415 | 422 => Settled::Refused(why),
        _ => Settled::Failed(why),
    }
}

/// Asks for an address, for whoever notices when nobody does any more.
///
/// # Errors
/// Why it did not answer, in words.
pub fn heartbeat(secret: &Secret) -> Result<(), String> {
    let address = address(secret)?;
    match agent().get(&address).call() {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(format!(
            "the heartbeat's address answers {}",
            answer.status()
        )),
        Err(error) => Err(without(&address, &error.to_string())),
    }
}

fn agent() -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(USER_AGENT)
        .timeout_global(Some(PATIENCE))
        .build();
    config.new_agent()
}

fn address(secret: &Secret) -> Result<String, String> {
    let path = match secret {
        Secret::Said(address) => return Ok(address.clone()),
        Secret::File(path) => path,
    };
    let cannot = |why: &str| format!("cannot use the address in '{}': {why}", path.display());
    let bytes = read_capped(path, MAX_ADDRESS).map_err(|error| cannot(&error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| cannot("it is not UTF-8"))?;
    let line = text.lines().next().unwrap_or_default().trim();
    match line.starts_with("https://") || line.starts_with("http://") {
        true => Ok(line.to_owned()),
        false => Err(cannot(
            "its first line does not begin with http:// or https://",
        )),
    }
}

/// An error of the library, which may quote what it was asked for.
fn without(address: &str, error: &str) -> String {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or(rest);
    let hidden = error.replace(address, "(not shown)");
    match path {
        "" | "/" => hidden,
        path => hidden.replace(path, "(not shown)"),
    }
}

/// Runs a program as vcn-watchdog's `err` was called: the container's id, then its image.
fn exec(path: &Path, alert: &Alert) -> Settled {
    if let Err(error) = check_owned_file(path) {
        return Settled::Failed(format!("cannot run '{}': {error}", path.display()));
    }
    let container = alert.container.as_ref();
    let of = |field: fn(&super::alert::Subject) -> &str| plain(container.map_or("", field));
    let mut command = Command::new(path);
    command.env_clear();
    command.env(
        "PATH",
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    );
    command.arg(of(|container| container.short_id()));
    command.arg(of(|container| &container.image));
    let event = json!(alert.event);
    for (name, value) in [
        ("EVENT", event.as_str().unwrap_or_default().to_owned()),
        ("NODE", plain(&alert.node)),
        ("CODE", plain(&alert.code)),
        ("DETAIL", plain(&alert.detail)),
        ("HINT", plain(&alert.hint)),
        ("TEXT", plain(&alert.text())),
        ("ACTION", plain(alert.deed.as_deref().unwrap_or_default())),
        ("CONTAINER_ID", of(|container| &container.id)),
        (
            "CONTAINER_NAME",
            of(|container| container.name.as_deref().unwrap_or_default()),
        ),
        (
            "CONFIG",
            of(|container| container.config.as_deref().unwrap_or_default()),
        ),
        ("ENGINE", of(|container| &container.engine)),
        ("STATUS", of(|container| &container.status)),
        ("ENTERED", of(|container| &container.entered)),
    ] {
        command.env(format!("VCN_HOOK_{name}"), value);
    }
    match program::run(command, alert.json().to_string().as_bytes(), PROGRAM) {
        Ok(()) => Settled::Delivered,
        Err(why) => Settled::Failed(why),
    }
}

/// No argument and no variable has a NUL.
fn plain(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::{Settled, address, settled, slack, without};
    use crate::config::watch::Secret;
    use crate::watch::alert::tests::alert;
    use ureq::http::StatusCode;

    #[test]
    fn slack_is_sent_the_seeds_text_and_mentions_nobody() {
        let mut alert = alert();
        let text = |alert: &crate::watch::alert::Alert| {
            let sent = slack(alert);
            sent["text"].as_str().unwrap_or_default().to_owned()
        };
        assert!(
            text(&alert).starts_with("Container 0123456789ab (app:1) verification failed\n"),
            "{}",
            text(&alert)
        );
        if let Some(container) = &mut alert.container {
            container.image = "<!channel> & \"x\"".to_owned();
        }
        assert!(
            text(&alert).contains("(&lt;!channel&gt; &amp; \"x\")"),
            "{}",
            text(&alert)
        );
    }

    #[test]
    fn only_what_a_receiver_understood_and_refused_is_given_up() {
        let kind = |code: u16| match settled(StatusCode::from_u16(code).expect("a status")) {
            Settled::Delivered => "delivered",
            Settled::Failed(_) => "failed",
            Settled::Refused(_) => "refused",
        };
        for (code, expected) in [
            (200, "delivered"),
            (204, "delivered"),
            (302, "failed"),
            (400, "refused"),
            (404, "failed"),
            (429, "failed"),
            (500, "failed"),
        ] {
            assert_eq!(kind(code), expected, "{code}");
        }
    }

    #[test]
    fn an_address_is_a_files_first_line_and_in_no_message() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("slack");
        std::fs::write(&path, "https://hooks.slack.com/services/T/K\n").expect("written");
        let secret = Secret::File(path.clone());
        let read = address(&secret).expect("it is an address");
        assert_eq!(read, "https://hooks.slack.com/services/T/K");
        std::fs::write(&path, "services/T/K\n").expect("written");
        let error = address(&secret).expect_err("it is none");
        assert!(!error.contains("T/K"), "{error}");
        for error in [
            "bad uri: https://hooks.slack.com/services/T/K",
            "cannot connect to /services/T/K",
        ] {
            assert!(!without(&read, error).contains("T/K"), "{error}");
        }
    }
}
