use super::{
    AllowRule, Engines, GateBin, GateBinError, Mode, Response, Rules, Runtimes, SignerRule, Trust,
};
use crate::image::digest::Digest;

/// Two organisations, A (level 2) and B (level 1), one vouching organisation needed.
pub(crate) fn sample() -> GateBin {
    GateBin {
        mode: Mode::Enforce,
        state_dir: "/var/lib/vcn-hook".into(),
        run_dir: "/run/vcn-hook".into(),
        decisions: "/var/log/vcn-hook/decisions.jsonl".into(),
        config_dir: "/etc/vcn-hook".into(),
        runtimes: Runtimes {
            runc: "/usr/sbin/runc".into(),
            crun: "/usr/bin/crun".into(),
        },
        engines: Engines::default(),
        bundles: Vec::new(),
        trust: Trust {
            origin: "ledger.example/test".to_owned(),
            root_version: 1,
            root_digest: Digest::of(b"root"),
            indexers: Vec::new(),
            index_threshold: 1,
            organisations: vec!["A".to_owned(), "B".to_owned()],
            signers: vec![
                SignerRule {
                    organisation: 0,
                    level: 2,
                },
                SignerRule {
                    organisation: 1,
                    level: 1,
                },
                SignerRule {
                    organisation: 0,
                    level: 0,
                },
            ],
            allow: AllowRule {
                threshold: 1,
                min_level: 0,
                organisations: vec![0, 1],
            },
            veto: None,
            unsupported: Response::Deny,
        },
        floor: vec![Digest::of(b"pause")],
        rules: Rules::standard(),
        grace: 0,
    }
}

#[test]
fn survives_its_encoding() {
    let gate = sample();
    let bytes = gate.encode().expect("paths are UTF-8");
    assert_eq!(GateBin::decode(&bytes), Ok(gate));
}

#[test]
fn refuses_every_flipped_byte_and_every_truncation() {
    let bytes = sample().encode().expect("paths are UTF-8");
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        assert!(GateBin::decode(&flipped).is_err(), "byte {at} flipped");
        assert!(GateBin::decode(&bytes[..at]).is_err(), "cut at {at}");
    }
    assert_eq!(GateBin::decode(b""), Err(GateBinError::Magic));
}

#[test]
fn one_that_an_older_program_compiled_still_starts_containers() {
    let bytes = sample().encode().expect("paths are UTF-8");
    let text = String::from_utf8(bytes).expect("it is JSON");
    let (_, body) = text.split_at("vcn-gate/1\n".len() + 65);
    let older = body.replace("\"bundles\":[],", "");
    assert_ne!(older, body);
    let older = format!(
        "vcn-gate/1\n{}\n{older}",
        Digest::of(older.as_bytes()).hex()
    );
    assert_eq!(GateBin::decode(older.as_bytes()), Ok(sample()));
}
