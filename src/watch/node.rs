//! What a node says of itself in its files: the last self-test, the last sync, exemptions, what was lost.
//!
//! Owns which files these are. What is missing or broken is not known, and shown so: nothing here
//! decides anything.

use serde::Deserialize;

use super::picture::{Exemption, Node, SelfTest, Sync};
use crate::audit::UNRECORDED;
use crate::config::Config;
use crate::policy::gatebin::{GateBin, MAX_GATEBIN_SIZE};
use crate::sync::Attempt;
use crate::sys::clock::parse_rfc3339;
use crate::sys::file::read_owned;

/// Room for what a self-test says.
const MAX_SELF_TEST: u64 = 64 << 10;

/// The result that `self-test` keeps, as far as it is shown.
#[derive(Deserialize)]
struct Kept {
    time: String,
    unknown: Half,
}

#[derive(Deserialize)]
struct Half {
    proven: bool,
    outcome: String,
}

/// Reads what there is.
#[must_use]
pub fn read(config: &Config, now: u64) -> Node {
    let gate = read_owned(&config.state_dir.join("gate.bin"), MAX_GATEBIN_SIZE).ok();
    let gate = gate.and_then(|bytes| GateBin::decode(&bytes).ok());
    let sync = Attempt::last(&config.state_dir).ok().flatten();
    Node {
        mode: gate.as_ref().map(|gate| gate.mode),
        ledger: config.ledger.clone(),
        // The gate adds a byte for each.
        unrecorded: std::fs::metadata(config.run_dir.join(UNRECORDED)).map_or(0, |file| file.len()),
        self_test: self_test(config),
        sync: sync.map(|attempt| Sync {
            time: attempt.time,
            error: attempt.error,
        }),
        exemptions: gate.iter().flat_map(|gate| exemptions(gate, now)).collect(),
    }
}

/// Those that count now.
fn exemptions(gate: &GateBin, now: u64) -> impl Iterator<Item = Exemption> {
    let count = gate.exemptions.iter();
    let count = count.filter(move |exempted| (exempted.from..exempted.until).contains(&now));
    count.map(|exempted| Exemption {
        config: exempted.config,
        until: exempted.until,
        because: exempted.because.clone(),
    })
}

fn self_test(config: &Config) -> Option<SelfTest> {
    let bytes = read_owned(&config.state_dir.join("self-test.json"), MAX_SELF_TEST).ok()?;
    let kept: Kept = serde_json::from_slice(&bytes).ok()?;
    Some(SelfTest {
        time: parse_rfc3339(&kept.time)?,
        proven: kept.unknown.proven,
        outcome: kept.unknown.outcome,
    })
}
