//! One client's connection, within bounds of time and size.
//!
//! Owns how long a client may take: `httparse` reads bytes that are there, so
//! every wait is here and has an end. A client that sends or reads one byte
//! at a time is ended by the deadline of the whole, not of the byte.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use super::message::{Answer, Body, Head, Method};
use super::server::Attention;
use crate::sys::clock;

/// Bytes of the longest head.
const MAX_HEAD: usize = 8 * 1024;

/// How long a client may be silent between two requests.
const IDLE: Duration = Duration::from_secs(15);

/// How often an idle connection looks whether others want its place.
const GLANCE: Duration = Duration::from_millis(100);

/// How long a head may take from its first byte to its last, and then its body.
const HEAD: Duration = Duration::from_secs(10);
const BODY: Duration = Duration::from_secs(10);

/// How long the last bytes of an answer may take, and how slow it may be before: 16 KiB a second.
const TAIL: Duration = Duration::from_secs(30);
const SLOWEST: u64 = 16 * 1024;

/// What is read of a body that nobody wants, so that the client gets to read why.
const UNWANTED: usize = 256 * 1024;
const LINGER: Duration = Duration::from_secs(2);

/// Reads the body of a request, if it is no longer than this.
pub(crate) type ReadBody<'a> = dyn FnMut(u64) -> Result<Vec<u8>, Answer> + 'a;

/// A connection, and what was read of it ahead.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    ahead: Vec<u8>,
}

/// Why a connection ends without another answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The client has gone, or took too long where nothing is owed to it.
    Gone,
    /// The client took too long in the middle of something.
    Slow,
}

