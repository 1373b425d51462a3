//! This node's exemptions: from the notes beside config.toml to what gate.bin has of them.
//!
//! Owns where they lie and that a wrong one is told and otherwise as good as
//! none: whatever somebody leaves there must not keep root from applying the
//! rest. What an exemption is belongs to `trust`, what it does to `policy`.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::policy::gatebin::Exempted;
use crate::sys::clock::rfc3339;
use crate::sys::file;
use crate::trust::exemption::{Exemption, ExemptionError, Granted, MAX_NOTE};
use crate::trust::node_id::{MACHINE_ID, MAX_MACHINE_ID, NodeId, NodeIdError};
use crate::trust::root::TrustRoot;

/// The most files that are read: each is at most three days old, and somebody signed it by hand.
const MAX_FILES: usize = 256;

/// One file among this node's exemptions.
#[derive(Debug)]
pub struct Found {
    /// The file.
    pub path: PathBuf,
    /// What it grants; it may have ended. Or why it grants nothing.
    pub granted: Result<Granted, Refused>,
}

/// Why a file exempts nothing.
#[derive(Debug)]
pub enum Refused {
    /// It cannot be read, or others than root can change it.
    File(io::Error),
    /// It is no exemption of this node's by this trust root.
    Exemption(ExemptionError),
    /// Nobody knows which node this is.
    Node(NoNode),
}

/// Why nobody knows which node this is.
#[derive(Debug)]
pub enum NoNode {
    /// The machine id cannot be read.
    File(io::Error),
    /// The file holds none.
    Id(NodeIdError),
}

/// Where this node's exemptions lie: beside its configuration, where only root can write.
#[must_use]
pub fn directory(config: &Config) -> PathBuf {
    config.directory().join("exemptions")
}

/// This node's id.
///
/// # Errors
/// [`NoNode`] on a machine without a machine id of root's.
pub fn node_id() -> Result<NodeId, NoNode> {
    let file = file::read_owned(Path::new(MACHINE_ID), MAX_MACHINE_ID).map_err(NoNode::File)?;
    NodeId::of_machine_id(&file).map_err(NoNode::Id)
}

/// Reads and verifies every exemption that lies on this node, by name. None at all is no error.
#[must_use]
pub fn find(config: &Config, root: &TrustRoot) -> Vec<Found> {
    let directory = directory(config);
    let names = match notes(&directory) {
        Ok(names) => names,
        Err(error) => {
            let granted = Err(Refused::File(error));
            let path = directory;
            return vec![Found { path, granted }];
        }
    };
    let found = |path: PathBuf| Found {
        granted: open(&path, root),
        path,
    };
    names.into_iter().map(found).collect()
}

/// Reads and verifies one file.
///
/// # Errors
/// [`Refused`].
pub fn open(path: &Path, root: &TrustRoot) -> Result<Granted, Refused> {
    verify(
        &file::read_owned(path, MAX_NOTE).map_err(Refused::File)?,
        root,
    )
}

/// Verifies a note for this node.
///
/// # Errors
/// [`Refused`].
pub fn verify(note: &[u8], root: &TrustRoot) -> Result<Granted, Refused> {
    let node = node_id().map_err(Refused::Node)?;
    Exemption::verify(note, root, &node).map_err(Refused::Exemption)
}

/// What the gate has to know of those that have not ended.
#[must_use]
pub fn compile(found: &[Found], now: u64) -> Vec<Exempted> {
    let granted = found.iter().filter_map(|each| each.granted.as_ref().ok());
    granted
        .filter(|granted| granted.exemption.check_end(now).is_ok())
        .map(|Granted { exemption, by }| Exempted {
            config: exemption.config,
            from: exemption.from,
            until: exemption.until,
            because: format!(
                "until {} by {}: {}",
                rfc3339(exemption.until),
                by.join(", "),
                exemption.reason
            ),
        })
        .collect()
}

fn notes(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "note")
        {
            names.push(path);
        }
    }
    if names.len() > MAX_FILES {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("there are more than {MAX_FILES} exemptions"),
        ));
    }
    names.sort();
    Ok(names)
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Exemption(error) => {
                error.fmt(f)?;
                std::error::Error::source(error).map_or(Ok(()), |cause| write!(f, ": {cause}"))
            }
            Self::Node(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for NoNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot tell which node this is by '{MACHINE_ID}': ")?;
        match self {
            Self::File(error) => write!(f, "{error}")?,
            Self::Id(error) => write!(f, "{error}")?,
        }
        f.write_str(" (systemd-machine-id-setup(1) makes one)")
    }
}

impl std::error::Error for Refused {}

impl std::error::Error for NoNode {}
