//! One HTTP message: the head of a request as far as it matters here, and an answer.
//!
//! Owns what a head may look like, which is stricter than HTTP wherever two
//! programs could read it differently. Pure: bytes in, values out.

use std::fs::File;

use serde_json::json;

/// Header lines of the longest head that is read.
const MAX_HEADERS: usize = 64;

/// What is asked to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// A file is read.
    Get,
    /// Only what would be said of it.
    Head,
    /// A statement is appended.
    Post,
    /// Known to HTTP or not; nothing here allows it.
    Other,
}

/// The head of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// What is to be done.
    pub method: Method,
    /// The path as it was sent: neither decoded nor shortened.
    pub path: String,
    /// What the client calls the server; only HTTP/1.0 may leave it out.
    pub host: Option<String>,
    /// Bytes of the body that follows.
    pub length: Option<u64>,
    /// The client closes the connection after the answer, or cannot keep one.
    pub last: bool,
    /// The client waits for a word before it sends the body.
    pub waits: bool,
    /// The etags that the client has.
    pub if_none_match: Option<String>,
    /// The etag that a range is to be of.
    pub if_range: Option<String>,
    /// The part that is wanted.
    pub range: Option<String>,
}

/// Why a head is not answered as it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadError {
    /// It is not HTTP, or could be read in two ways.
    Malformed(&'static str),
    /// More header lines than any client needs.
    TooLong,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    Version,
    /// A body whose length is not said beforehand.
    NoLength,
    /// It expects something that nobody here can do.
    Expectation,
}

impl Head {
    /// Reads a head off the beginning of `bytes`, and says how long it is; `None` when more is to come.
    ///
    /// # Errors
    /// [`HeadError`].
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, HeadError> {
        let mut lines = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut lines);
        let length = match request.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooLong),
            Err(httparse::Error::Version) => return Err(HeadError::Version),
            Err(_) => return Err(HeadError::Malformed("the request is not HTTP")),
        };
        Self::read(&request).map(|head| Some((head, length)))
    }

    fn read(request: &httparse::Request<'_, '_>) -> Result<Self, HeadError> {
        let lines = Lines(request.headers);
        let modern = request.version == Some(1);
        let host = lines.only("host")?;
        if modern && host.is_none() {
            return Err(HeadError::Malformed("the request names no host"));
        }
        // Refused rather than read: where two lengths are said, two programs may believe each its own.
        if lines.only("transfer-encoding")?.is_some() {
            return Err(HeadError::NoLength);
        }
        let length = lines
            .only("content-length")?
            .map(parse_length)
            .transpose()?;
        let waits = match lines.only("expect")? {
            None => false,
            Some(word) if word.eq_ignore_ascii_case("100-continue") => modern,
            Some(_) => return Err(HeadError::Expectation),
        };
        let target = request.path.unwrap_or_default();
        Ok(Self {
            method: match request.method {
                Some("GET") => Method::Get,
                Some("HEAD") => Method::Head,
                Some("POST") => Method::Post,
                _ => Method::Other,
            },
            path: path_of(target).to_owned(),
            host: host.map(str::to_owned),
            length,
            last: !modern || lines.says("connection", "close"),
            waits,
            if_none_match: lines.all("if-none-match"),
            if_range: lines.only("if-range")?.map(str::to_owned),
            range: lines.only("range")?.map(str::to_owned),
        })
    }
}

/// A proxy may name the server once more (RFC 9112, 3.2.2).
fn path_of(target: &str) -> &str {
    let rest = ["http://", "https://"]
        .iter()
        .find_map(|scheme| target.strip_prefix(scheme));
    match rest {
        Some(rest) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
        None => target,
    }
}

fn parse_length(text: &str) -> Result<u64, HeadError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let length = text.parse().ok().filter(|_| digits);
    length.ok_or(HeadError::Malformed("the body's length is no number"))
}

/// The header lines of one head.
struct Lines<'a>(&'a [httparse::Header<'a>]);

impl<'a> Lines<'a> {
    fn named(&self, name: &'a str) -> impl Iterator<Item = Option<&'a str>> {
        let lines = self
            .0
            .iter()
            .filter(move |line| line.name.eq_ignore_ascii_case(name));
        lines.map(|line| std::str::from_utf8(line.value).ok().map(str::trim))
    }

    /// The one value of a line that may stand there once.
    fn only(&self, name: &'a str) -> Result<Option<&'a str>, HeadError> {
        let mut values = self.named(name);
        let first = values.next();
        if values.next().is_some() {
            return Err(HeadError::Malformed("a header line stands there twice"));
        }
        match first {
            None => Ok(None),
            Some(Some(value)) => Ok(Some(value)),
            Some(None) => Err(HeadError::Malformed("a header line is not UTF-8")),
        }
    }

    /// The values of a line that may be spread over several.
    fn all(&self, name: &'a str) -> Option<String> {
        let values: Vec<_> = self.named(name).flatten().collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    fn says(&self, name: &'a str, word: &str) -> bool {
        let words = self
            .named(name)
            .flatten()
            .flat_map(|value| value.split(','));
        words
            .into_iter()
            .any(|found| found.trim().eq_ignore_ascii_case(word))
    }
}

/// What is answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Body,
    /// Nothing more is read from this connection: where its next request begins is not known.
    pub(crate) last: bool,
}

/// What an answer carries.
#[derive(Debug)]
pub(crate) enum Body {
    Bytes(Vec<u8>),
    /// So many bytes of a file from its current place on.
    File(File, u64),
}

impl Answer {
    pub(crate) const fn new(status: u16, body: Body) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body,
            last: false,
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn last(mut self) -> Self {
        self.last = true;
        self
    }

    pub(crate) fn json(status: u16, value: &serde_json::Value) -> Self {
        let body = format!("{value}\n").into_bytes();
        Self::new(status, Body::Bytes(body))
            .with("Content-Type", "application/json")
            .with("Cache-Control", "no-store")
    }

    /// A refusal: the stable code is for programs, the message for people.
    pub(crate) fn refusal(status: u16, code: &str, message: &str) -> Self {
        let value = json!({ "error": { "code": code, "message": message } });
        Self::json(status, &value)
    }

    /// Another method was used than those that are understood there.
    pub(crate) fn not_allowed(allowed: &str) -> Self {
        let message = format!("only {allowed} can be asked here");
        Self::refusal(405, "method", &message).with("Allow", allowed)
    }

    /// Everything before the body, as it is sent.
    pub(crate) fn head(&self, date: &str, last: bool) -> String {
        let status = self.status;
        let mut text = format!("HTTP/1.1 {status} {}\r\nDate: {date}\r\n", phrase(status));
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        // 304 has no body, and its length would be that of another answer's.
        if status != 304 {
            text.push_str(&format!("Content-Length: {}\r\n", self.body.length()));
        }
        text.push_str(if last {
            "Connection: close\r\n\r\n"
        } else {
            "\r\n"
        });
        text
    }
}

impl Body {
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, length) => *length,
        }
    }
}

