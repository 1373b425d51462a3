//! Signing through an ssh-agent: keys in files, smart cards, TPMs, remote services.
//!
//! Owns the two requests that this takes (draft-ietf-sshm-ssh-agent). For an
//! `ssh-ed25519` key the agent signs our bytes themselves; security keys
//! (`sk-`) sign others and are not supported.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::allowlist::note::VerifierKey;
use crate::trust::keys::{KeyError, Signer, checked};

const ED25519: &[u8] = b"ssh-ed25519";

/// Message numbers (section "Message numbers" of the draft).
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

/// The longest message either way: OpenSSH's own bound.
const MAX_MESSAGE: usize = 256 * 1024;

/// How long listing keys may take.
const LIST_PATIENCE: Duration = Duration::from_secs(10);

/// How long signing may take: somebody may have to confirm or to touch a card.
const SIGN_PATIENCE: Duration = Duration::from_secs(120);

/// A key of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentKey {
    socket: PathBuf,
    key: VerifierKey,
}

/// Why an agent did not sign.
#[derive(Debug)]
pub enum AgentError {
    /// Its socket cannot be used.
    Socket(PathBuf, io::Error),
    /// It said something that is not the protocol, or more than the bound.
    Protocol,
    /// It refused: locked, not confirmed, or the key is gone.
    Refused,
    /// The message is longer than agents take.
    TooLong,
    /// It has no such Ed25519 key.
    NoKey(String),
    /// Several of its keys have this comment; name one by its verifier key.
    Ambiguous(String),
}

/// Finds a key of the agent: by its verifier key, or by its comment, which then is its name.
///
/// # Errors
/// [`KeyError::Agent`]; [`KeyError::Name`] for a comment that cannot be a name.
pub fn open(socket: &Path, key: &str) -> Result<AgentKey, KeyError> {
    let keys = list(socket).map_err(KeyError::Agent)?;
    let socket = socket.to_owned();
    if let Ok(key) = key.parse::<VerifierKey>() {
        if keys.iter().any(|(public, _)| public == key.public()) {
            return Ok(AgentKey { socket, key });
        }
        return Err(KeyError::Agent(AgentError::NoKey(key.to_string())));
    }
    let mut named = keys.iter().filter(|(_, comment)| comment == key);
    match (named.next(), named.next()) {
        (Some((public, _)), None) => {
            let key = VerifierKey::new(key, *public).map_err(KeyError::Name)?;
            Ok(AgentKey { socket, key })
        }
        (Some(_), Some(_)) => Err(KeyError::Agent(AgentError::Ambiguous(key.to_owned()))),
        (None, _) => Err(KeyError::Agent(AgentError::NoKey(key.to_owned()))),
    }
}

/// The Ed25519 keys of the agent, and their comments.
fn list(socket: &Path) -> Result<Vec<([u8; 32], String)>, AgentError> {
    let answer = ask(
        socket,
        &[REQUEST_IDENTITIES],
        IDENTITIES_ANSWER,
        LIST_PATIENCE,
    )?;
    parse_identities(&answer)
}

/// Parses the agent's list: its Ed25519 keys with their comments.
///
/// # Errors
/// [`AgentError::Protocol`].
pub fn parse_identities(answer: &[u8]) -> Result<Vec<([u8; 32], String)>, AgentError> {
    let mut rest = Reader(answer);
    let count = rest.number()?;
    let mut keys = Vec::new();
    for _ in 0..count {
        let (blob, comment) = (rest.string()?, rest.string()?);
        if let Ok(public) = ed25519(blob) {
            keys.push((public, String::from_utf8_lossy(comment).into_owned()));
        }
    }
    rest.end()?;
    Ok(keys)
}

impl Signer for AgentKey {
    fn verifier(&self) -> &VerifierKey {
        &self.key
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], KeyError> {
        let blob = [string(ED25519), string(self.key.public())].concat();
        let request = [
            &[SIGN_REQUEST][..],
            &string(&blob),
            &string(message),
            &[0; 4],
        ]
        .concat();
        let signature = ask(&self.socket, &request, SIGN_RESPONSE, SIGN_PATIENCE)
            .and_then(|answer| parse_signature(&answer))
            .map_err(KeyError::Agent)?;
        checked(&self.key, message, &signature)
    }
}

