//! A ledger behind any web server, object store or CDN.
//!
//! Plain http is as good as https: everything that is read is signed or hashed.

use std::io::Read as _;
use std::time::Duration;

use ureq::http::{HeaderMap, Response, StatusCode, header};
use ureq::{Agent, Body, Error};

use super::add::Reply;
use super::{Fresh, Piece, ReadError, Sink, TlogRead};

/// What every request calls itself.
const USER_AGENT: &str = concat!("vcn-hook/", env!("CARGO_PKG_VERSION"));

/// How long a connection may take to stand.
const CONNECT: Duration = Duration::from_secs(10);

/// How long the server may be silent.
const SILENCE: Duration = Duration::from_secs(30);

/// How long a note, a tile or a bundle may take altogether.
const SHORT: Duration = Duration::from_secs(120);

/// How long an index file may take; the next sync goes on where this one was cut off.
const LONG: Duration = Duration::from_secs(3600);

/// How long a server may take to make a statement durable.
const WRITTEN: Duration = Duration::from_secs(60);

/// Bytes of the longest answer to a statement.
const MAX_REPLY: u64 = 16 * 1024;

/// The longest etag that is worth sending back.
const MAX_ETAG: usize = 256;

/// Asks a web server, with bounds on time and size, following no redirect.
#[derive(Debug)]
pub struct Http {
    base: String,
    agent: Agent,
}

/// Which part of a file an answer holds.
enum Part {
    From(u64, Response<Body>),
    Nothing,
    Missing,
}

impl Http {
    /// Names a server by the URL below which the log's files are. Nothing is asked yet.
    #[must_use]
    pub fn new(base: &str) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(USER_AGENT)
            .timeout_connect(Some(CONNECT))
            .timeout_per_read(Some(SILENCE))
            .timeout_per_write(Some(SILENCE))
            .build();
        Self {
            base: base.trim_end_matches('/').to_owned(),
            agent: config.new_agent(),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.base)
    }

    fn ask(
        &self,
        path: &str,
        extra: Option<(header::HeaderName, String)>,
        within: Duration,
    ) -> Result<Response<Body>, ReadError> {
        let mut request = self
            .agent
            .get(self.url(path))
            .header(header::ACCEPT_ENCODING, "identity");
        if let Some((name, value)) = extra {
            request = request.header(name, value);
        }
        let request = request.config().timeout_global(Some(within)).build();
        let response = request.call().map_err(|error| self.failed(path, error))?;
        match response.headers().get(header::CONTENT_ENCODING) {
            Some(coding) if coding != "identity" => {
                Err(self.bad(path, "compressed, although identity was asked for"))
            }
            _ => Ok(response),
        }
    }

    /// Asks for a file from a byte on, and takes a whole answer instead if that is what comes.
    fn part(&self, path: &str, from: u64, within: Duration) -> Result<Part, ReadError> {
        let range = (from > 0).then(|| (header::RANGE, format!("bytes={from}-")));
        let response = self.ask(path, range, within)?;
        let content_range = response.headers().get(header::CONTENT_RANGE);
        let content_range = content_range.and_then(|value| value.to_str().ok());
        match response.status() {
            StatusCode::OK => Ok(Part::From(0, response)),
            StatusCode::PARTIAL_CONTENT if from > 0 => {
                let start = content_range
                    .and_then(|range| range.strip_prefix("bytes ")?.split_once('-'))
                    .map(|(start, _)| start.to_owned());
                if start != Some(from.to_string()) {
                    return Err(self.bad(path, "another range than the one asked for"));
                }
                Ok(Part::From(from, response))
            }
            StatusCode::RANGE_NOT_SATISFIABLE if from > 0 => {
                // Nothing new since, or a shorter file that has to be read from its beginning.
                if content_range == Some(&*format!("bytes */{from}")) {
                    return Ok(Part::Nothing);
                }
                self.part(path, 0, within)
            }
            status if is_missing(status) => Ok(Part::Missing),
            status => Err(self.refused(path, status)),
        }
    }

    /// Sends bytes to a path, once, and says what became of it.
    pub(super) fn post(&self, path: &str, bytes: &[u8]) -> Reply {
        let request = self.agent.post(self.url(path));
        let request = request.config().timeout_global(Some(WRITTEN)).build();
        let response = match request.send(bytes) {
            Ok(response) => response,
            Err(error) => return Reply::Unheard(error.to_string()),
        };
        let status = response.status();
        let mut body = Vec::new();
        let mut reader = response.into_body().into_reader().take(MAX_REPLY);
        if let Err(error) = reader.read_to_end(&mut body) {
            return Reply::Unheard(error.to_string());
        }
        match status {
            StatusCode::OK => Reply::Taken(body),
            status if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => {
                Reply::Unheard(format!("answered {status}"))
            }
            status => Reply::Refused {
                status: status.as_u16(),
                body,
            },
        }
    }

    fn body(&self, path: &str, response: Response<Body>, cap: u64) -> Result<Vec<u8>, ReadError> {
        let mut reader = self.bounded(path, response, cap)?;
        let mut bytes = Vec::new();
        reader
            .read_to_end(&mut bytes)
            .map_err(|error| self.failed(path, error.into()))?;
        if bytes.len() as u64 > cap {
            return Err(self.too_long(path, cap));
        }
        Ok(bytes)
    }

    /// A reader that yields at most one byte more than `cap`, so that too much is seen, not stored.
    fn bounded(
        &self,
        path: &str,
        response: Response<Body>,
        cap: u64,
    ) -> Result<impl std::io::Read + use<>, ReadError> {
        let body = response.into_body();
        if body.content_length().is_some_and(|length| length > cap) {
            return Err(self.too_long(path, cap));
        }
        Ok(body.into_reader().take(cap.saturating_add(1)))
    }

    fn failed(&self, path: &str, error: Error) -> ReadError {
        match error {
            Error::Protocol(why) => self.bad(path, why),
            Error::Http(why) => self.bad(path, why),
            Error::LargeResponseHeader(..) => self.bad(path, error),
            Error::Io(why) => self.unreachable(path, why),
            why => self.unreachable(path, why),
        }
    }

    fn refused(&self, path: &str, status: StatusCode) -> ReadError {
        let advice = if status.is_redirection() {
            "; redirects are not followed, name the final URL"
        } else {
            ""
        };
        self.unreachable(path, format!("answered {status}{advice}"))
    }

    fn too_long(&self, path: &str, cap: u64) -> ReadError {
        self.bad(path, format!("longer than {cap} bytes"))
    }

    fn unreachable(&self, path: &str, why: impl ToString) -> ReadError {
        ReadError::Unreachable {
            place: self.url(path),
            why: why.to_string(),
        }
    }

    fn bad(&self, path: &str, why: impl ToString) -> ReadError {
        ReadError::BadAnswer {
            place: self.url(path),
            why: why.to_string(),
        }
    }
}

