//! What records amount to, case by case.

use super::standing;
use crate::allowlist::record::{Key, Kind, Record, Status};
use crate::image::digest::{ChainId, Digest};
use crate::policy::gatebin::tests::sample;
use crate::policy::gatebin::{Response, Trust};
use crate::verdict::ReasonCode;

const NOW: u64 = 1_800_000_000;

fn chain() -> ChainId {
    ChainId::from_digest(Digest::of(b"chain"))
}

fn record(signer: u16, status: Status) -> Record {
    Record {
        key: Key::of(Kind::Config, &Digest::of(b"config")),
        signer,
        status,
        not_after: 0,
        log_index: 7,
        target: Some(*chain().digest()),
    }
}

fn code(trust: &Trust, records: &[Record]) -> (Status, Response, ReasonCode) {
    let standing = standing(trust, records, Some(&chain()), NOW);
    (standing.status, standing.response, standing.reason.code)
}

#[test]
fn nothing_said_is_unknown_and_denied() {
    let trust = sample().trust;
    assert_eq!(
        code(&trust, &[]),
        (Status::Unknown, Response::Deny, ReasonCode::Unknown)
    );
}

#[test]
fn one_organisation_is_enough_at_threshold_one() {
    let trust = sample().trust;
    let records = [record(0, Status::Trusted)];
    assert_eq!(
        code(&trust, &records),
        (Status::Trusted, Response::Allow, ReasonCode::Trusted)
    );
}

#[test]
fn two_keys_of_one_organisation_are_one_voice() {
    let mut trust = sample().trust;
    trust.allow.threshold = 2;
    let same = [record(0, Status::Trusted), record(2, Status::Trusted)];
    assert_eq!(code(&trust, &same).2, ReasonCode::Quorum);
    let both = [record(0, Status::Trusted), record(1, Status::Trusted)];
    assert_eq!(code(&trust, &both).2, ReasonCode::Trusted);
}

#[test]
fn a_threshold_of_zero_still_needs_one_voice() {
    let mut trust = sample().trust;
    trust.allow.threshold = 0;
    assert_eq!(code(&trust, &[]).1, Response::Deny);
    assert_eq!(
        code(&trust, &[record(0, Status::Revoked)]).1,
        Response::Deny
    );
}

#[test]
fn any_untrusted_denies_unless_a_veto_line_names_others() {
    let mut trust = sample().trust;
    let records = [record(0, Status::Trusted), record(1, Status::Untrusted)];
    assert_eq!(
        code(&trust, &records),
        (Status::Untrusted, Response::Deny, ReasonCode::Untrusted)
    );
    trust.veto = Some(vec![0]);
    assert_eq!(code(&trust, &records).2, ReasonCode::Trusted);
    trust.veto = Some(vec![1]);
    assert_eq!(code(&trust, &records).2, ReasonCode::Untrusted);
}

#[test]
fn a_negative_counts_whatever_layers_it_was_stated_for() {
    let trust = sample().trust;
    let negative = Record {
        target: None,
        ..record(1, Status::Untrusted)
    };
    assert_eq!(
        code(&trust, &[record(0, Status::Trusted), negative]).2,
        ReasonCode::Untrusted
    );
}

#[test]
fn a_signer_that_stated_another_chain_vouches_for_nothing() {
    let trust = sample().trust;
    for target in [None, Some(Digest::of(b"other layers"))] {
        let records = [Record {
            target,
            ..record(0, Status::Trusted)
        }];
        let expected = (Status::Unknown, Response::Deny, ReasonCode::ChainMismatch);
        assert_eq!(code(&trust, &records), expected);
    }
}

#[test]
fn a_hash_without_bytes_is_not_trusted_even_without_a_mount_to_compare() {
    let trust = sample().trust;
    let records = [Record {
        target: None,
        ..record(0, Status::Trusted)
    }];
    assert_eq!(
        standing(&trust, &records, None, NOW).response,
        Response::Deny
    );
    let records = [record(0, Status::Trusted)];
    assert_eq!(
        standing(&trust, &records, None, NOW).response,
        Response::Allow
    );
}

#[test]
fn a_notarization_lapses_after_its_end_date() {
    let trust = sample().trust;
    let until = |not_after| {
        [Record {
            not_after,
            ..record(0, Status::Trusted)
        }]
    };
    assert_eq!(code(&trust, &until(1_799_999_999)).2, ReasonCode::Lapsed);
    assert_eq!(code(&trust, &until(1_800_000_000)).2, ReasonCode::Trusted);
}

#[test]
fn levels_and_organisations_that_do_not_count_do_not_count() {
    let mut trust = sample().trust;
    trust.allow.min_level = 2;
    assert_eq!(
        code(&trust, &[record(1, Status::Trusted)]).2,
        ReasonCode::Quorum
    );
    trust.allow.min_level = -1;
    trust.signers[1].level = -1;
    assert_eq!(
        code(&trust, &[record(1, Status::Trusted)]).2,
        ReasonCode::Quorum
    );
    trust.allow.organisations = vec![1];
    assert_eq!(
        code(&trust, &[record(0, Status::Trusted)]).2,
        ReasonCode::Quorum
    );
}

#[test]
fn when_only_revoked_signers_vouch_it_is_revoked() {
    let trust = sample().trust;
    let revoked = record(0, Status::Revoked);
    assert_eq!(
        code(&trust, &[revoked]),
        (Status::Revoked, Response::Deny, ReasonCode::Revoked)
    );
    assert_eq!(
        code(&trust, &[revoked, record(1, Status::Trusted)]).2,
        ReasonCode::Trusted
    );
}

#[test]
fn unsupported_denies_or_warns_as_the_root_says() {
    let mut trust = sample().trust;
    let records = [record(0, Status::Unsupported)];
    let denied = (Status::Unsupported, Response::Deny, ReasonCode::Unsupported);
    assert_eq!(code(&trust, &records), denied);
    trust.unsupported = Response::Warn;
    let warned = (Status::Unsupported, Response::Warn, ReasonCode::Unsupported);
    assert_eq!(code(&trust, &records), warned);
    let elsewhere = [Record {
        target: Some(Digest::of(b"other")),
        ..record(0, Status::Unsupported)
    }];
    assert_eq!(code(&trust, &elsewhere).1, Response::Deny);
}

#[test]
fn a_signer_that_the_root_does_not_have_decides_nothing() {
    let trust = sample().trust;
    assert_eq!(
        code(&trust, &[record(9, Status::Trusted)]).2,
        ReasonCode::RootBehind
    );
}

#[test]
fn unsupported_by_an_organisation_without_veto_vouches_for_nothing() {
    let mut trust = sample().trust;
    trust.veto = Some(vec![0]);
    let records = [record(1, Status::Unsupported)];
    let unknown = (Status::Unknown, Response::Deny, ReasonCode::Unknown);
    assert_eq!(code(&trust, &records), unknown);
    let both = [record(0, Status::Trusted), record(1, Status::Unsupported)];
    assert_eq!(code(&trust, &both).2, ReasonCode::Trusted);
}
