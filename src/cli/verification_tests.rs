//! The text and the JSON of a verification, against the seeds' own samples.

use super::{Stated, Verification, level, worst};
use crate::allowlist::record::Status;
use crate::cli::output::Paint;
use crate::verdict::{Reason, ReasonCode};

const HASH: &str = "7d2d42157acdabf4ae46a4815af9037179c871a3b20df628c997af5d452bd7ff";

fn trusted() -> Verification {
    Verification {
        asked: format!("docker://{HASH}"),
        hash: HASH.to_owned(),
        status: Status::Trusted,
        reason: Reason::new(ReasonCode::Trusted, "it is TRUSTED by vchain", ""),
        undecided: false,
        statement: Some(Stated {
            kind: "docker".to_owned(),
            name: format!("docker://{HASH}"),
            size: 270_000_000,
            time: 1_556_719_235,
            key: "0x2a4d3071a9d12e3886d43890d0dbaa8be60febec".to_owned(),
            signer: "a@b".to_owned(),
            organisation: "vchain".to_owned(),
            company: "vChain, Inc.".to_owned(),
            website: "https://www.vchain.us".to_owned(),
            level: 2,
            log_index: 7,
        }),
        records: 1,
        deep: None,
    }
}

fn unknown() -> Verification {
    Verification {
        status: Status::Unknown,
        reason: Reason::new(
            ReasonCode::Unknown,
            "the ledger has no word about it",
            "sync",
        ),
        statement: None,
        records: 0,
        ..trusted()
    }
}

#[test]
fn the_text_is_that_of_the_second_seed() {
    let sample = format!(
        "Asset:   docker://{HASH}\n\
         Hash:    {HASH}\n\
         Date:    2019-05-01 14:00:35 +0000 UTC\n\
         Key:     0x2a4d3071a9d12e3886d43890d0dbaa8be60febec\n\
         Name:    docker://{HASH}\n\
         Size:    270 MB\n\
         Company: vChain, Inc.\n\
         Website: https://www.vchain.us\n\
         Level:   2 - SOCIAL_VERIFIED\n\
         Status:  \"TRUSTED\"\n"
    );
    assert_eq!(trusted().text(Paint::PLAIN), sample);
}

#[test]
fn rows_without_a_value_are_left_out_and_the_columns_stay() {
    let expected = format!("Asset:   docker://{HASH}\nHash:    {HASH}\nStatus:  \"UNKNOWN\"\n");
    assert_eq!(unknown().text(Paint::PLAIN), expected);
}

#[test]
fn a_name_cannot_forge_a_row() {
    let mut forged = trusted();
    if let Some(stated) = &mut forged.statement {
        stated.name = "x\nStatus:  \"TRUSTED\"\u{1b}[8m".to_owned();
    }
    let text = forged.text(Paint::PLAIN);
    assert_eq!(text.lines().count(), 10);
    assert!(text.contains(r#"Name:    x\nStatus:  "TRUSTED"\u{1b}[8m"#));
}

#[test]
fn the_seeds_paths_lead_to_the_answer() {
    let value = trusted().json();
    for (path, expected) in [
        (
            "/artifact/name",
            serde_json::json!(format!("docker://{HASH}")),
        ),
        ("/artifact/publisher", "a@b".into()),
        ("/verification/level", 2.into()),
        ("/verification/status", 0.into()),
        ("/verification/timestamp", "2019-05-01T14:00:35Z".into()),
        ("/artifact/status", "TRUSTED".into()),
        ("/status", 0.into()),
        ("/hash", HASH.into()),
        ("/signer", "a@b".into()),
        ("/company", "vChain, Inc.".into()),
        ("/schema", "vcn-hook/verification/v1".into()),
    ] {
        assert_eq!(value.pointer(path), Some(&expected), "{path}");
    }
    assert_eq!(value.get("error"), None);
}

#[test]
fn nothing_known_never_reads_as_trusted() {
    let mut answer = unknown();
    assert_eq!(
        answer.json().pointer("/verification/status"),
        Some(&2.into())
    );
    assert_eq!(answer.exit_code(), 2);
    answer.undecided = true;
    answer.reason = Reason::new(ReasonCode::Stale, "the allowlist expired", "sync");
    let value = answer.json();
    assert_eq!(value.pointer("/verification/status"), Some(&2.into()));
    assert_eq!(value.pointer("/verified"), Some(&false.into()));
    assert_eq!(
        value.get("error"),
        Some(&"the allowlist expired (stale); sync".into())
    );
    assert_eq!(answer.exit_code(), 11);
}

#[test]
fn the_worst_answer_is_the_exit_code() {
    for (codes, expected) in [
        (vec![], 0),
        (vec![0, 0], 0),
        (vec![0, 2], 2),
        (vec![2, 3], 3),
        (vec![1, 3, 2], 1),
        (vec![1, 4, 0], 4),
        (vec![4, 11, 13], 11),
    ] {
        assert_eq!(worst(codes.clone()), expected, "{codes:?}");
    }
}

#[test]
fn levels_have_vcns_names() {
    for (number, name) in [
        (-1, "DISABLED"),
        (2, "2 - SOCIAL_VERIFIED"),
        (99, "99 - VCHAIN"),
        (7, "7"),
    ] {
        assert_eq!(level(number), name);
    }
}
