//! What the ledger says of the image of a container that runs already.
//!
//! Owns the two stages that it shares with a start: the allowlist's answer, and the verdict. What else
//! was weighed when it started is past.

use super::Opened;
use crate::allowlist::record::{Key, Kind};
use crate::engine::Image;
use crate::policy::decide::{Case, decide};
use crate::policy::facts::Facts;
use crate::policy::gatebin::GateBin;
use crate::verdict::{Reason, Verdict};

/// Judges the image of a running container as if it started now, the mode not looked at.
pub fn of_running(
    image: &Image,
    gate: &GateBin,
    allowlist: Result<&Opened, &Reason>,
    now: u64,
) -> Verdict {
    let config = &image.identity.config;
    let answer = allowlist.map_err(Reason::clone);
    let answer = answer.and_then(|opened| opened.ask(&Key::of(Kind::Config, config)));
    let now = answer.as_ref().map_or(now, |answer| answer.now);
    let chain_of_config = match gate.may_stand_in(config, now) {
        true => image.chain_of_config().ok(),
        false => None,
    };
    let case = Case {
        identity: &image.identity,
        records: answer.as_ref().map(|answer| answer.records.as_slice()),
        freshness: answer
            .as_ref()
            .map_or(Ok(()), |answer| answer.freshness.as_ref().copied()),
        chain_of_config,
        pause: image.pause,
        facts: &Facts::none(),
        now,
    };
    decide(gate, &case)
}