impl From<HeadError> for Answer {
    fn from(error: HeadError) -> Self {
        let (status, code, message) = match error {
            HeadError::Malformed(what) => (400, "malformed-request", what),
            HeadError::TooLong => (431, "head-too-long", "the request's head is too long"),
            HeadError::Version => (505, "http-version", "HTTP/1.1 and HTTP/1.0 are spoken here"),
            HeadError::NoLength => (
                411,
                "length-required",
                "say the body's length; no transfer coding is understood here",
            ),
            HeadError::Expectation => (417, "expectation", "only '100-continue' can be expected"),
        };
        Self::refusal(status, code, message).last()
    }
}

const fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        304 => "Not Modified",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Internal Server Error",
    }
}

#[cfg(test)]
mod tests {
    use super::{Head, HeadError, Method};

    fn parse(text: &str) -> Result<Option<(Head, usize)>, HeadError> {
        Head::parse(text.as_bytes())
    }

    fn head(text: &str) -> Head {
        parse(text).unwrap().unwrap().0
    }

    #[test]
    fn reads_what_matters_of_a_head_and_where_it_ends() {
        let text = "POST /add HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-Continue\r\n\
                    If-None-Match: \"a\"\r\nif-none-match: \"b\"\r\nRange: bytes=1-\r\n\r\n";
        let expected = Head {
            method: Method::Post,
            path: "/add".to_owned(),
            host: Some("x".to_owned()),
            length: Some(5),
            last: false,
            waits: true,
            if_none_match: Some("\"a\", \"b\"".to_owned()),
            if_range: None,
            range: Some("bytes=1-".to_owned()),
        };
        assert_eq!(
            parse(&format!("{text}12345")),
            Ok(Some((expected, text.len())))
        );
        assert_eq!(parse(&text[..text.len() - 1]), Ok(None));
    }

    #[test]
    fn a_connection_ends_where_the_client_says_so_or_cannot_know_better() {
        for (text, last) in [
            ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", false),
            (
                "GET / HTTP/1.1\r\nHost: x\r\nConnection: x, Close\r\n\r\n",
                true,
            ),
            ("GET / HTTP/1.0\r\n\r\n", true),
        ] {
            assert_eq!(head(text).last, last, "{text}");
        }
    }

    #[test]
    fn a_path_is_taken_as_it_was_sent() {
        for (target, path) in [
            ("/a/../%2e/b?c#d", "/a/../%2e/b?c#d"),
            ("http://host/checkpoint", "/checkpoint"),
            ("https://host", "/"),
            ("*", "*"),
        ] {
            assert_eq!(
                head(&format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")).path,
                path
            );
        }
    }

    #[test]
    fn refuses_what_two_programs_could_read_differently() {
        use HeadError::{Expectation, Malformed, NoLength, TooLong, Version};
        let many = "A: b\r\n".repeat(65);
        for (lines, error) in [
            ("", Malformed("the request names no host")),
            (
                "Host: a\r\nHost: b\r\n",
                Malformed("a header line stands there twice"),
            ),
            (
                "Host: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n",
                Malformed("a header line stands there twice"),
            ),
            (
                "Host: a\r\nContent-Length: +1\r\n",
                Malformed("the body's length is no number"),
            ),
            (
                "Host: a\r\nContent-Length: 1, 1\r\n",
                Malformed("the body's length is no number"),
            ),
            (
                "Host: a\r\nContent-Length: 18446744073709551616\r\n",
                Malformed("the body's length is no number"),
            ),
            (
                "Host: a\r\nContent-Length : 1\r\n",
                Malformed("the request is not HTTP"),
            ),
            (
                "Host: a\r\nA: b\r\n c\r\n",
                Malformed("the request is not HTTP"),
            ),
            ("Host: a\r\nTransfer-Encoding: chunked\r\n", NoLength),
            (
                "Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n",
                NoLength,
            ),
            ("Host: a\r\nExpect: miracles\r\n", Expectation),
            (&many, TooLong),
        ] {
            let found = parse(&format!("POST /add HTTP/1.1\r\n{lines}\r\n"));
            assert_eq!(found, Err(error), "{lines}");
        }
        assert_eq!(parse("GET / HTTP/2.0\r\n\r\n"), Err(Version));
        assert_eq!(
            parse("\u{16}\u{3}\u{1}"),
            Err(Malformed("the request is not HTTP"))
        );
    }
}
