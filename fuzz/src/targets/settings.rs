//! What root wrote: config.toml and gate.bin. Neither may let start what nobody vouched for.

use std::path::{Path, PathBuf};

use vcn_hook::allowlist::record::{Key, Kind, Record, Status};
use vcn_hook::config::Config;
use vcn_hook::configure::json;
use vcn_hook::image::digest::{ChainId, Digest};
use vcn_hook::image::identity::{EngineKind, Identity};
use vcn_hook::policy::decide::{Case, decide};
use vcn_hook::policy::facts::Facts;
use vcn_hook::policy::gatebin::{
    AllowRule, Bundle, Engines, Exempted, GateBin, Held, Mode, MountAllow, Response, Rules,
    Runtimes, SignerRule, Trust, UpperAllow,
};
use vcn_hook::trust::keys::Signer as _;
use vcn_hook::verdict::{Reason, ReasonCode, Verdict};

use super::made;
use super::{MEMORY, Target};

pub const CONFIG: Target = Target {
    words: &[
        "mode = \"enforce\"\n",
        "state_dir = \"/s\"\n",
        "[runtime]\n",
        "runc = ",
        "[engines]\n",
        "docker_roots = []\n",
        "[policy]\nprofile = \"strict\"\n",
        "[upper]\n",
        "[[upper.allow]]\n",
        "config = \"sha256:",
        "paths = [\"/a\"]\n",
        "[mounts]\n",
        "[[mounts.allow]]\n",
        "source = ",
        "[host]\npolicy = ",
        "\"deny\"",
        "\"warn\"",
        "\"allow\"",
        "[floor]\nconfigs = []\n",
        "[freshness]\ngrace_hours = ",
        "[[bundle]]\n",
        "path = ",
        "'''",
        "\"\"\"",
        "1979-05-27",
        "inf",
    ],
    longest: 4 << 10,
    memory: 2 * MEMORY,
    ..Target::new("config", "config.toml", config)
};

pub const GATE_BIN: Target = Target {
    words: &[
        "\"deny\"",
        "\"warn\"",
        "\"allow\"",
        "\"audit\"",
        "\"enforce\"",
        "null",
        "[]",
        "0",
        "-128",
        "65535",
        "\"threshold\":0",
        "\"organisations\":[]",
        "\"floor\":[]",
        "\"veto\":null",
    ],
    repair: Some(checksum_again),
    made: Some(gate_bins),
    ..Target::new(
        "gate-bin",
        "gate.bin, and decisions by what it says",
        gate_bin,
    )
};

pub const DAEMON_JSON: Target = Target {
    words: &[
        "\"runtimes\": {",
        "\"vcn\": ",
        "\"default-runtime\": \"vcn\"",
        "{}",
        "}",
        ",",
        "\n  ",
        "\r\n\t",
        "\\\"",
        "\\u007b",
    ],
    longest: 4 << 10,
    ..Target::new(
        "daemon-json",
        "another's settings, edited in place",
        daemon_json,
    )
};

/// Whatever is set or removed, nothing else means anything else afterwards, and what was put in comes out.
fn daemon_json(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let Ok(before) = json::object(text) else {
        assert!(json::set(text, &["a"], &serde_json::json!(1)).is_err());
        return false;
    };
    let entry = serde_json::json!({"path": "/g", "runtimeArgs": ["-x"]});
    let ways: [&[&str]; 2] = [&["runtimes", "vcn"], &["default-runtime"]];
    for way in ways {
        let Ok(with) = json::set(text, way, &entry) else {
            continue;
        };
        let mut after = json::object(&with).expect("it is still an object");
        let has_object = before
            .get("runtimes")
            .is_some_and(serde_json::Value::is_object);
        let had = match way {
            [first, second] if has_object => {
                let object = after["runtimes"].as_object_mut().expect("it was one");
                assert_eq!(object.get(*second), Some(&entry));
                let had = before[*first].get(*second).cloned();
                match &had {
                    Some(had) => object.insert((*second).to_owned(), had.clone()),
                    None => object.remove(*second),
                };
                had
            }
            [first, ..] => match before.get(*first) {
                Some(had) => after.insert((*first).to_owned(), had.clone()),
                None => after.remove(*first),
            }
            .filter(|_| before.contains_key(*first)),
            [] => None,
        };
        assert_eq!(after, before, "something else was changed");
        if had.is_none() && !text.trim().is_empty() {
            let whole = if has_object { way } else { &way[..1] };
            let without = json::remove(&with, whole).expect("it was put there");
            assert_eq!(json::object(&without).as_ref(), Ok(&before));
        }
    }
    true
}

