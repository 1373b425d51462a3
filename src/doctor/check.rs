//! The checks there are, and what one finds.
//!
//! Owns their stable ids and the four grades. What is wrong, and what closes it, is each check's to say.

use std::fmt;

macro_rules! checks {
    ($($(#[doc = $doc:literal])+ $variant:ident = $id:literal;)+) => {
        /// Everything that is looked at. The text form is stable; an id is never used again.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Check { $($(#[doc = $doc])+ $variant,)+ }

        impl Check {
            /// All of them, in the order in which they are shown.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The stable text form.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $id,)+ }
            }
        }
    };
}

checks! {
    /// Each way in that was configured still stands.
    Configured = "configured";
    /// The programs that engines find as `runc` and `crun`.
    EnginePath = "engine-path";
    /// Runtimes that other products bring along.
    BundledRuntimes = "bundled-runtimes";
    /// The programs that the gate becomes.
    RealRuntime = "real-runtime";
    /// The runtime that Docker uses unless it is told another.
    DockerDefaultRuntime = "docker-default-runtime";
    /// The runtimes that a client of Docker may name.
    DockerRuntimes = "docker-runtimes";
    /// The runtimes that Docker's existing containers keep.
    DockerContainers = "docker-containers";
    /// The runtime of image builds.
    BuildRuntime = "build-runtime";
    /// The runtimes that containerd is told to use.
    ContainerdRuntimes = "containerd-runtimes";
    /// The runtimes that Podman uses.
    PodmanRuntimes = "podman-runtimes";
    /// The hooks that Podman runs, and skips silently where their program is missing.
    PodmanHooks = "podman-hooks";
    /// The runtime that each running container was started by.
    RunningRuntime = "running-runtime";
    /// A decision on record for each running container.
    RunningDecision = "running-decision";
    /// The image of each running container, as the gate would judge it now.
    RunningImage = "running-image";
    /// gate.bin: there, whole, root's, where the gate looks for it.
    Gate = "gate";
    /// Whether gate.bin is what the configuration says.
    Applied = "applied";
    /// Whether refusals refuse.
    Mode = "mode";
    /// Whether the allowlist answers, and for how long.
    Allowlist = "allowlist";
    /// Whether the node follows its ledger.
    Sync = "sync";
    /// When the trust root expires.
    TrustRoot = "trust-root";
    /// The high-water mark, which stops an old allowlist.
    HighWater = "high-water";
    /// The node's clock.
    Clock = "clock";
    /// Owners and modes of what the gate relies on.
    Files = "files";
    /// Room for state and decisions.
    Disk = "disk";
    /// Whether decisions are recorded.
    Records = "records";
    /// The last result of `self-test`.
    SelfTest = "self-test";
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Note,
    /// It will stop starts that should go on, or is a way round for somebody who must be root already.
    Warning,
    /// Something starts, or has started, without being judged; or nothing starts.
    Danger,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// By which check.
    pub check: Check,
    /// How bad it is.
    pub severity: Severity,
    /// What, in one sentence without a full stop.
    pub what: String,
    /// The one command that closes it, or what is to be done where no one command does.
    pub fix: Option<String>,
}

/// What the checks found, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    list: Vec<Finding>,
    unseen: Vec<(Check, String)>,
}

impl Findings {
    /// Something is as it should be.
    pub(super) fn ok(&mut self, check: Check, what: impl Into<String>) {
        self.add(check, Severity::Ok, what.into(), None);
    }

    pub(super) fn note(&mut self, check: Check, what: impl Into<String>, fix: impl Into<String>) {
        self.add(check, Severity::Note, what.into(), Some(fix.into()));
    }

    pub(super) fn warn(&mut self, check: Check, what: impl Into<String>, fix: impl Into<String>) {
        self.add(check, Severity::Warning, what.into(), Some(fix.into()));
    }

    pub(super) fn danger(&mut self, check: Check, what: impl Into<String>, fix: impl Into<String>) {
        self.add(check, Severity::Danger, what.into(), Some(fix.into()));
    }

    /// Something could not be looked at by this user.
    pub(super) fn unseen(&mut self, check: Check, what: impl Into<String>) {
        self.unseen.push((check, what.into()));
    }

    /// Says that a check found nothing wrong, unless it did, or could not look.
    pub(super) fn ok_unless_told(&mut self, check: Check, what: impl Into<String>) {
        let is_told = self.list.iter().any(|finding| finding.check == check);
        if !is_told && !self.unseen.iter().any(|(unseen, _)| *unseen == check) {
            self.ok(check, what);
        }
    }

    fn add(&mut self, check: Check, severity: Severity, what: String, fix: Option<String>) {
        // An empty fix is none: nothing is to be done.
        let fix = fix.filter(|fix| !fix.is_empty());
        self.list.push(Finding {
            check,
            severity,
            what,
            fix,
        });
    }

    /// All findings, in the order of the checks.
    pub fn all(&self) -> impl Iterator<Item = &Finding> {
        Check::ALL.iter().flat_map(|check| {
            let of_check = move |finding: &&Finding| finding.check == *check;
            self.list.iter().filter(of_check)
        })
    }

    /// What could not be looked at, and by which check.
    #[must_use]
    pub fn not_looked_at(&self) -> &[(Check, String)] {
        &self.unseen
    }

    /// The worst of them.
    #[must_use]
    pub fn worst(&self) -> Severity {
        let grades = self.list.iter().map(|finding| finding.severity);
        grades.max().unwrap_or(Severity::Ok)
    }
}

impl Severity {
    /// The stable text form.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Danger => "danger",
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
