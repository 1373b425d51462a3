//! Precedence: what is told first, and what the floor may stand in for.

use super::{Case, decide, enforced, exec_into_pause, of_exec, on_failure};
use crate::allowlist::record::{Key, Kind, Record, Status};
use crate::image::digest::{ChainId, Digest};
use crate::image::identity::{EngineKind, Identity};
use crate::policy::facts::{Facts, HostAccess, Upper};
use crate::policy::gatebin::tests::sample;
use crate::policy::gatebin::{Mode, Response};
use crate::verdict::{Reason, ReasonCode, Undecided, Verdict};

fn identity(image: &[u8]) -> Identity {
    Identity {
        config: Digest::of(image),
        chain: Some(ChainId::from_digest(Digest::of(b"chain"))),
        manifest: None,
        engine: EngineKind::Docker,
    }
}

fn record(image: &[u8], status: Status) -> Record {
    Record {
        key: Key::of(Kind::Config, &Digest::of(image)),
        signer: 0,
        status,
        not_after: 0,
        log_index: 0,
        target: Some(Digest::of(b"chain")),
    }
}

fn reason(code: ReasonCode) -> Reason {
    Reason::new(code, "", "")
}

/// Decides about `image`, with what the ledger says and, if so, why it cannot be asked.
fn ask(
    image: &[u8],
    statuses: &[Status],
    stale: bool,
    facts: &Facts,
) -> (&'static str, ReasonCode) {
    let identity = identity(image);
    let records: Vec<_> = statuses
        .iter()
        .map(|status| record(image, *status))
        .collect();
    let staleness = reason(ReasonCode::Stale);
    let case = Case {
        identity: &identity,
        records: Ok(&records),
        freshness: if stale { Err(&staleness) } else { Ok(()) },
        chain_of_config: identity.chain,
        pause: false,
        facts,
        now: 0,
    };
    let verdict = decide(&sample(), &case);
    (verdict.as_str(), verdict.reason().code)
}

#[test]
fn trusted_starts_and_everything_else_does_not() {
    let none = Facts::none();
    assert_eq!(
        ask(b"app", &[Status::Trusted], false, &none),
        ("allow", ReasonCode::Trusted)
    );
    assert_eq!(
        ask(b"app", &[], false, &none),
        ("deny", ReasonCode::Unknown)
    );
    assert_eq!(
        ask(b"app", &[Status::Untrusted], false, &none),
        ("deny", ReasonCode::Untrusted)
    );
    assert_eq!(
        ask(b"app", &[Status::Unsupported], false, &none),
        ("deny", ReasonCode::Unsupported)
    );
    assert_eq!(
        ask(b"app", &[Status::Revoked], false, &none),
        ("deny", ReasonCode::Revoked)
    );
    assert_eq!(
        ask(b"app", &[Status::Trusted], true, &none),
        ("deny", ReasonCode::Stale)
    );
}

#[test]
fn what_was_withdrawn_is_told_before_staleness() {
    let none = Facts::none();
    assert_eq!(
        ask(b"app", &[Status::Untrusted], true, &none),
        ("deny", ReasonCode::Untrusted)
    );
}

#[test]
fn the_floor_stands_in_for_a_missing_word_and_never_against_a_given_one() {
    let none = Facts::none();
    assert_eq!(
        ask(b"pause", &[], false, &none),
        ("allow", ReasonCode::Floor)
    );
    assert_eq!(
        ask(b"pause", &[], true, &none),
        ("allow", ReasonCode::Floor)
    );
    assert_eq!(
        ask(b"pause", &[Status::Trusted], true, &none),
        ("allow", ReasonCode::Floor)
    );
    assert_eq!(
        ask(b"pause", &[Status::Untrusted], false, &none),
        ("deny", ReasonCode::Untrusted)
    );
    assert_eq!(
        ask(b"pause", &[Status::Untrusted], true, &none),
        ("deny", ReasonCode::Untrusted)
    );
    assert_eq!(
        ask(b"pause", &[Status::Revoked], false, &none),
        ("deny", ReasonCode::Revoked)
    );
}

#[test]
fn the_floor_overrides_no_rule_and_no_binding() {
    let facts = Facts {
        upper: Upper::NotPristine(vec!["/bin/sh".into()]),
        ..Facts::none()
    };
    assert_eq!(
        ask(b"pause", &[], false, &facts),
        ("deny", ReasonCode::UpperNotPristine)
    );
    let identity = identity(b"pause");
    let other = ChainId::from_digest(Digest::of(b"other layers"));
    for chain_of_config in [None, Some(other)] {
        let none = Facts::none();
        let case = Case {
            identity: &identity,
            records: Ok(&[]),
            freshness: Ok(()),
            chain_of_config,
            pause: false,
            facts: &none,
            now: 0,
        };
        assert_eq!(decide(&sample(), &case).reason().code, ReasonCode::Unknown);
    }
}

