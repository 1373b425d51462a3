//! What was decided, why, and the number that says so.
//!
//! Owns the verdict, the stable reason codes and the one table of exit
//! codes. Refuses to decide anything: that is `policy`'s.

use std::fmt;

/// The answer to "may it start?". A refusal is a value; an error means that we could not decide.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a verdict that is not acted on lets everything start"]
pub enum Verdict {
    /// It may start.
    Allow(Reason),
    /// It must not start.
    Deny(Reason),
    /// It may start, and somebody should look at it.
    Warn(Reason),
}

/// Why a verdict is what it is, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The stable code that scripts, metrics and alerts match on.
    pub code: ReasonCode,
    /// One sentence about this very start: names, digests, both sides of a mismatch. No full stop.
    pub detail: String,
    /// What to do next; for a refusal, the command or the line of config.toml that would permit it.
    pub hint: String,
}

macro_rules! reason_codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $code:literal, exit $exit:literal;)+) => {
        /// Every reason there is. The text form is stable; a code is never reused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ReasonCode { $($(#[doc = $doc])+ $variant,)+ }

        impl ReasonCode {
            /// All of them, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The stable text form.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// The exit code of `verify` for this reason (see [`exit`]).
            #[must_use]
            pub const fn exit_code(self) -> u8 {
                match self { $(Self::$variant => $exit,)+ }
            }
        }
    };
}

reason_codes! {
    /// Enough organisations vouch for it.
    Trusted = "trusted", exit 0;
    /// On this node's floor, and the ledger says nothing against it.
    Floor = "floor", exit 0;
    /// An engine's own container for a pod's namespaces, and the ledger says nothing against it.
    Infra = "infra", exit 0;
    /// A break-glass exemption signed by the exempt keys.
    Exempt = "exempt", exit 0;
    /// The ledger's word has lapsed, and so have too many others at once: held until it is back.
    Held = "held", exit 2;
    /// The verb starts nothing; it passes through.
    NoStart = "no-start", exit 0;
    /// A policy other than the ledger's lets it through (`[build]`, `[restore]`).
    Permitted = "permitted", exit 0;
    /// An organisation withdrew its trust.
    Untrusted = "untrusted", exit 1;
    /// The ledger has no word about it.
    Unknown = "unknown", exit 2;
    /// The ledger's records name other layers than those mounted.
    ChainMismatch = "chain-mismatch", exit 2;
    /// Vouched for by too few organisations, or by signers of too low a level.
    Quorum = "quorum", exit 2;
    /// Every vouching record has passed its own end date.
    Lapsed = "lapsed", exit 2;
    /// The publisher no longer supports it.
    Unsupported = "unsupported", exit 3;
    /// Only revoked signers vouch for it.
    Revoked = "revoked", exit 4;
    /// There is no allowlist on this node.
    NoAllowlist = "no-allowlist", exit 10;
    /// The allowlist has expired.
    Stale = "stale", exit 11;
    /// The allowlist is older than one this node has already seen.
    RolledBack = "rolled-back", exit 12;
    /// The allowlist's bytes are not the signed ones.
    Tampered = "tampered", exit 13;
    /// A layer on disk is not what was unpacked.
    LayerDiffers = "layer-differs", exit 13;
    /// gate.bin or the configuration is missing, unreadable or not root's alone.
    Configuration = "configuration", exit 14;
    /// The allowlist names a newer trust root than gate.bin.
    RootBehind = "root-behind", exit 14;
    /// No engine's record says which image this is.
    NoIdentity = "no-identity", exit 15;
    /// The mounted layers are not those of the image that the engine's record names.
    Unbound = "unbound", exit 15;
    /// The image name moved between create and start.
    ImageMoved = "image-moved", exit 15;
    /// The bundle or the engine's files cannot be read.
    Unreadable = "unreadable", exit 15;
    /// The gate and the runtime may not read this command line the same way.
    Argv = "argv", exit 64;
    /// Files were put into the container before its first start.
    UpperNotPristine = "upper-not-pristine", exit 1;
    /// Code was changed inside the container since its first start.
    UpperChanged = "upper-changed", exit 1;
    /// A mount covers code of the image.
    MountOverCode = "mount-over-code", exit 1;
    /// A writable mount reaches the gate's own files or the engine's state.
    MountOfState = "mount-of-state", exit 1;
    /// Something is already mounted below the root file system.
    MountBelowRootfs = "mount-below-rootfs", exit 1;
    /// Host access that `[host]` does not permit.
    HostAccess = "host-access", exit 1;
    /// Arguments or environment that `[process]` does not permit.
    ProcessChanged = "process-changed", exit 1;
    /// A checkpoint cannot be bound to an image.
    Restore = "restore", exit 1;
    /// Exec into a container that is no longer trusted.
    Exec = "exec", exit 1;
    /// Exec into an engine's own container for a pod's namespaces, which nobody notarized.
    InfraExec = "infra-exec", exit 1;
    /// A rootless engine's container, which is audited only.
    Rootless = "rootless", exit 15;
    /// A build step that `[build]` does not permit.
    Build = "build", exit 1;
}