impl Connection {
    pub(crate) const fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            ahead: Vec::new(),
        }
    }

    /// Answers one request after the other until either side has had enough.
    ///
    /// `answer` is handed the head, and a way to read the body of at most so many bytes.
    pub(crate) fn converse(
        mut self,
        attention: &dyn Attention,
        answer: &dyn Fn(&Head, &mut ReadBody<'_>) -> Answer,
    ) {
        // Answers are written whole; waiting for more to send with them helps nobody.
        let _ = self.stream.set_nodelay(true);
        while self.wait(attention) {
            let head = match self.head() {
                Ok(Ok(head)) => head,
                Ok(Err(refusal)) => return self.part_with(&refusal, Method::Get),
                Err(End::Slow) => return self.part_with(&too_slow(), Method::Get),
                Err(End::Gone) => return,
            };
            let mut left = head.length.unwrap_or(0);
            let mut body = |cap: u64| {
                let body = self.body(&head, cap)?;
                left = 0;
                Ok(body)
            };
            let answer = answer(&head, &mut body);
            if left > 0 || answer.last {
                return self.part_with(&answer, head.method);
            }
            let last = head.last || attention.is_wanted_elsewhere();
            if !self.send(&answer, head.method, last) || last {
                return;
            }
        }
    }

    /// Waits for the first byte of a request. False when there is none, or others want the place.
    fn wait(&mut self, attention: &dyn Attention) -> bool {
        let begun = Instant::now();
        while self.ahead.is_empty() {
            match self.read(GLANCE) {
                Ok(()) => {}
                Err(End::Slow) if attention.is_wanted_elsewhere() || begun.elapsed() >= IDLE => {
                    return false;
                }
                Err(End::Slow) => {}
                Err(End::Gone) => return false,
            }
        }
        true
    }

    fn head(&mut self) -> Result<Result<Head, Answer>, End> {
        let deadline = Instant::now() + HEAD;
        loop {
            match Head::parse(&self.ahead) {
                Ok(Some((head, length))) => {
                    self.ahead.drain(..length);
                    return Ok(Ok(head));
                }
                Ok(None) if self.ahead.len() >= MAX_HEAD => {
                    return Ok(Err(super::message::HeadError::TooLong.into()));
                }
                Ok(None) => self.read_until(deadline)?,
                Err(error) => return Ok(Err(error.into())),
            }
        }
    }

    fn body(&mut self, head: &Head, cap: u64) -> Result<Vec<u8>, Answer> {
        let Some(length) = head.length else {
            return Err(super::message::HeadError::NoLength.into());
        };
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length as u64 <= cap);
        let Some(length) = length else {
            let message = format!("the body is longer than {cap} bytes");
            return Err(Answer::refusal(413, "too-large", &message).last());
        };
        if head.waits
            && self.ahead.is_empty()
            && !self.write(b"HTTP/1.1 100 Continue\r\n\r\n", HEAD)
        {
            return Err(too_slow());
        }
        let deadline = Instant::now() + BODY;
        while self.ahead.len() < length {
            self.read_until(deadline).map_err(|_| too_slow())?;
        }
        let rest = self.ahead.split_off(length);
        Ok(std::mem::replace(&mut self.ahead, rest))
    }

    fn read_until(&mut self, deadline: Instant) -> Result<(), End> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(End::Slow);
        }
        self.read(left)
    }

    /// Reads what is there, or waits for it.
    fn read(&mut self, within: Duration) -> Result<(), End> {
        let mut buffer = [0; 4096];
        let within = within.max(Duration::from_millis(1));
        let read = self
            .stream
            .set_read_timeout(Some(within))
            .and_then(|()| self.stream.read(&mut buffer));
        match read {
            Ok(0) => Err(End::Gone),
            Ok(count) => {
                self.ahead
                    .extend_from_slice(buffer.get(..count).unwrap_or_default());
                Ok(())
            }
            Err(error) if is_timeout(&error) => Err(End::Slow),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(_) => Err(End::Gone),
        }
    }

    /// Sends an answer; false when the connection is of no use any more.
    fn send(&mut self, answer: &Answer, method: Method, last: bool) -> bool {
        let mut head = answer
            .head(&clock::http_date(clock::now()), last)
            .into_bytes();
        match &answer.body {
            _ if method == Method::Head => self.write(&head, TAIL),
            Body::Bytes(bytes) => {
                head.extend_from_slice(bytes);
                self.write(&head, TAIL)
            }
            Body::File(file, length) => {
                let deadline = TAIL + Duration::from_secs(length / SLOWEST);
                self.write(&head, TAIL) && self.send_file(file, *length, deadline)
            }
        }
    }

    fn send_file(&mut self, mut file: &std::fs::File, length: u64, within: Duration) -> bool {
        let begun = Instant::now();
        let mut buffer = vec![0; 64 * 1024];
        let mut left = length;
        while left > 0 {
            let most = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            let Some(room) = buffer.get_mut(..most) else {
                return false;
            };
            // A file that is shorter than it was cannot be what was promised: the client sees the cut.
            let count = match file.read(room) {
                Ok(0) | Err(_) => return false,
                Ok(count) => count,
            };
            let within = within.saturating_sub(begun.elapsed());
            if !self.write(buffer.get(..count).unwrap_or_default(), within) {
                return false;
            }
            left = left.saturating_sub(count as u64);
        }
        true
    }

    /// Writes all of it within the time, however little the client takes at once.
    fn write(&mut self, mut bytes: &[u8], within: Duration) -> bool {
        let deadline = Instant::now() + within;
        while !bytes.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.stream.set_write_timeout(Some(left)).is_err() {
                return false;
            }
            match self.stream.write(bytes) {
                Ok(0) => return false,
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// Sends a last answer. What the client is still sending is read and dropped for a moment: to
    /// close before would take the answer from under its eyes.
    fn part_with(mut self, answer: &Answer, method: Method) {
        if !self.send(answer, method, true) || self.stream.shutdown(Shutdown::Write).is_err() {
            return;
        }
        let deadline = Instant::now() + LINGER;
        let mut dropped = 0;
        while dropped < UNWANTED && self.read_until(deadline).is_ok() {
            dropped += self.ahead.len();
            self.ahead.clear();
        }
    }
}

fn too_slow() -> Answer {
    Answer::refusal(408, "too-slow", "the request took too long").last()
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}
