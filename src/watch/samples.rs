//! Nodes that the tests of the outputs show: one on which nothing is wrong, and one where everything is.

use std::sync::Arc;
use std::time::Duration;

use super::decisions::Decisions;
use super::picture::{Exemption, Node, Picture, SelfTest, Sync, Telling};
use super::sweep::{Allowlist, Entered, Layers, Stated, Sweep, Watched};
use crate::allowlist::record::Status;
use crate::image::digest::Digest;
use crate::policy::gatebin::Mode;
use crate::verdict::{Reason, ReasonCode, Verdict};

/// A name with everything that some output could take for its own.
pub(crate) const EVIL: &str =
    "e\"v'i,l =\\\n\r\u{1b}[2J\u{202e}<script>alert(1)</script>&amp;{}|`$(id)\u{9b}\\";

pub(crate) const NOW: u64 = 1_700_000_000;

pub(crate) fn digest(n: u8) -> Digest {
    Digest::of(&[n])
}

fn container(n: u8, id: &str, name: &str, image: &str) -> Watched {
    Watched {
        engine: "docker",
        id: id.repeat(64),
        name: Some(name.to_owned()),
        image: Some(image.to_owned()),
        config: Some(digest(n)),
        manifest: None,
        pid: 100 + u32::from(n),
        started: NOW - 60,
        ticks: 6000,
        paused: false,
        status: Status::Trusted,
        level: 2,
        verdict: Verdict::Allow(Reason::new(ReasonCode::Trusted, "Acme vouches for it", "")),
        statement: Some(Stated {
            log_index: 3,
            organisation: "Acme".to_owned(),
            signer: "default".to_owned(),
            key: "default+1234".to_owned(),
            name: "web:1".to_owned(),
            time: NOW,
        }),
        entered: Entered::Before,
        spared: false,
    }
}

/// One trusted container, and a node that is well.
pub(crate) fn healthy() -> Picture {
    Picture {
        now: NOW + 5,
        interval: 60,
        sweep: Some(Arc::new(Sweep {
            node: "node-1".to_owned(),
            begun: NOW,
            took: Duration::from_millis(12),
            containers: vec![container(1, "a", "web", "web:1")],
            troubles: Vec::new(),
            is_partial: false,
            mode: Some(Mode::Enforce),
            allowlist: Some(Allowlist {
                log_size: 7,
                records: 12,
                root_version: 1,
                signed: NOW - 600,
                expires: NOW + 86_400,
            }),
            layers: Some(Layers {
                intact: 4,
                differing: 1,
                undecidable: 2,
                images_unread: 3,
                longest_wait: Duration::from_secs(90),
            }),
            undecided: None,
        })),
        decisions: Decisions::default(),
        node: Node {
            mode: Some(Mode::Enforce),
            ledger: Some("https://ledger.example/vcn".to_owned()),
            unrecorded: 0,
            self_test: Some(SelfTest {
                time: NOW - 3600,
                proven: true,
                outcome: String::new(),
            }),
            sync: Some(Sync {
                time: NOW - 300,
                error: None,
            }),
            exemptions: Vec::new(),
        },
        told: Vec::new(),
    }
}

/// The same node with hostile names, an untrusted image, one that nobody knows, and every error.
pub(crate) fn hostile() -> Picture {
    let mut picture = healthy();
    let refused = |code, detail: &str| Verdict::Deny(Reason::new(code, detail, EVIL));
    if let Some(sweep) = picture.sweep.as_mut().map(Arc::make_mut) {
        sweep.node = EVIL.to_owned();
        sweep.containers.push(Watched {
            status: Status::Untrusted,
            level: -1,
            verdict: refused(ReasonCode::Untrusted, &format!("{EVIL} withdrew it")),
            statement: Some(Stated {
                organisation: EVIL.to_owned(),
                ..Stated::default()
            }),
            entered: Entered::Around,
            ..container(2, "b", EVIL, EVIL)
        });
        sweep.containers.push(Watched {
            engine: "other",
            id: String::new(),
            name: None,
            image: None,
            config: None,
            status: Status::Unknown,
            level: 0,
            verdict: refused(ReasonCode::NoIdentity, EVIL),
            statement: None,
            ..container(3, "c", "", "")
        });
        sweep
            .troubles
            .push(Reason::new(ReasonCode::Unreadable, EVIL, EVIL));
    }
    picture.node = Node {
        mode: Some(Mode::Audit),
        ledger: Some(EVIL.to_owned()),
        unrecorded: 2,
        self_test: Some(SelfTest {
            time: NOW,
            proven: false,
            outcome: EVIL.to_owned(),
        }),
        sync: Some(Sync {
            time: NOW,
            error: Some(EVIL.to_owned()),
        }),
        exemptions: vec![Exemption {
            config: digest(9),
            until: NOW + 3600,
            because: EVIL.to_owned(),
        }],
    };
    picture.told.push(Telling {
        error: Some(EVIL.to_owned()),
        ..failing()
    });
    let line = serde_json::json!({
        "time": "2023-11-14T22:13:20Z", "verdict": "deny", "code": "unknown", "detail": EVIL, "hint": EVIL,
        "container": {"id": EVIL, "name": EVIL}, "image": EVIL, "engine": "docker", "duration_us": 412,
    });
    picture.decisions.count(line.to_string().as_bytes());
    picture
}

/// A place that cannot be told.
pub(crate) fn failing() -> Telling {
    Telling {
        target: "slack".to_owned(),
        waiting: 3,
        delivered: 1,
        failed: 2,
        dropped: 0,
        error: Some("connection refused".to_owned()),
    }
}
