//! Points on their way to the server.
//!
//! Owns the requests of InfluxDB 1 (`/write`) and 2 (`/api/v2/write`), what an answer means, and when to
//! try again. Credentials go into a header, never into a URL, which proxies and servers write down.

use std::io::{self, Read as _};
use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ureq::Agent;
use ureq::http::header;

use super::spool::Spool;
use crate::watch::picture::Telling;

/// What every request calls itself.
const USER_AGENT: &str = concat!("vcn-hook/", env!("CARGO_PKG_VERSION"));

/// How long a server may take for a batch.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long to wait after a failure, twice as long after each one more, up to the second.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// As much of an error as is shown.
const MAX_ERROR: u64 = 512;

/// Which server, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Such as `http://influx:8086`.
    pub url: String,
    /// Where points go.
    pub target: Target,
}

/// Where in a server points go, and by whose leave.
#[derive(Clone, PartialEq, Eq)]
pub enum Target {
    /// InfluxDB 1, and whoever speaks as it does.
    V1 {
        /// The database.
        db: String,
        /// User and password.
        user: Option<(String, String)>,
    },
    /// InfluxDB 2 and 3.
    V2 {
        /// The organisation.
        org: String,
        /// The bucket.
        bucket: String,
        /// The token.
        token: String,
    },
}

/// Sends what its spool holds.
#[derive(Debug)]
pub struct Sender {
    spool: Spool,
    url: String,
    authorization: Option<String>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    telling: Telling,
    ending: bool,
    /// Something was added since the last look.
    rung: bool,
}

/// What became of a batch.
enum Outcome {
    Written,
    /// It will be refused each time.
    Refused(String),
    Failed(String),
}

impl Sender {
    /// Sends to `server` what is, and what will be, in the spool at `directory`. Nothing is sent yet.
    ///
    /// # Errors
    /// The spool's.
    pub fn open(directory: &Path, server: &Server) -> io::Result<Self> {
        let base = server.url.trim_end_matches('/');
        let (url, authorization) = match &server.target {
            Target::V1 { db, user } => (
                format!("{base}/write?db={}&precision=s", encoded(db)),
                user.as_ref().map(|(user, password)| {
                    let pair = STANDARD.encode(format!("{user}:{password}"));
                    format!("Basic {pair}")
                }),
            ),
            Target::V2 { org, bucket, token } => (
                format!(
                    "{base}/api/v2/write?org={}&bucket={}&precision=s",
                    encoded(org),
                    encoded(bucket)
                ),
                Some(format!("Token {token}")),
            ),
        };
        let spool = Spool::open(directory)?;
        let waiting = spool.waiting()?.count();
        let telling = Telling {
            target: "influx".to_owned(),
            waiting,
            ..Telling::default()
        };
        Ok(Self {
            spool,
            url,
            authorization,
            state: Mutex::new(State {
                telling,
                ..State::default()
            }),
            changed: Condvar::new(),
        })
    }

    /// Adds the points of a sweep. They are on disk when this returns.
    ///
    /// # Errors
    /// The spool's: these points are lost, and counted so.
    pub fn push(&self, points: &[String]) -> io::Result<()> {
        let pushed = self.spool.push(points);
        self.change(|state| {
            let dropped = *pushed.as_ref().unwrap_or(&1);
            state.telling.dropped = state.telling.dropped.saturating_add(dropped);
            state.rung = true;
        });
        self.recount();
        pushed.map(|_| ())
    }

    /// How it goes.
    #[must_use]
    pub fn telling(&self) -> Telling {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.telling.clone()
    }

    /// Sends until it is told to end; what then waits is sent by the next one.
    pub fn run(&self) {
        let mut wait = FIRST_WAIT;
        while !self.is_ending() {
            match self.send_oldest() {
                Some(true) => wait = FIRST_WAIT,
                Some(false) => {
                    self.pause(wait, false);
                    wait = wait.saturating_mul(2).min(LONGEST_WAIT);
                }
                None => self.pause(LONGEST_WAIT, true),
            }
        }
    }

    /// Sends what waits, or gives up after the time; says whether nothing is left.
    #[must_use]
    pub fn flush(&self, within: Duration) -> bool {
        let begun = Instant::now();
        loop {
            match self.send_oldest() {
                None => return true,
                Some(true) => {}
                Some(false) if begun.elapsed() >= within => return false,
                Some(false) => self.pause(FIRST_WAIT, false),
            }
        }
    }

