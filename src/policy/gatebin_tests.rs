use super::{
    AllowRule, Engines, Exempted, GateBin, GateBinError, Mode, Response, Rules, Runtimes,
    SignerRule, Trust,
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
        exemptions: Vec::new(),
        held: Vec::new(),
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
fn an_exemption_is_for_one_image_and_one_span_of_time() {
    let exempted = |until, because: &str| Exempted {
        config: Digest::of(b"app"),
        from: 10_000,
        until,
        because: because.to_owned(),
    };
    let mut gate = sample();
    gate.exemptions = vec![exempted(20_000, "short"), exempted(30_000, "long")];
    let because = |image: &[u8], now| {
        gate.exemption(&Digest::of(image), now)
            .map(|exempted| exempted.because.as_str())
    };
    for (now, expected) in [
        (0, None),
        (9_699, None),
        (9_700, Some("long")),
        (19_999, Some("long")),
        (29_999, Some("long")),
        (30_000, None),
        (u64::MAX, None),
    ] {
        assert_eq!(because(b"app", now), expected, "{now}");
        assert_eq!(because(b"other", now), None);
    }
}

#[test]
fn one_that_an_older_program_compiled_still_starts_containers() {
    let bytes = sample().encode().expect("paths are UTF-8");
    let text = String::from_utf8(bytes).expect("it is JSON");
    let (_, body) = text.split_at("vcn-gate/1\n".len() + 65);
    let older = ["bundles", "exemptions", "held"]
        .iter()
        .fold(body.to_owned(), |body, added| {
            let older = body.replace(&format!("\"{added}\":[],"), "");
            assert_ne!(older, body, "{added}");
            older
        });
    let older = format!(
        "vcn-gate/1\n{}\n{older}",
        Digest::of(older.as_bytes()).hex()
    );
    assert_eq!(GateBin::decode(older.as_bytes()), Ok(sample()));
}
