//! The allowlist's decision alone, as a process: `decide STATE_DIR CONFIG CHAIN [anew]`. For `make bench`.
//!
//! With `anew` the note's signatures are verified whatever was verified before, as at the first start
//! after a sync. The same functions in the same order as the gate's, without a container: exits 0 for an Allow.

use std::path::Path;
use std::process::ExitCode;

use vcn_hook::allowlist::record::{Key, Kind};
use vcn_hook::image::digest::{ChainId, Digest};
use vcn_hook::image::identity::{EngineKind, Identity};
use vcn_hook::policy::decide::{Case, decide};
use vcn_hook::policy::facts::Facts;
use vcn_hook::policy::gatebin::{GateBin, MAX_GATEBIN_SIZE};
use vcn_hook::store::Store;
use vcn_hook::sys::{clock, file};
use vcn_hook::verdict::Verdict;
use vcn_hook::{apply, pipeline};

fn main() -> ExitCode {
    let allowed = answer().is_some_and(|verdict| !matches!(verdict, Verdict::Deny(_)));
    ExitCode::from(u8::from(!allowed))
}

fn answer() -> Option<Verdict> {
    let mut words = std::env::args_os().skip(1);
    let state = words.next()?;
    let config: Digest = words.next()?.to_str()?.parse().ok()?;
    let chain: ChainId = words.next()?.to_str()?.parse().ok()?;
    let path = apply::gatebin_path(Path::new(&state));
    let gate = GateBin::decode(&file::read_owned(&path, MAX_GATEBIN_SIZE).ok()?).ok()?;
    let now = clock::now();
    let answer = if words.next().is_some() {
        let key = Key::of(Kind::Config, &config);
        pipeline::ask(&gate, &Store::new(&gate.state_dir), &key, now)
    } else {
        pipeline::consult(&gate, &config, now)
    };
    let case = Case {
        identity: &Identity {
            config,
            chain: Some(chain),
            manifest: None,
            engine: EngineKind::Docker,
        },
        records: answer.as_ref().map(|answer| answer.records.as_slice()),
        freshness: answer
            .as_ref()
            .map_or(Ok(()), |answer| answer.freshness.as_ref().copied()),
        chain_of_config: None,
        pause: false,
        facts: &Facts::none(),
        now,
    };
    Some(decide(&gate, &case))
}