/// Parses the agent's signature. Whether it is the key's is not looked at here.
///
/// # Errors
/// [`AgentError::Protocol`].
pub fn parse_signature(answer: &[u8]) -> Result<[u8; 64], AgentError> {
    let mut rest = Reader(answer);
    let signature = ed25519(rest.string()?)?;
    rest.end()?;
    Ok(signature)
}

/// Sends one request and waits for an answer of the expected type: its bytes after the type.
fn ask(
    socket: &Path,
    request: &[u8],
    expected: u8,
    patience: Duration,
) -> Result<Vec<u8>, AgentError> {
    if request.len() > MAX_MESSAGE {
        return Err(AgentError::TooLong);
    }
    let deadline = Instant::now() + patience;
    let broken = |error| AgentError::Socket(socket.to_owned(), error);
    let mut stream = UnixStream::connect(socket).map_err(broken)?;
    stream.set_write_timeout(Some(patience)).map_err(broken)?;
    stream.write_all(&string(request)).map_err(broken)?;
    let mut head = [0; 4];
    read_exact(&mut stream, &mut head, deadline).map_err(broken)?;
    let length = usize::try_from(u32::from_be_bytes(head)).map_err(|_| AgentError::Protocol)?;
    if length > MAX_MESSAGE {
        return Err(AgentError::Protocol);
    }
    let mut answer = vec![0; length];
    read_exact(&mut stream, &mut answer, deadline).map_err(broken)?;
    match answer.split_first() {
        Some((kind, body)) if *kind == expected => Ok(body.to_owned()),
        Some(_) => Err(AgentError::Refused),
        None => Err(AgentError::Protocol),
    }
}

/// As `Read::read_exact`, with one deadline for all of it.
fn read_exact(stream: &mut UnixStream, mut bytes: &mut [u8], deadline: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(bytes) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => bytes = bytes.get_mut(read..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What a blob of type `ssh-ed25519` holds: a public key, or a signature.
fn ed25519<const N: usize>(blob: &[u8]) -> Result<[u8; N], AgentError> {
    let mut rest = Reader(blob);
    if rest.string()? != ED25519 {
        return Err(AgentError::Protocol);
    }
    let bytes = rest
        .string()?
        .try_into()
        .map_err(|_| AgentError::Protocol)?;
    rest.end()?;
    Ok(bytes)
}

/// A string of the protocol: its length, then its bytes.
fn string(bytes: &[u8]) -> Vec<u8> {
    // Callers' strings are far below 4 GiB; a longer one is refused by the agent.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], bytes].concat()
}

/// The rest of a message.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn number(&mut self) -> Result<u32, AgentError> {
        let (head, rest) = self.0.split_first_chunk().ok_or(AgentError::Protocol)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*head))
    }

    fn string(&mut self) -> Result<&'a [u8], AgentError> {
        let length = usize::try_from(self.number()?).map_err(|_| AgentError::Protocol)?;
        let (head, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(AgentError::Protocol)?;
        self.0 = rest;
        Ok(head)
    }

    const fn end(&self) -> Result<(), AgentError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(AgentError::Protocol)
        }
    }
}

impl fmt::Display for AgentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path, _) => write!(f, "cannot use the socket '{}'", path.display()),
            Self::Protocol => f.write_str("it does not speak the agent protocol"),
            Self::Refused => f.write_str("it refused: locked, not confirmed, or the key is gone"),
            Self::TooLong => write!(f, "agents sign at most {MAX_MESSAGE} bytes"),
            Self::NoKey(key) => write!(
                f,
                "it has no Ed25519 key '{}'; 'ssh-add -l' lists its keys",
                key.escape_debug()
            ),
            Self::Ambiguous(name) => write!(
                f,
                "several of its keys are called '{}'; name one as 'agent:VKEY'",
                name.escape_debug()
            ),
        }
    }
}

impl std::error::Error for AgentError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Socket(_, error) => Some(error),
            Self::Protocol
            | Self::Refused
            | Self::TooLong
            | Self::NoKey(_)
            | Self::Ambiguous(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
