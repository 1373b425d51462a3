//! One look at everything that runs, as every output is told it.
//!
//! Owns the words for what was found. How it is found and judged is the files' beside this.
//! Names and ids in here come from outside: whoever shows them escapes them.

use std::time::Duration;

use crate::allowlist::record::Status;
pub use crate::audit::passages::{Entered, Passage};
use crate::image::digest::Digest;
use crate::policy::gatebin::Mode;
use crate::verdict::{Reason, Verdict};

/// One look at everything that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sweep {
    /// The node's name: that of its host, unless `NODENAME` says another.
    pub node: String,
    /// When it began, in Unix seconds.
    pub begun: u64,
    /// How long it took.
    pub took: Duration,
    /// What runs, in the order in which it was started.
    pub containers: Vec<Watched>,
    /// What could not be looked at: whoever is named there alone is not among the containers.
    pub troubles: Vec<Reason>,
    /// Whether something may run that is not among the containers: what is left out is not gone.
    pub is_partial: bool,
    /// Whether a refusal refuses on this node; `None` without gate.bin.
    pub mode: Option<Mode>,
    /// The allowlist that answered, if one did.
    pub allowlist: Option<Allowlist>,
    /// What was found of the layers on disk; `None` where they are not read.
    pub layers: Option<Layers>,
    /// Why nothing can be decided on this node now: no allowlist, an expired one, no gate.bin.
    /// Said once, although it is the reason of every container's verdict too.
    pub undecided: Option<Reason>,
}

/// The signed facts of an allowlist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowlist {
    /// How many entries of the log are in it.
    pub log_size: u64,
    /// How many records it has.
    pub records: u64,
    /// The trust root that it was made under.
    pub root_version: u64,
    /// When it was signed, in Unix seconds.
    pub signed: u64,
    /// When it expires, in Unix seconds.
    pub expires: u64,
}

/// How many layers of what runs the slow lane found to be what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layers {
    /// What was unpacked.
    pub intact: usize,
    /// Not what was unpacked.
    pub differing: usize,
    /// Nobody can tell: `verify --deep` says why. An image whose layers are not found counts as one.
    pub undecidable: usize,
    /// The images that run and whose layers are due to be read.
    pub images_unread: usize,
    /// How long the first of those has been due.
    pub longest_wait: Duration,
}

/// A container that runs, and what is to be said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Whose it is: `docker`, `podman`, `bundle`, or what else the sweep calls it.
    pub engine: &'static str,
    /// The id that engine and runtime know it by; empty where nobody says it.
    pub id: String,
    /// The name that people know it by.
    pub name: Option<String>,
    /// What the user asked for.
    pub image: Option<String>,
    /// The image's config digest, bound to the mounted layers; `None` where it could not be told.
    pub config: Option<Digest>,
    /// The image's manifest, where its engine keeps one.
    pub manifest: Option<Digest>,
    /// Its first process.
    pub pid: u32,
    /// When that was started, in Unix seconds.
    pub started: u64,
    /// The same in the kernel's clock ticks.
    pub ticks: u64,
    /// Whether its processes are frozen.
    pub paused: bool,
    /// vcn's status; UNKNOWN where nobody knows.
    pub status: Status,
    /// The level of the signer whose statement decides; 0 where there is none.
    pub level: i8,
    /// What the gate would say to a start of it now, before `mode` makes a warning of a refusal.
    pub verdict: Verdict,
    /// The statement that decides, where there is one.
    pub statement: Option<Stated>,
    /// How it came to run.
    pub entered: Entered,
    /// Whether nothing is ever done to it: its image is on the floor or exempted, or the watch's own.
    pub spared: bool,
}

/// The statement that decides, as far as people are told of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stated {
    /// Where it stands in the log.
    pub log_index: u64,
    /// The signer's organisation.
    pub organisation: String,
    /// The signer's name; empty where the node has no copy of the log.
    pub signer: String,
    /// The signer's key, as `name+id`; empty likewise.
    pub key: String,
    /// What the signer called the image; empty likewise.
    pub name: String,
    /// When it was signed, by the signer's clock; 0 for unknown.
    pub time: u64,
}

impl Watched {
    /// Whether the verification succeeds: what the seeds called a successful check.
    #[must_use]
    pub const fn passes(&self) -> bool {
        !matches!(self.verdict, Verdict::Deny(_))
    }

    /// The id as `docker ps` shows it.
    #[must_use]
    pub fn short_id(&self) -> &str {
        self.id.get(..SHORT_ID).unwrap_or(&self.id)
    }

    /// What the user asked for, else the image's digest, else nothing.
    #[must_use]
    pub fn image_name(&self) -> String {
        let digest = || self.config.map(|config| config.to_string());
        self.image.clone().or_else(digest).unwrap_or_default()
    }

    /// What a successful check calls it: what the signer called the image, else what the user did.
    #[must_use]
    pub fn artifact_name(&self) -> String {
        let stated = self.statement.as_ref().map(|stated| &stated.name);
        match stated.filter(|name| !name.is_empty()) {
            Some(name) => name.clone(),
            None => self.image_name(),
        }
    }
}

impl Sweep {
    /// What must not run comes first, then what came around the gate.
    #[must_use]
    pub fn worst_first(&self) -> Vec<&Watched> {
        let mut containers: Vec<_> = self.containers.iter().collect();
        containers.sort_by_key(|found| (found.passes(), found.entered != Entered::Around));
        containers
    }

    /// Whether everything that runs passes, and everything could be looked at.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.undecided.is_none()
            && self.troubles.is_empty()
            && self.containers.iter().all(Watched::passes)
    }
}

/// As many characters as Docker and Podman show.
const SHORT_ID: usize = 12;

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::{Entered, Sweep, Watched};
    use crate::allowlist::record::Status;
    use crate::policy::gatebin::Mode;
    use crate::verdict::{Reason, ReasonCode, Verdict};

    pub(crate) fn container(id: &str) -> Watched {
        Watched {
            engine: "docker",
            id: id.to_owned(),
            name: Some("web".to_owned()),
            image: Some("app:1".to_owned()),
            config: None,
            manifest: None,
            pid: 1,
            started: 1,
            ticks: 1,
            paused: false,
            status: Status::Trusted,
            level: 0,
            verdict: Verdict::Allow(Reason::new(ReasonCode::Trusted, "d", "")),
            statement: None,
            entered: Entered::Before,
            spared: false,
        }
    }

    pub(crate) fn sweep(containers: Vec<Watched>) -> Sweep {
        Sweep {
            node: "n1".to_owned(),
            begun: 1_709_210_096,
            took: Duration::ZERO,
            containers,
            troubles: Vec::new(),
            is_partial: false,
            mode: Some(Mode::Enforce),
            allowlist: None,
            layers: None,
            undecided: None,
        }
    }

    #[test]
    fn an_id_that_is_none_is_shown_as_it_is() {
        assert_eq!(container("0123456789abcdef").short_id(), "0123456789ab");
        assert_eq!(container("éééééééé").short_id(), "éééééé");
        assert_eq!(container("0123456789aé").short_id(), "0123456789aé");
    }
}