fn config(bytes: &[u8]) -> bool {
    let Ok(config) = Config::from_bytes(Path::new("/etc/vcn-hook/config.toml"), bytes) else {
        return false;
    };
    let places = [
        &config.state_dir,
        &config.run_dir,
        &config.decisions,
        &config.docker_socket,
    ];
    let runtimes = [&config.runtimes.runc, &config.runtimes.crun];
    let engines = &config.engines;
    let roots = engines
        .docker_roots
        .iter()
        .chain(&engines.containerd_roots)
        .chain(&engines.storage_roots);
    let mut all = places.into_iter().chain(runtimes).chain(roots);
    assert!(
        all.all(|path| path.is_absolute()),
        "a relative path is accepted"
    );
    // Nothing that was not written may be weaker than the profile.
    let text = String::from_utf8_lossy(bytes);
    if !text.contains("allow") && !text.contains("\\") {
        assert_ne!(config.rules.build, Response::Allow);
        assert!(config.rules.upper_allow.is_empty() && config.rules.mount_allow.is_empty());
    }
    if !text.contains("audit") && !text.contains("\\") {
        assert_eq!(config.mode, Mode::Enforce);
    }
    true
}

fn image() -> Identity {
    Identity {
        config: Digest::of(b"config"),
        chain: Some(ChainId::from_digest(Digest::of(b"chain"))),
        manifest: None,
        engine: EngineKind::Docker,
    }
}

fn original() -> GateBin {
    GateBin {
        mode: Mode::Enforce,
        state_dir: PathBuf::from("/var/lib/vcn-hook"),
        run_dir: PathBuf::from("/run/vcn-hook"),
        decisions: PathBuf::from("/var/log/vcn-hook/decisions.jsonl"),
        config_dir: PathBuf::from("/etc/vcn-hook"),
        runtimes: Runtimes {
            runc: PathBuf::from("/usr/sbin/runc"),
            crun: PathBuf::from("/usr/bin/crun"),
        },
        engines: Engines {
            docker_roots: vec![PathBuf::from("/var/lib/docker")],
            ..Engines::default()
        },
        trust: Trust {
            origin: made::ORIGIN.to_owned(),
            root_version: 2,
            root_digest: Digest::of(b"root"),
            indexers: vec![made::key("ledger.example/vcn/index").verifier().to_string()],
            index_threshold: 1,
            organisations: vec!["ACME".to_owned(), "BETA".to_owned()],
            signers: vec![
                SignerRule {
                    organisation: 0,
                    level: 2,
                },
                SignerRule {
                    organisation: 1,
                    level: 0,
                },
            ],
            allow: AllowRule {
                threshold: 1,
                min_level: 1,
                organisations: vec![0, 1],
            },
            veto: None,
            unsupported: Response::Deny,
        },
        bundles: vec![Bundle {
            path: PathBuf::from("/srv/bundle"),
            config: Digest::of(b"config"),
        }],
        floor: vec![Digest::of(b"pause")],
        exemptions: vec![Exempted {
            config: Digest::of(b"config"),
            from: 1_790_000_000,
            until: 1_790_086_400,
            because: "until then by somebody: why".to_owned(),
        }],
        held: vec![Held {
            config: Digest::of(b"held"),
            chain: ChainId::from_digest(Digest::of(b"chain")),
            since: 1_790_000_000,
        }],
        rules: Rules {
            upper_allow: vec![UpperAllow {
                config: Digest::of(b"config"),
                paths: vec!["/etc/app".to_owned()],
            }],
            mount_allow: vec![MountAllow {
                source: "/dev/x".to_owned(),
                destination: None,
            }],
            ..Rules::standard()
        },
        grace: 3600,
    }
}

