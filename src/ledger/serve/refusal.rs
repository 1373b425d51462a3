//! Why a statement is not taken, as a status, a stable code and a sentence.

use crate::http::message::Answer;
use crate::ledger::state::Ignored;

/// Why a statement is not in the log, or may not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It would be in the log for ever and change nothing.
    Ignored(Ignored),
    /// The server is ending.
    Stopping,
    /// The log could not be written, or what it amounts to not be read. The statement may be in
    /// the log all the same; the same one again is answered by its place.
    Failed,
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Ignored(why) => {
                let (status, message) = sentence(why);
                Self::refusal(status, why.as_str(), message)
            }
            Refusal::Stopping => {
                let message = "the server is ending; send the same statement again";
                Self::refusal(503, "stopping", message).with("Retry-After", "2")
            }
            Refusal::Failed => {
                let message = "the ledger cannot be written now; send the same statement again";
                Self::refusal(503, "unwritten", message).with("Retry-After", "5")
            }
        }
    }
}

/// 400 for what it is, 403 for who says it, 409 for what has been said before.
const fn sentence(why: Ignored) -> (u16, &'static str) {
    match why {
        Ignored::Foreign => (400, "the entry is no notarization statement"),
        Ignored::Malformed => (400, "the statement breaks its own format"),
        Ignored::Contradiction => (400, "the statement says two things of one digest"),
        Ignored::UnknownSigner => (403, "the trust root names no such signer"),
        Ignored::BadSignature => (403, "the signature is not the signer's"),
        Ignored::OtherOrigin => (403, "the statement was made for another ledger"),
        Ignored::OutOfRange => (
            403,
            "the signer's key does not count at this place of the log",
        ),
        Ignored::Revoked => (403, "the signer's key is revoked"),
        Ignored::Ahead => (
            409,
            "the statement says that its signer has verified more entries than the log has",
        ),
        Ignored::Superseded => (
            409,
            "the signer's organisation has stated something about one of these digests since: \
             look at it, and state it anew",
        ),
        Ignored::Crowded => (409, "too many organisations speak of one of these digests"),
    }
}
