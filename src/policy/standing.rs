//! What the ledger's records amount to for one image: quorum, veto, level, chain, lapse.
//!
//! Owns how the words of several organisations become one status. Whether the
//! allowlist they come from is fresh, and what else must hold, is `decide`'s.

use std::collections::BTreeSet;

use crate::allowlist::record::{Record, Status};
use crate::image::digest::ChainId;
use crate::policy::gatebin::{Response, SignerRule, Trust};
use crate::verdict::{Reason, ReasonCode};

/// What the records amount to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// vcn's status, for people and metrics.
    pub status: Status,
    /// Whether that permits a start.
    pub response: Response,
    /// Why.
    pub reason: Reason,
}

/// Weighs the records of one config digest.
///
/// `chain` is the chain of the mounted layers; `None` judges the digest alone,
/// as `verify` does for an image that is not running (a vouching record then
/// still needs a chain: without one it starts nothing).
/// `now` is in Unix seconds.
#[must_use]
pub fn standing(trust: &Trust, records: &[Record], chain: Option<&ChainId>, now: u64) -> Standing {
    let words: Vec<Word<'_>> = match records
        .iter()
        .map(|record| Word::of(trust, record))
        .collect()
    {
        Some(words) => words,
        None => return unknown_signer(trust),
    };
    refused(trust, &words).unwrap_or_else(|| vouched(trust, &words, chain, now))
}

/// The record whose statement is worth showing: one of the deciding status, the newest of them.
#[must_use]
pub fn deciding(records: &[Record], status: Status) -> Option<&Record> {
    let newest = |record: &&Record| record.log_index;
    let of_status = records.iter().filter(|record| record.status == status);
    let found = of_status.max_by_key(newest);
    found.or_else(|| records.iter().max_by_key(newest))
}

/// A record with its signer looked up.
struct Word<'a> {
    record: &'a Record,
    signer: SignerRule,
}

impl<'a> Word<'a> {
    fn of(trust: &Trust, record: &'a Record) -> Option<Self> {
        let signer = *trust.signers.get(usize::from(record.signer))?;
        Some(Self { record, signer })
    }

    fn organisation<'t>(&self, trust: &'t Trust) -> &'t str {
        let name = trust
            .organisations
            .get(usize::from(self.signer.organisation));
        name.map_or("an organisation without a name", String::as_str)
    }
}

/// Negatives come first, and count whatever layers they were stated for.
fn refused(trust: &Trust, words: &[Word<'_>]) -> Option<Standing> {
    let may_veto = |word: &&Word<'_>| {
        trust
            .veto
            .as_ref()
            .is_none_or(|veto| veto.contains(&word.signer.organisation))
    };
    let by = |status| {
        words
            .iter()
            .filter(may_veto)
            .find(|word| word.record.status == status)
    };
    if let Some(word) = by(Status::Untrusted) {
        let detail = format!("it is UNTRUSTED by {}", word.organisation(trust));
        return Some(deny(
            Status::Untrusted,
            ReasonCode::Untrusted,
            detail,
            WITHDRAWN,
        ));
    }
    if trust.unsupported == Response::Deny
        && let Some(word) = by(Status::Unsupported)
    {
        let detail = format!("it is UNSUPPORTED by {}", word.organisation(trust));
        return Some(deny(
            Status::Unsupported,
            ReasonCode::Unsupported,
            detail,
            WITHDRAWN,
        ));
    }
    None
}