    /// Ends [`Sender::run`].
    pub fn end(&self) {
        self.change(|state| state.ending = true);
    }

    /// Sends one batch. `None` when there is none.
    fn send_oldest(&self) -> Option<bool> {
        let oldest = self.spool.waiting().map(|waiting| waiting.oldest());
        let outcome = match oldest {
            Ok(None) => return None,
            Ok(Some(number)) => self.send(number),
            Err(error) => Outcome::Failed(format!("the points cannot be read: {error}")),
        };
        let sent = !matches!(outcome, Outcome::Failed(_));
        self.change(|state| {
            let telling = &mut state.telling;
            match outcome {
                Outcome::Written => {
                    telling.delivered = telling.delivered.saturating_add(1);
                    telling.error = None;
                }
                Outcome::Refused(why) => {
                    telling.failed = telling.failed.saturating_add(1);
                    telling.dropped = telling.dropped.saturating_add(1);
                    telling.error = Some(why);
                }
                Outcome::Failed(why) => {
                    telling.failed = telling.failed.saturating_add(1);
                    telling.error = Some(why);
                }
            }
        });
        self.recount();
        Some(sent)
    }

    fn send(&self, number: u64) -> Outcome {
        let batch = match self.spool.read(number) {
            Ok(batch) => batch,
            Err(error) => return Outcome::Failed(format!("the points cannot be read: {error}")),
        };
        let outcome = self.post(&batch);
        if matches!(outcome, Outcome::Failed(_)) {
            return outcome;
        }
        match self.spool.remove(number) {
            Ok(()) => outcome,
            // It is sent once more, which changes nothing there.
            Err(error) => Outcome::Failed(format!("the points cannot be removed: {error}")),
        }
    }

    fn post(&self, batch: &[u8]) -> Outcome {
        // A connection of its own for each batch: the server may have gone between two sweeps.
        let agent: Agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(USER_AGENT)
            .timeout_global(Some(PATIENCE))
            .build()
            .new_agent();
        let mut request = agent
            .post(&self.url)
            .header(header::CONTENT_TYPE, "text/plain; charset=utf-8");
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let response = match request.send(batch) {
            Ok(response) => response,
            Err(error) => return Outcome::Failed(error.to_string()),
        };
        let status = response.status();
        if status.is_success() {
            return Outcome::Written;
        }
        let mut body = Vec::new();
        // What it says is for people; that it refused is known without.
        let _ = response
            .into_body()
            .into_reader()
            .take(MAX_ERROR)
            .read_to_end(&mut body);
        let why = format!("{status}: {}", String::from_utf8_lossy(&body).trim());
        match status.as_u16() {
            // The points themselves are wrong, or too old to be kept.
            400 | 413 | 422 => Outcome::Refused(why),
            _ => Outcome::Failed(why),
        }
    }

    fn recount(&self) {
        // Where it cannot be counted it could not be read either, and that is told.
        if let Ok(waiting) = self.spool.waiting() {
            self.change(|state| state.telling.waiting = waiting.count());
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        drop(state);
        self.changed.notify_all();
    }

    fn is_ending(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.ending
    }

    /// Waits for a time, for the end or, if `until_rung`, for something to send.
    fn pause(&self, time: Duration, until_rung: bool) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = |state: &mut State| !(state.ending || until_rung && state.rung);
        let waited = self.changed.wait_timeout_while(state, time, waits);
        waited.unwrap_or_else(PoisonError::into_inner).0.rung = false;
    }
}

/// A value of a query, in which only what needs no encoding is left as it is.
fn encoded(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                text.push(char::from(byte));
            }
            other => text.push_str(&format!("%{other:02X}")),
        }
    }
    text
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Neither a password nor a token is shown.
        match self {
            Self::V1 { db, .. } => f.debug_struct("V1").field("db", db).finish_non_exhaustive(),
            Self::V2 { org, bucket, .. } => f
                .debug_struct("V2")
                .field("org", org)
                .field("bucket", bucket)
                .finish_non_exhaustive(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::encoded;

    #[test]
    fn a_query_has_nothing_that_ends_it() {
        assert_eq!(encoded("my db&x=1"), "my%20db%26x%3D1");
    }
}
