//! Docker's API, for a member of group docker, who may not read Docker's files.
//!
//! Owns one HTTP/1.0 request over the unix socket: the daemon then answers
//! without chunks and closes, so that the body is the stream. Reached by
//! people's verbs only; the gate never asks a daemon.

use std::io::{BufRead, BufReader, Read, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;

use super::Sources;
use super::archive::Archive;
use super::docker::shown;
use crate::image::digest::Digest;
use crate::image::reference::{ImageName, Name};
use crate::image::subjects::ImageSubjects;

/// Status line and headers together.
const MAX_HEAD: u64 = 16 << 10;
/// What the daemon says of one image, or of an error.
const MAX_ANSWER: u64 = 8 << 20;
/// An answer from memory.
const PATIENCE: Duration = Duration::from_secs(30);
/// A hint that nobody waits for.
const PATIENCE_FOR_INFO: Duration = Duration::from_secs(3);
/// Docker writes all layers to a temporary directory before the first byte of an archive.
const PATIENCE_FOR_ARCHIVE: Duration = Duration::from_secs(600);

/// What `docker image inspect` shows, as far as it is used.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Inspected {
    /// The config's digest.
    pub id: Digest,
    /// Its names in full.
    pub repo_tags: Option<Vec<String>>,
    /// Bytes of its layers.
    pub size: u64,
}

impl Inspected {
    /// Parses the daemon's answer.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(answer: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(answer)
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Info {
    default_runtime: String,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    message: String,
}

/// Has the image saved and reads it as it comes.
pub(super) fn resolve(name: &ImageName, sources: &Sources<'_>) -> anyhow::Result<ImageSubjects> {
    let asked = match name {
        ImageName::Id(id) => id.to_string(),
        ImageName::Name { name, .. } => name.familiar(),
    };
    let socket = sources.docker_socket;
    let about = format!("/images/{asked}/json");
    let inspected = match (get(socket, &about, PATIENCE), name) {
        (
            Err(Refused::Absent(_)),
            ImageName::Name {
                prefix: Some(id), ..
            },
        ) => get(socket, &format!("/images/{id}/json"), PATIENCE),
        (inspected, _) => inspected,
    };
    let mut answer = Vec::new();
    let body = inspected?;
    body.take(MAX_ANSWER)
        .read_to_end(&mut answer)
        .context("Docker did not finish its answer")?;
    let inspected = Inspected::parse(&answer).context("cannot understand Docker's answer")?;
    let tags = inspected.repo_tags.unwrap_or_default();
    let tags = tags.iter().filter_map(|tag| tag.parse().ok());
    let tags: Vec<_> = tags.map(|name: Name| name.familiar()).collect();

    // By ID, so that a tag which moves meanwhile cannot make two images of it.
    let path = format!("/images/{}/get", inspected.id);
    let body = get(socket, &path, PATIENCE_FOR_ARCHIVE)?;
    let archive = Archive::read(body, Some(inspected.size), sources.progress)?;
    let image = archive.image().context("cannot use what Docker saved")?;
    ensure!(
        image.subjects.iter().any(|s| s.digest == inspected.id),
        "Docker saved another image than it was asked for: expected {}, found {:?}",
        inspected.id,
        image.subjects.iter().map(|s| s.digest).collect::<Vec<_>>()
    );
    Ok(ImageSubjects {
        kind: "docker",
        name: shown(name, &tags),
        size: inspected.size,
        subjects: image.subjects,
    })
}

/// The runtime that a daemon which runs starts containers with; `None` unless it answers at once.
#[must_use]
pub fn default_runtime(socket: &Path) -> Option<String> {
    let body = get(socket, "/info", PATIENCE_FOR_INFO).ok()?;
    let mut answer = Vec::new();
    body.take(MAX_ANSWER).read_to_end(&mut answer).ok()?;
    let info: Info = serde_json::from_slice(&answer).ok()?;
    Some(info.default_runtime)
}

enum Refused {
    /// There is no such image.
    Absent(anyhow::Error),
    Other(anyhow::Error),
}

impl From<Refused> for anyhow::Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Absent(error) | Refused::Other(error) => error,
        }
    }
}

fn get(socket: &Path, path: &str, patience: Duration) -> Result<BufReader<UnixStream>, Refused> {
    let (status, body) = request(socket, "GET", path, None, patience).map_err(Refused::Other)?;
    if status == 200 {
        return Ok(body);
    }
    let mut answer = String::new();
    // What cannot be read of a refusal is not shown; the status is.
    let _ = body.take(MAX_HEAD).read_to_string(&mut answer);
    let message = serde_json::from_str(&answer).map_or(answer, |refusal: Refusal| refusal.message);
    let error = anyhow::anyhow!("Docker says {status}: {message:?}");
    Err(if status == 404 {
        Refused::Absent(error)
    } else {
        Refused::Other(error)
    })
}

/// What is sent with a request.
#[derive(Debug, Clone, Copy)]
pub struct Body<'a> {
    /// Its media type.
    pub kind: &'a str,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// Asks, and reads up to where the body begins.
///
/// # Errors
/// When the daemon cannot be asked, or does not answer.
pub fn request(
    socket: &Path,
    method: &str,
    path: &str,
    body: Option<Body<'_>>,
    patience: Duration,
) -> anyhow::Result<(u16, BufReader<UnixStream>)> {
    let mut stream = UnixStream::connect(socket)
        .with_context(|| format!("cannot connect to '{}'", socket.display()))?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut head = format!(
        "{method} {} HTTP/1.0\r\nHost: docker\r\nUser-Agent: vcn-hook\r\n",
        encoded(path)
    );
    if let Some(body) = body {
        let length = body.bytes.len();
        head += &format!(
            "Content-Type: {}\r\nContent-Length: {length}\r\n",
            body.kind
        );
    }
    head += "\r\n";
    stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(body.map_or(&[], |body| body.bytes)))
        .context("cannot ask Docker")?;
    let mut reader = BufReader::new(stream);
    let status = read_head(&mut reader)?;
    Ok((status, reader))
}

/// Reads an answer's status and headers, up to where its body begins.
///
/// # Errors
/// When it is no HTTP, longer than a head may be, cut short, or in chunks.
pub fn read_head(reader: &mut impl BufRead) -> anyhow::Result<u16> {
    let mut head = reader.take(MAX_HEAD);
    let mut line = |what| -> anyhow::Result<String> {
        let mut line = String::new();
        head.read_line(&mut line)
            .context("Docker does not answer")?;
        ensure!(line.ends_with('\n'), "Docker's answer has no {what}");
        Ok(line.trim_end().to_owned())
    };
    let first = line("status")?;
    let mut words = first.split(' ');
    let (Some(version), Some(status)) = (words.next(), words.next()) else {
        bail!("Docker's answer has no status: {first:?}");
    };
    ensure!(version.starts_with("HTTP/1."), "not HTTP: {first:?}");
    let status = status.parse().context("Docker's answer has no status")?;
    loop {
        let header = line("end of its headers")?;
        if header.is_empty() {
            return Ok(status);
        }
        let chunked = header
            .to_ascii_lowercase()
            .starts_with("transfer-encoding:");
        ensure!(
            !chunked,
            "something between here and Docker cuts its answer into chunks"
        );
    }
}

/// A checked name needs this for an IPv6 address's brackets only.
fn encoded(path: &str) -> String {
    path.replace('[', "%5B").replace(']', "%5D")
}