#[test]
fn a_pods_own_container_needs_no_word_and_obeys_a_word_against_it() {
    let rule = Facts {
        upper: Upper::NotPristine(vec!["/evil".into()]),
        ..Facts::none()
    };
    let none = Facts::none();
    for (statuses, facts, expected) in [
        (&[][..], &none, ("allow", ReasonCode::Infra)),
        (&[Status::Trusted], &none, ("allow", ReasonCode::Trusted)),
        (&[Status::Untrusted], &none, ("deny", ReasonCode::Untrusted)),
        (&[], &rule, ("deny", ReasonCode::UpperNotPristine)),
    ] {
        let identity = identity(b"app");
        let records: Vec<_> = statuses.iter().map(|s| record(b"app", *s)).collect();
        let case = Case {
            identity: &identity,
            records: Ok(&records),
            freshness: Ok(()),
            chain_of_config: None,
            pause: true,
            facts,
            now: 0,
        };
        let verdict = decide(&sample(), &case);
        assert_eq!((verdict.as_str(), verdict.reason().code), expected);
    }
}

#[test]
fn nobody_execs_into_a_pods_own_container_whatever_exec_policy_says() {
    for response in [Response::Allow, Response::Warn, Response::Deny] {
        let mut gate = sample();
        gate.rules.exec = response;
        let verdict = of_exec(&gate, exec_into_pause());
        assert_eq!(
            (verdict.as_str(), verdict.reason().code),
            ("deny", ReasonCode::InfraExec)
        );
    }
}

#[test]
fn without_a_verified_answer_only_the_floor_starts() {
    let none = Facts::none();
    for code in [
        ReasonCode::NoAllowlist,
        ReasonCode::Tampered,
        ReasonCode::RolledBack,
    ] {
        let why = reason(code);
        for (image, expected) in [
            (&b"app"[..], ("deny", code)),
            (b"pause", ("allow", ReasonCode::Floor)),
        ] {
            let identity = identity(image);
            let case = Case {
                identity: &identity,
                records: Err(&why),
                freshness: Ok(()),
                chain_of_config: identity.chain,
                pause: false,
                facts: &none,
                now: 0,
            };
            let verdict = decide(&sample(), &case);
            assert_eq!((verdict.as_str(), verdict.reason().code), expected);
        }
    }
}

#[test]
fn a_broken_rule_refuses_or_warns_of_what_the_ledger_trusts() {
    let trusted = [Status::Trusted];
    let upper = Facts {
        upper: Upper::NotPristine(vec!["/bin/sh".into()]),
        ..Facts::none()
    };
    assert_eq!(
        ask(b"app", &trusted, false, &upper),
        ("deny", ReasonCode::UpperNotPristine)
    );
    let host = Facts {
        host: vec![HostAccess::Privileged],
        ..Facts::none()
    };
    assert_eq!(
        ask(b"app", &trusted, false, &host),
        ("warn", ReasonCode::HostAccess)
    );
    assert_eq!(
        ask(b"app", &[], false, &host),
        ("deny", ReasonCode::Unknown)
    );
}

#[test]
fn every_reason_for_not_deciding_denies_by_default() {
    let gate = sample();
    for code in ReasonCode::ALL {
        let verdict = on_failure(&gate, Undecided(reason(*code)));
        assert_eq!(verdict, Verdict::Deny(reason(*code)));
    }
}

#[test]
fn only_builds_and_restores_have_a_policy_of_their_own() {
    let mut gate = sample();
    gate.rules.build = Response::Allow;
    gate.rules.restore = Response::Allow;
    for code in ReasonCode::ALL {
        let verdict = on_failure(&gate, Undecided(reason(*code)));
        let permitted = matches!(code, ReasonCode::Build | ReasonCode::Restore);
        assert_eq!(
            verdict.as_str(),
            if permitted { "allow" } else { "deny" },
            "{code}"
        );
    }
}

#[test]
fn audit_mode_lets_a_refusal_start_and_keeps_its_reason() {
    let denied = Verdict::Deny(reason(ReasonCode::Unknown));
    assert_eq!(enforced(Mode::Enforce, denied.clone()), denied);
    assert_eq!(
        enforced(Mode::Audit, denied),
        Verdict::Warn(reason(ReasonCode::Unknown))
    );
}

#[test]
fn exec_into_what_is_no_longer_trusted_is_refused_or_warned_of() {
    let mut gate = sample();
    let denied = Verdict::Deny(reason(ReasonCode::Untrusted));
    gate.rules.exec = Response::Deny;
    assert_eq!(of_exec(&gate, denied.clone()), denied);
    gate.rules.exec = Response::Warn;
    let warned = Verdict::Warn(reason(ReasonCode::Untrusted));
    assert_eq!(of_exec(&gate, denied), warned);
}
