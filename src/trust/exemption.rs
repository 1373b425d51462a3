//! An exemption: the word of the exempt keys for one image on one node, for a while.
//!
//! Owns the document and its rules (docs/formats.md, "Exemption"), and by whom
//! it must be signed. What it stands in for is `policy`'s to say; which files
//! hold one, `apply`'s. The clock is an argument.

use std::fmt;

use super::node_id::NodeId;
use super::root::TrustRoot;
use crate::allowlist::note::{NoteError, SignedNote, VerifierKey};
use crate::image::digest::Digest;

/// The longest that one may last: over a weekend, not for good.
pub const MAX_SPAN: u64 = 72 * 3_600;

/// The most bytes of its reason: a sentence and a ticket.
const MAX_REASON: usize = 512;

/// The most bytes of its note: seven lines, and as many signatures as any trust root asks for.
pub const MAX_NOTE: u64 = 16 << 10;

const MAGIC: &str = "vcn-exempt/v1";

/// What is signed. [`Exemption::check`] says whether it is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exemption {
    /// The ledger whose word it stands in for.
    pub origin: String,
    /// The only node that it is for.
    pub node: NodeId,
    /// The image's config digest.
    pub config: Digest,
    /// Unix seconds from which it counts.
    pub from: u64,
    /// Unix seconds from which it does not count any more.
    pub until: u64,
    /// Why, for whoever is told of it.
    pub reason: String,
}

/// An exemption that enough of the exempt keys have signed, for this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// What they signed.
    pub exemption: Exemption,
    /// The key ids of those who did.
    pub by: Vec<String>,
}