fn gate_bins() -> Vec<(&'static str, Vec<u8>)> {
    let strict = GateBin {
        rules: Rules::strict(),
        mode: Mode::Audit,
        ..original()
    };
    vec![
        ("standard", original().encode().unwrap()),
        ("strict", strict.encode().unwrap()),
    ]
}

fn gate_bin(bytes: &[u8]) -> bool {
    let Ok(gate) = GateBin::decode(bytes) else {
        return false;
    };
    let again = gate.encode().ok().map(|encoded| GateBin::decode(&encoded));
    assert!(
        again.is_none_or(|again| again.as_ref() == Ok(&gate)),
        "gate.bin reads back as another"
    );
    let _ = gate.trust.indexer_keys();
    let image = image();
    let word = |signer, status, target| Record {
        key: Key::of(Kind::Config, &image.config),
        signer,
        status,
        not_after: 0,
        log_index: 9,
        target,
    };
    let chain = image.chain.as_ref().map(|chain| *chain.digest());
    let facts = Facts::none();
    let verdict = |records: Result<&[Record], &Reason>, freshness: Result<(), &Reason>| {
        decide(
            &gate,
            &Case {
                identity: &image,
                records,
                freshness,
                chain_of_config: None,
                pause: false,
                facts: &facts,
                now: 1_800_000_000,
            },
        )
    };
    let tampered = Reason::new(ReasonCode::Tampered, "x", "y");
    let denied = |verdict: Verdict| matches!(verdict, Verdict::Deny(_));
    // Whatever root wrote: what nobody vouches for does not start by the ledger's word, and the floor
    // needs the chain that the image's own config names, which is not known here.
    // What is held was vouched for before. Then words that do not count here change nothing.
    let held = gate.holds(&image.config, image.chain.as_ref());
    assert!(
        held || denied(verdict(Ok(&[]), Ok(()))),
        "nobody's word starts it"
    );
    let stale = Reason::new(ReasonCode::Stale, "x", "y");
    assert!(
        denied(verdict(Ok(&[]), Err(&stale))),
        "a stale allowlist holds something"
    );
    assert!(
        denied(verdict(Err(&tampered), Ok(()))),
        "a tampered allowlist starts it"
    );
    let other_chain = word(0, Status::Trusted, Some(Digest::of(b"other")));
    assert!(
        held || denied(verdict(Ok(&[other_chain]), Ok(()))),
        "another chain starts it"
    );
    assert!(
        held || denied(verdict(Ok(&[word(0, Status::Trusted, None)]), Ok(()))),
        "a bare hash starts it"
    );
    assert!(
        denied(verdict(Ok(&[word(0, Status::Revoked, chain)]), Ok(()))),
        "a revoked key starts it"
    );
    assert!(
        denied(verdict(
            Ok(&[word(u16::MAX, Status::Trusted, chain)]),
            Ok(())
        )) || gate.trust.signers.len() > 65_535
    );
    let both = [
        word(0, Status::Trusted, chain),
        word(1, Status::Untrusted, None),
    ];
    let vetoes = gate.trust.veto.as_ref().is_none_or(|veto| {
        gate.trust
            .signers
            .get(1)
            .is_some_and(|signer| veto.contains(&signer.organisation))
    });
    assert!(
        !vetoes || denied(verdict(Ok(&both), Ok(()))),
        "a veto is not heard"
    );
    if gate == original() {
        let starts = verdict(Ok(&[word(0, Status::Trusted, chain)]), Ok(()));
        assert!(
            matches!(starts, Verdict::Allow(_)),
            "what is vouched for starts: {starts:?}"
        );
    } else {
        let _ = verdict(Ok(&[word(0, Status::Trusted, chain)]), Ok(()));
    }
    true
}

fn checksum_again(bytes: &[u8]) -> Option<Vec<u8>> {
    let body = bytes
        .iter()
        .position(|byte| *byte == b'{')
        .and_then(|at| bytes.get(at..))?;
    let head = format!("vcn-gate/1\n{}\n", Digest::of(body).hex());
    Some([head.as_bytes(), body].concat())
}