fn is_missing(status: StatusCode) -> bool {
    status == StatusCode::NOT_FOUND || status == StatusCode::GONE
}

/// Whether the server may change the file once more without changing its etag: many make it of the
/// time in seconds and of the size, so a withdrawal in this very second would go unseen (RFC 9110, 8.8.2.2).
fn may_change_unseen(headers: &HeaderMap) -> bool {
    let changed = headers.get(header::LAST_MODIFIED);
    changed.is_some() && changed == headers.get(header::DATE)
}

/// An etag that can be kept in a file and sent back.
fn is_etag(etag: &str) -> bool {
    etag.len() <= MAX_ETAG && etag.bytes().all(|byte| byte.is_ascii_graphic())
}

impl TlogRead for Http {
    fn place(&self) -> &str {
        &self.base
    }

    fn piece(&self, path: &str, from: u64, cap: u64) -> Result<Option<Piece>, ReadError> {
        let (from, response) = match self.part(path, from, SHORT)? {
            Part::Missing => return Ok(None),
            Part::Nothing => {
                return Ok(Some(Piece {
                    from,
                    bytes: Vec::new(),
                }));
            }
            Part::From(from, response) => (from, response),
        };
        let bytes = self.body(path, response, cap.saturating_sub(from))?;
        Ok(Some(Piece { from, bytes }))
    }

    fn slice(&self, path: &str, from: u64, length: u64) -> Result<Option<Vec<u8>>, ReadError> {
        let end = from.saturating_add(length);
        let range = format!("bytes={from}-{}", end.saturating_sub(1));
        let response = self.ask(path, Some((header::RANGE, range)), SHORT)?;
        let skipped = match response.status() {
            StatusCode::PARTIAL_CONTENT => 0,
            // A server that knows no ranges: everything before is read and dropped.
            StatusCode::OK => from,
            StatusCode::RANGE_NOT_SATISFIABLE => return Ok(Some(Vec::new())),
            status if is_missing(status) => return Ok(None),
            status => return Err(self.refused(path, status)),
        };
        let failed = |error: std::io::Error| self.failed(path, error.into());
        let mut reader = response
            .into_body()
            .into_reader()
            .take(skipped.saturating_add(length));
        std::io::copy(&mut (&mut reader).take(skipped), &mut std::io::sink()).map_err(failed)?;
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).map_err(failed)?;
        Ok(Some(bytes))
    }

    fn fresh(&self, path: &str, etag: Option<&str>, cap: u64) -> Result<Option<Fresh>, ReadError> {
        let known = etag.filter(|etag| is_etag(etag));
        let header = known.map(|etag| (header::IF_NONE_MATCH, etag.to_owned()));
        let response = self.ask(path, header, SHORT)?;
        match response.status() {
            StatusCode::OK => {
                let etag = response.headers().get(header::ETAG);
                let etag = etag.filter(|_| !may_change_unseen(response.headers()));
                let etag = etag.and_then(|etag| etag.to_str().ok());
                let etag = etag.filter(|etag| is_etag(etag)).map(str::to_owned);
                let bytes = self.body(path, response, cap)?;
                Ok(Some(Fresh::New { bytes, etag }))
            }
            StatusCode::NOT_MODIFIED if known.is_some() => Ok(Some(Fresh::Same)),
            status if is_missing(status) => Ok(None),
            status => Err(self.refused(path, status)),
        }
    }

    fn copy(
        &self,
        path: &str,
        from: u64,
        cap: u64,
        sink: &mut dyn Sink,
    ) -> Result<Option<u64>, ReadError> {
        let (from, response) = match self.part(path, from, LONG)? {
            Part::Missing => return Ok(None),
            Part::Nothing => return Ok(Some(0)),
            Part::From(from, response) => (from, response),
        };
        let cap = cap.saturating_sub(from);
        let mut reader = self.bounded(path, response, cap)?;
        sink.begin(from)
            .map_err(|error| ReadError::Store(error.to_string()))?;
        let copied = super::pump(&mut reader, sink, |error| self.failed(path, error.into()))?;
        if copied > cap {
            return Err(self.too_long(path, cap));
        }
        Ok(Some(copied))
    }
}
