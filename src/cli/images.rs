//! From what a publisher typed to the digests that it stands for.
//!
//! Owns which source is asked for which reference, and in which order: Docker's
//! files where they can be read, its API where they cannot. What a blob
//! means is `image::subjects`' to say. Nothing here takes a digest on trust:
//! each one is computed from bytes.

pub mod archive;
pub mod daemon;
mod docker;
mod layout;
mod metered;
mod podman;
pub mod stored;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};

use self::metered::Metered;
use crate::cli::failure::Failure;
use crate::image::digest::Digest;
use crate::image::reference::{Reference, ReferenceError};
use crate::image::subjects::{ImageSubjects, Subject, SubjectOf};
use crate::sys::file::open_regular;

/// The kind of an image of which nothing but a digest was given.
pub const BARE: &str = "hash";

/// Where images are looked for.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// Docker's data roots, such as `/var/lib/docker`.
    pub docker_roots: &'a [PathBuf],
    /// containerd's roots, such as `/var/lib/containerd`, for Docker's containerd image store.
    pub containerd_roots: &'a [PathBuf],
    /// Graph roots of containers/storage: the machine's, and the user's own.
    pub storage_roots: &'a [PathBuf],
    /// Docker's API, for whoever may not read its files.
    pub docker_socket: &'a Path,
    /// Told now and then how many bytes were read, and how many there are where that is known.
    pub progress: &'a dyn Fn(u64, Option<u64>),
}

impl std::fmt::Debug for Sources<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources")
            .field("docker_roots", &self.docker_roots)
            .field("containerd_roots", &self.containerd_roots)
            .field("storage_roots", &self.storage_roots)
            .field("docker_socket", &self.docker_socket)
            .finish_non_exhaustive()
    }
}

/// Finds out which digests `text` stands for, from the bytes of what it names.
///
/// # Errors
/// Wrong usage for a text that is no reference; otherwise what could not be found, read or believed.
pub fn resolve(text: &str, sources: &Sources<'_>) -> Result<ImageSubjects, Failure> {
    let reference: Reference = text.parse().map_err(|error: ReferenceError| {
        Failure::usage(format!("cannot use reference {text:?}: {error}"))
    })?;
    let subjects = match &reference {
        Reference::Docker(name) => docker::resolve(name, sources),
        Reference::Podman(name) => podman::resolve(name, sources),
        Reference::OciLayout { directory, tag } => {
            layout::resolve(Path::new(directory), tag.as_deref())
        }
        Reference::DockerArchive { file } => resolve_archive(Path::new(file), sources),
        Reference::File { path } => resolve_file(Path::new(path), sources),
    };
    Ok(subjects.with_context(|| format!("cannot resolve {:?}", reference.to_string()))?)
}

/// What `--hash HEX [--name NAME]` stands for: a bare digest, whose bytes are not at hand.
///
/// A name with a scheme says what it is the digest of. Without one it may be an
/// image ID or a file's, and so stands for both. A config without a chain starts nothing.
///
/// # Errors
/// Wrong usage for something else than 64 hexadecimal digits, with or without `sha256:`.
pub fn resolve_hash(text: &str, name: Option<&str>) -> Result<ImageSubjects, Failure> {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    let digest = Digest::from_hex(&hex.to_ascii_lowercase())
        .map_err(|error| Failure::usage(format!("cannot use hash {text:?}: {error}")))?;
    let name = name.map_or_else(|| digest.hex(), str::to_owned);
    let config = SubjectOf::Config { chain: None };
    let scheme = name.split_once(':').map(|(scheme, _)| scheme);
    let meanings = match scheme {
        Some("file") => vec![SubjectOf::File],
        Some("docker" | "podman" | "containerd" | "image" | "oci" | "docker-archive") => {
            vec![config]
        }
        Some(_) | None => vec![config, SubjectOf::File],
    };
    let subject = |of| Subject {
        name: name.clone(),
        digest,
        of,
    };
    Ok(ImageSubjects {
        kind: BARE,
        subjects: meanings.into_iter().map(subject).collect(),
        name,
        size: 0,
    })
}

fn resolve_archive(path: &Path, sources: &Sources<'_>) -> anyhow::Result<ImageSubjects> {
    let (file, size) = open(path)?;
    let archive = archive::Archive::read(file, Some(size), sources.progress)?;
    let image = archive.image()?;
    let name = image.tags.into_iter().next();
    Ok(ImageSubjects {
        kind: "docker-archive",
        name: format!("docker-archive:{}", name.unwrap_or_else(|| base(path))),
        size: image.size,
        subjects: image.subjects,
    })
}

fn resolve_file(path: &Path, sources: &Sources<'_>) -> anyhow::Result<ImageSubjects> {
    let (file, size) = open(path)?;
    let meter = metered::Meter::new(Some(size), sources.progress);
    let mut reader = Metered::new(file, &meter);
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = reader.read(&mut buffer).context("cannot read the file")?;
        match buffer.get(..count) {
            Some([]) | None => break,
            Some(bytes) => hash.update(bytes),
        }
    }
    let name = base(path);
    Ok(ImageSubjects {
        kind: "file",
        name: format!("file://{name}"),
        size: meter.total(),
        subjects: vec![Subject {
            name,
            digest: Digest::from_bytes(hash.finalize().into()),
            of: SubjectOf::File,
        }],
    })
}

/// Opens a regular file that a person named: unlike the gate's files, it may be a symlink.
fn open(path: &Path) -> anyhow::Result<(File, u64)> {
    let real = match path.canonicalize() {
        Ok(real) => real,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!(
                "there is no file {:?}; an image of Docker's is written docker://NAME, one of Podman's podman://NAME",
                path.display().to_string()
            );
        }
        Err(error) => return Err(error).context("cannot find the file"),
    };
    if real.is_dir() {
        bail!("it is a directory; an image layout is written oci:DIR");
    }
    let file = open_regular(&real).context("cannot open the file")?;
    let size = file.metadata().context("cannot open the file")?.len();
    Ok((file, size))
}

/// The last component, for a name that does not tell where on this machine the file was.
fn base(path: &Path) -> String {
    path.canonicalize()
        .ok()
        .as_deref()
        .unwrap_or(path)
        .file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests;