/// Exit codes that are not a reason's. One table: here, in the man page and in the tests.
pub mod exit {
    /// Every argument is TRUSTED, or the command did what it was asked.
    pub const OK: u8 = 0;
    /// A command that is no verification failed.
    pub const FAILURE: u8 = 1;
    /// The ledger could not be reached.
    pub const UNREACHABLE: u8 = 16;
    /// The command line is wrong.
    pub const USAGE: u8 = 64;
    /// The gate refused the start.
    pub const REFUSED: u8 = 1;
}

/// We could not decide. What that means is `policy`'s to say, and it says no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecided(pub Reason);

impl Verdict {
    /// Why.
    #[must_use]
    pub const fn reason(&self) -> &Reason {
        match self {
            Self::Allow(reason) | Self::Deny(reason) | Self::Warn(reason) => reason,
        }
    }

    /// The stable name: `allow`, `deny` or `warn`.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Allow(_) => "allow",
            Self::Deny(_) => "deny",
            Self::Warn(_) => "warn",
        }
    }
}

impl Reason {
    /// Puts a reason together.
    #[must_use]
    pub fn new(code: ReasonCode, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            code,
            detail: shortened(detail.into()),
            hint: shortened(hint.into()),
        }
    }

    /// The same reason, with another told beside it.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let detail = format!(
            "{}; besides, {} ({})",
            self.detail, other.detail, other.code
        );
        Self::new(self.code, detail, self.hint.clone())
    }
}

/// The most bytes of a detail or a hint: paths are in them that a client made up, and every place
/// that shows a reason, the journal's datagram among them, must have room for it.
const MAX_TEXT: usize = 2048;

fn shortened(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        let end = (0..=MAX_TEXT).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
    text
}

impl Undecided {
    /// Puts the reason together why nothing could be decided.
    #[must_use]
    pub fn new(code: ReasonCode, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self(Reason::new(code, detail, hint))
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.detail, self.code)?;
        if !self.hint.is_empty() {
            write!(f, "; {}", self.hint)?;
        }
        Ok(())
    }
}

impl fmt::Display for Undecided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Undecided {}

#[cfg(test)]
mod tests {
    use super::{Reason, ReasonCode};

    #[test]
    fn a_reason_has_room_everywhere_whatever_is_in_it() {
        let reason = Reason::new(ReasonCode::Unknown, "é".repeat(1 << 20), "x".repeat(2048));
        assert_eq!(reason.detail.len(), 2048 + "…".len());
        assert_eq!(reason.hint.len(), 2048);
    }

    #[test]
    fn codes_are_unique_and_survive_a_log_line() {
        let mut codes: Vec<_> = ReasonCode::ALL.iter().map(|code| code.as_str()).collect();
        assert!(
            codes
                .iter()
                .all(|c| c.bytes().all(|b| b == b'-' || b.is_ascii_lowercase()))
        );
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), ReasonCode::ALL.len());
    }
}
