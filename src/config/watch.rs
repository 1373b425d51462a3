//! `[watch]`: how often, whom to tell, what to do.
//!
//! Owns the section's names and values. Addresses of webhooks are secrets: they are never shown, and
//! may be kept in files of their own.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ConfigError;
use super::outputs::{self, InfluxSection, Outputs};

/// What the watch does, and whom it tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// How long to wait between two sweeps.
    pub interval: Duration,
    /// How often the layers of what runs are read again; `None` for never.
    pub deep: Option<Duration>,
    /// Which checks are worth a line.
    pub log: Log,
    /// What happens to a container whose image the ledger speaks against.
    pub on_untrusted: Action,
    /// What happens to a container whose image nobody vouches for.
    pub on_unknown: Action,
    /// The most containers that are paused or stopped in one minute.
    pub actions_per_minute: u32,
    /// The most alerts that are sent to one receiver in one minute.
    pub alerts_per_minute: u32,
    /// Slack's incoming webhook.
    pub slack_webhook: Option<Secret>,
    /// A webhook that takes JSON.
    pub webhook: Option<Secret>,
    /// A program that is told of each alert.
    pub exec: Option<PathBuf>,
    /// An address that is asked for after each sweep, so that silence can be noticed there.
    pub heartbeat: Option<Secret>,
    /// Where what was found can be seen.
    pub outputs: Outputs,
}

/// Which checks are worth a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Log {
    /// Each, in every sweep, as vcn-watchdog had it.
    #[default]
    All,
    /// Only those whose outcome is another than before.
    Changes,
}

/// What happens to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Somebody is told.
    #[default]
    Alert,
    /// Its engine is told to freeze it, too.
    Pause,
    /// Its engine is told to stop it, too.
    Stop,
}

/// An address that lets whoever knows it send in our name.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// It stands in config.toml.
    Said(String),
    /// It is the first line of a file.
    File(PathBuf),
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WatchSection {
    interval: Option<u64>,
    deep_hours: Option<u32>,
    log: Log,
    on_untrusted: Action,
    on_unknown: Action,
    actions_per_minute: Option<u32>,
    alerts_per_minute: Option<u32>,
    slack_webhook: Option<String>,
    slack_webhook_file: Option<PathBuf>,
    webhook: Option<String>,
    webhook_file: Option<PathBuf>,
    exec: Option<PathBuf>,
    heartbeat: Option<String>,
    heartbeat_file: Option<PathBuf>,
    listen: Option<String>,
    textfile: Option<PathBuf>,
    influx: InfluxSection,
}

/// Longer than a day between two sweeps is no watch.
const LONGEST: u64 = 86_400;

impl WatchSection {
    /// Checks every value, and fills in what is not said.
    ///
    /// # Errors
    /// [`ConfigError::Value`].
    pub(super) fn check(self) -> Result<Watch, ConfigError> {
        let exec = self.exec.map(|path| absolute("watch.exec", path));
        Ok(Watch {
            interval: interval(self.interval.unwrap_or(60))?,
            deep: hours(self.deep_hours.unwrap_or(24)),
            log: self.log,
            on_untrusted: self.on_untrusted,
            on_unknown: self.on_unknown,
            actions_per_minute: self.actions_per_minute.unwrap_or(5),
            alerts_per_minute: self.alerts_per_minute.unwrap_or(30),
            slack_webhook: secret(
                "watch.slack_webhook",
                self.slack_webhook,
                self.slack_webhook_file,
            )?,
            webhook: secret("watch.webhook", self.webhook, self.webhook_file)?,
            exec: exec.transpose()?,
            heartbeat: secret("watch.heartbeat", self.heartbeat, self.heartbeat_file)?,
            outputs: outputs::check(self.listen, self.textfile, self.influx)?,
        })
    }
}

fn interval(seconds: u64) -> Result<Duration, ConfigError> {
    match seconds {
        1..=LONGEST => Ok(Duration::from_secs(seconds)),
        _ => Err(ConfigError::Value(format!(
            "watch.interval: {seconds} is not between 1 and {LONGEST} seconds"
        ))),
    }
}

const fn hours(number: u32) -> Option<Duration> {
    match number {
        0 => None,
        number => Some(Duration::from_secs(number as u64 * 3600)),
    }
}

/// Takes a secret from the one place that says it. Its value is in no error.
pub(super) fn secret(
    name: &str,
    said: Option<String>,
    file: Option<PathBuf>,
) -> Result<Option<Secret>, ConfigError> {
    match (said, file) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(ConfigError::Value(format!(
            "{name} and {name}_file are both set: keep one of them"
        ))),
        (None, Some(file)) => {
            let file = absolute(&format!("{name}_file"), file)?;
            Ok(Some(Secret::File(file)))
        }
        (Some(said), None) if is_address(&said) => Ok(Some(Secret::Said(said))),
        (Some(_), None) => Err(ConfigError::Value(format!(
            "{name}: not an address that begins with http:// or https://"
        ))),
    }
}

pub(super) fn is_address(text: &str) -> bool {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let is_plain = |byte: u8| byte.is_ascii_graphic();
    rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(is_plain))
}

pub(super) fn absolute(name: &str, path: PathBuf) -> Result<PathBuf, ConfigError> {
    match path.is_absolute() {
        true => Ok(path),
        false => Err(ConfigError::Value(format!(
            "{name}: '{}' is not absolute",
            path.display()
        ))),
    }
}

impl Secret {
    /// The file that it is in, if it has one of its own.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Said(_) => None,
            Self::File(path) => Some(path),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_shown(f)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_shown(f)
    }
}

impl Secret {
    /// Where it is, never what it is.
    fn fmt_shown(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Said(_) => f.write_str("(not shown)"),
            Self::File(path) => write!(f, "(in {})", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, Log, Secret, Watch, WatchSection};
    use crate::config::ConfigError;
    use std::time::Duration;

    fn watch(text: &str) -> Result<Watch, ConfigError> {
        toml::from_str::<WatchSection>(text)
            .expect("the names are known")
            .check()
    }

    #[test]
    fn an_empty_section_is_a_minute_and_tells_nobody() {
        let watch = watch("").expect("nothing is required");
        let expected = Watch {
            interval: Duration::from_secs(60),
            deep: Some(Duration::from_secs(86_400)),
            log: Log::All,
            on_untrusted: Action::Alert,
            on_unknown: Action::Alert,
            actions_per_minute: 5,
            alerts_per_minute: 30,
            slack_webhook: None,
            webhook: None,
            exec: None,
            heartbeat: None,
            outputs: watch.outputs.clone(),
        };
        assert_eq!(watch, expected);
    }

    #[test]
    fn a_secret_is_in_one_place_and_in_no_message() {
        let address = "https://hooks.slack.com/services/T/K";
        let said = format!("slack_webhook = \"{address}\"");
        let read = watch(&said).expect("an address").slack_webhook;
        assert_eq!(read, Some(Secret::Said(address.to_owned())));
        assert!(!format!("{read:?}").contains("services"), "{read:?}");
        for wrong in [
            format!("{said}\nslack_webhook_file = \"/x\""),
            "slack_webhook = \"T/K\"".to_owned(),
            "webhook = \"https://a b\"".to_owned(),
            "heartbeat_file = \"x\"".to_owned(),
            "exec = \"x\"".to_owned(),
            "interval = 0".to_owned(),
            "interval = 86401".to_owned(),
        ] {
            let error = watch(&wrong).expect_err(&wrong).to_string();
            assert!(!error.contains("T/K"), "{error}");
        }
    }
}