/// No negative stands: do enough organisations vouch for these very layers?
fn vouched(trust: &Trust, words: &[Word<'_>], chain: Option<&ChainId>, now: u64) -> Standing {
    let mut organisations = BTreeSet::new();
    let mut short = None;
    let mut unsupported = None;
    for word in words {
        match obstacle(trust, word, chain, now) {
            None => {
                organisations.insert(word.signer.organisation);
                if word.record.status == Status::Unsupported {
                    unsupported = Some(word);
                }
            }
            // The reason that is closest to vouching is the one worth telling.
            Some(found) => short = short.max(Some(found)),
        }
    }
    if organisations.len() >= trust.allow.threshold.max(1) {
        return allowed(trust, &organisations, unsupported);
    }
    if organisations.is_empty()
        && let Some(obstacle) = short
    {
        return obstacle.standing(trust);
    }
    if organisations.is_empty() {
        return deny(
            Status::Unknown,
            ReasonCode::Unknown,
            "the ledger has no word about it".to_owned(),
            "if it is yours, 'vcn-hook notarize' it and sync",
        );
    }
    let detail = format!(
        "{} of the {} organisations that must vouch for it do",
        organisations.len(),
        trust.allow.threshold
    );
    deny(
        Status::Unknown,
        ReasonCode::Quorum,
        detail,
        "another organisation must notarize it",
    )
}

fn allowed(
    trust: &Trust,
    organisations: &BTreeSet<u16>,
    unsupported: Option<&Word<'_>>,
) -> Standing {
    if let Some(word) = unsupported {
        let detail = format!("it is UNSUPPORTED by {}", word.organisation(trust));
        let reason = Reason::new(ReasonCode::Unsupported, detail, "plan to replace it");
        return Standing {
            status: Status::Unsupported,
            response: Response::Warn,
            reason,
        };
    }
    let names: Vec<_> = organisations
        .iter()
        .filter_map(|place| trust.organisations.get(usize::from(*place)))
        .map(String::as_str)
        .collect();
    let detail = format!("it is TRUSTED by {}", names.join(", "));
    let reason = Reason::new(ReasonCode::Trusted, detail, "");
    Standing {
        status: Status::Trusted,
        response: Response::Allow,
        reason,
    }
}

/// What keeps one record from counting; later variants are closer to counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Obstacle {
    /// UNTRUSTED or UNSUPPORTED by an organisation that has no veto.
    Negative,
    /// Its key was revoked when it vouched.
    Revoked,
    /// Its organisation or its level does not count here.
    Authority,
    /// It vouches for other layers, or for none.
    Chain,
    /// Its own end date has passed.
    Lapsed,
}

fn obstacle(trust: &Trust, word: &Word<'_>, chain: Option<&ChainId>, now: u64) -> Option<Obstacle> {
    let Word { record, signer } = word;
    let recorded = record.target;
    let counts = trust.allow.organisations.contains(&signer.organisation);
    match record.status {
        Status::Untrusted | Status::Unknown => Some(Obstacle::Negative),
        Status::Revoked => Some(Obstacle::Revoked),
        // Without a veto it refuses nobody, but it is no word for the image either.
        Status::Unsupported if trust.unsupported == Response::Deny => Some(Obstacle::Negative),
        // Level -1 is vcn's DISABLED: its word never counts, whatever the minimum.
        _ if !counts || signer.level < trust.allow.min_level.max(0) => Some(Obstacle::Authority),
        _ if recorded.is_none() || chain.is_some_and(|c| recorded != Some(*c.digest())) => {
            Some(Obstacle::Chain)
        }
        _ if record.not_after != 0 && now > u64::from(record.not_after) => Some(Obstacle::Lapsed),
        Status::Trusted | Status::Unsupported => None,
    }
}

impl Obstacle {
    fn standing(self, trust: &Trust) -> Standing {
        let (status, code, detail, hint) = match self {
            Self::Negative => (
                Status::Unknown,
                ReasonCode::Unknown,
                "no organisation vouches for it",
                "an organisation that counts must notarize it",
            ),
            Self::Revoked => (
                Status::Revoked,
                ReasonCode::Revoked,
                "only signers whose keys are revoked vouch for it",
                "notarize it again with a key that is not revoked",
            ),
            Self::Authority => (
                Status::Unknown,
                ReasonCode::Quorum,
                "those who vouch for it do not count here",
                "see the 'allow' line of the trust root",
            ),
            Self::Chain => (
                Status::Unknown,
                ReasonCode::ChainMismatch,
                "the ledger's records of this config name other layers than those mounted",
                "pull the image again; if it stays so, notarize it from its bytes, not by --hash",
            ),
            Self::Lapsed => (
                Status::Unknown,
                ReasonCode::Lapsed,
                "the notarization has passed its end date",
                "notarize it again",
            ),
        };
        let detail = if self == Self::Authority {
            format!(
                "{detail} (level {} or more of an allowed organisation)",
                trust.allow.min_level
            )
        } else {
            detail.to_owned()
        };
        deny(status, code, detail, hint)
    }
}

fn unknown_signer(trust: &Trust) -> Standing {
    let detail = format!(
        "a record names a signer that trust root {} does not have",
        trust.root_version
    );
    deny(
        Status::Unknown,
        ReasonCode::RootBehind,
        detail,
        "run 'vcn-hook apply' as root",
    )
}

fn deny(status: Status, code: ReasonCode, detail: String, hint: &str) -> Standing {
    Standing {
        status,
        response: Response::Deny,
        reason: Reason::new(code, detail, hint),
    }
}

const WITHDRAWN: &str = "run another version; 'vcn-hook inspect' shows who withdrew it and why";

#[cfg(test)]
#[path = "standing_tests.rs"]
mod tests;