/// Why an exemption exempts nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExemptionError {
    /// It is no signed note.
    Note(NoteError),
    /// A line of its text is not as it must be; lines count from 1.
    Line(usize, &'static str),
    /// It breaks a rule of its format.
    Rule(&'static str),
    /// The trust root lets nobody exempt anything.
    Nobody,
    /// It is for another ledger.
    Origin {
        /// The trust root's.
        expected: String,
        /// The exemption's.
        found: String,
    },
    /// It is for another node.
    Node {
        /// This one.
        expected: NodeId,
        /// The exemption's.
        found: NodeId,
    },
    /// Too few of the exempt keys have signed it.
    Signatures(NoteError),
    /// It says nothing any more.
    Ended {
        /// Unix seconds at which it ended.
        at: u64,
    },
}

impl Exemption {
    /// Parses the text. Who signed it is not looked at.
    ///
    /// # Errors
    /// [`ExemptionError::Line`] or [`ExemptionError::Rule`]. It has exactly one spelling.
    pub fn parse(text: &str) -> Result<Self, ExemptionError> {
        let mut lines = text.split('\n').zip(1..);
        let mut line = |word: &'static str| match lines.next() {
            Some((line, number)) => {
                let rest = line.strip_prefix(word);
                rest.ok_or(ExemptionError::Line(
                    number,
                    "is not the line that must be there",
                ))
                .map(|rest| (rest, number))
            }
            None => Err(ExemptionError::Rule("a line is missing")),
        };
        line(MAGIC)?;
        let (origin, _) = line("origin ")?;
        let (node, at) = line("node ")?;
        let node = node
            .parse()
            .map_err(|_| ExemptionError::Line(at, "not a node id"))?;
        let (config, at) = line("config ")?;
        let config = config
            .parse()
            .map_err(|_| ExemptionError::Line(at, "not a digest"))?;
        let mut moment = |word| {
            let (text, at) = line(word)?;
            text.parse()
                .map_err(|_| ExemptionError::Line(at, "not a number of seconds"))
        };
        let (from, until) = (moment("from ")?, moment("until ")?);
        let (reason, _) = line("reason ")?;
        let exemption = Self {
            origin: origin.to_owned(),
            node,
            config,
            from,
            until,
            reason: reason.to_owned(),
        };
        exemption.check()?;
        if exemption.written() != text {
            return Err(ExemptionError::Rule("it is not spelled as exemptions are"));
        }
        Ok(exemption)
    }

    /// Writes the text that [`Exemption::parse`] reads back.
    ///
    /// # Errors
    /// As [`Exemption::check`].
    pub fn format(&self) -> Result<String, ExemptionError> {
        self.check()?;
        Ok(self.written())
    }

    /// Checks what the types alone do not hold.
    ///
    /// # Errors
    /// [`ExemptionError::Rule`] naming the broken rule.
    pub fn check(&self) -> Result<(), ExemptionError> {
        let reason = &self.reason;
        let rules = [
            (
                !self.origin.is_empty()
                    && !self
                        .origin
                        .contains(|c: char| c.is_whitespace() || c.is_control()),
                "the origin is not one word",
            ),
            (self.from < self.until, "it ends before it begins"),
            (
                self.until.saturating_sub(self.from) <= MAX_SPAN,
                "it lasts longer than 72 hours",
            ),
            (
                !reason.is_empty() && reason.trim() == reason && !reason.contains(char::is_control),
                "the reason is not one line of text",
            ),
            (
                reason.len() <= MAX_REASON,
                "the reason is longer than 512 bytes",
            ),
        ];
        rules
            .into_iter()
            .find(|(holds, _)| !holds)
            .map_or(Ok(()), |(_, rule)| Err(ExemptionError::Rule(rule)))
    }

    /// Verifies the note of an exemption for `node`: enough of the root's exempt keys have signed it.
    ///
    /// # Errors
    /// [`ExemptionError`], whatever is wrong with it. When it ends is not looked at; see
    /// [`Exemption::check_end`].
    pub fn verify(note: &[u8], root: &TrustRoot, node: &NodeId) -> Result<Granted, ExemptionError> {
        let note = SignedNote::parse(note).map_err(ExemptionError::Note)?;
        let exempt = root.exempt.as_ref().ok_or(ExemptionError::Nobody)?;
        let exemption = Self::parse(&note.text)?;
        exemption.check_origin(root)?;
        if exemption.node != *node {
            return Err(ExemptionError::Node {
                expected: *node,
                found: exemption.node,
            });
        }
        exempt.verify(&note).map_err(ExemptionError::Signatures)?;
        let signed = |key: &&VerifierKey| {
            note.signatures
                .iter()
                .any(|line| line.id == key.id() && line.name == key.name())
        };
        let by = exempt.keys.iter().filter(signed).map(VerifierKey::keyid);
        let by = by.collect();
        Ok(Granted { exemption, by })
    }

    /// Checks that it is for the ledger of this trust root.
    ///
    /// # Errors
    /// [`ExemptionError::Origin`].
    pub fn check_origin(&self, root: &TrustRoot) -> Result<(), ExemptionError> {
        if self.origin == root.origin {
            return Ok(());
        }
        Err(ExemptionError::Origin {
            expected: root.origin.clone(),
            found: self.origin.clone(),
        })
    }

    /// Checks that it has not ended at `now`.
    ///
    /// # Errors
    /// [`ExemptionError::Ended`].
    pub const fn check_end(&self, now: u64) -> Result<(), ExemptionError> {
        if now >= self.until {
            return Err(ExemptionError::Ended { at: self.until });
        }
        Ok(())
    }

    fn written(&self) -> String {
        let Self {
            origin,
            node,
            config,
            from,
            until,
            reason,
        } = self;
        format!(
            "{MAGIC}\norigin {origin}\nnode {node}\nconfig {config}\nfrom {from}\nuntil {until}\nreason {reason}\n"
        )
    }
}

impl fmt::Display for ExemptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Note(_) => f.write_str("it is no signed note"),
            Self::Line(line, what) => write!(f, "line {line} of the exemption: {what}"),
            Self::Rule(rule) => write!(f, "the exemption breaks a rule: {rule}"),
            Self::Nobody => f.write_str(
                "the trust root names no exempt keys, so nobody can exempt anything; \
                 see 'vcn-hook trust edit --help'",
            ),
            Self::Origin { expected, found } => write!(
                f,
                "it is for the ledger '{}', and this node follows '{}'",
                found.escape_debug(),
                expected.escape_debug()
            ),
            Self::Node { expected, found } => {
                write!(f, "it is for the node {found}, and this one is {expected}")
            }
            Self::Signatures(_) => {
                f.write_str("the exempt keys of the trust root have not signed it")
            }
            Self::Ended { at } => write!(f, "it ended at unix time {at}"),
        }
    }
}

impl std::error::Error for ExemptionError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Note(error) | Self::Signatures(error) => Some(error),
            Self::Line(..)
            | Self::Rule(_)
            | Self::Nobody
            | Self::Origin { .. }
            | Self::Node { .. }
            | Self::Ended { .. } => None,
        }
    }
}

#[cfg(test)]
#[path = "exemption_tests.rs"]
mod tests;
