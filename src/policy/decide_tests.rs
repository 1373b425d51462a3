//! Precedence: what is told first, and what the floor may stand in for.

use super::{Case, decide, enforced, exec_into_pause, of_exec, on_failure};
use crate::allowlist::record::{Key, Kind, Record, Status};
use crate::image::digest::{ChainId, Digest};
use crate::image::identity::{EngineKind, Identity};
use crate::policy::facts::{Facts, HostAccess, Upper};
use crate::policy::gatebin::tests::sample;
use crate::policy::gatebin::{Exempted, GateBin, Held, Mode, Response};
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

/// A node with an exemption for `app` from 10 000 to 20 000.
fn exempting() -> GateBin {
    GateBin {
        exemptions: vec![Exempted {
            config: Digest::of(b"app"),
            from: 10_000,
            until: 20_000,
            because: "until then by ann+00000000: a migration".to_owned(),
        }],
        ..sample()
    }
}

/// A start of `app` at 15 000 of which the ledger knows nothing, and nothing is unusual.
fn unknown_app<'a>(identity: &'a Identity, none: &'a Facts) -> Case<'a> {
    Case {
        identity,
        records: Ok(&[]),
        freshness: Ok(()),
        chain_of_config: identity.chain,
        pause: false,
        facts: none,
        now: 15_000,
    }
}

fn by_exemption(case: Case<'_>) -> (&'static str, ReasonCode) {
    let verdict = decide(&exempting(), &case);
    (verdict.as_str(), verdict.reason().code)
}

#[test]
fn an_exemption_stands_in_for_unknown_and_stale_with_a_warning() {
    let (identity, none) = (identity(b"app"), Facts::none());
    let app = unknown_app(&identity, &none);
    let stale = reason(ReasonCode::Stale);
    let exempt = ("warn", ReasonCode::Exempt);
    assert_eq!(by_exemption(app), exempt);
    assert_eq!(
        by_exemption(Case {
            freshness: Err(&stale),
            ..app
        }),
        exempt
    );
    // What has lapsed, has too few vouchers, or is vouched for by a bare hash, is UNKNOWN too.
    let lapsed = [Record {
        not_after: 14_999,
        ..record(b"app", Status::Trusted)
    }];
    let disabled = [Record {
        signer: 9,
        ..record(b"app", Status::Trusted)
    }];
    let by_hash = [Record {
        target: None,
        ..record(b"app", Status::Trusted)
    }];
    assert_eq!(
        by_exemption(Case {
            records: Ok(&lapsed),
            ..app
        }),
        exempt
    );
    assert_eq!(
        by_exemption(Case {
            records: Ok(&by_hash),
            ..app
        }),
        exempt
    );
    assert_eq!(
        by_exemption(Case {
            records: Ok(&disabled),
            ..app
        }),
        ("deny", ReasonCode::RootBehind)
    );
    // A word of the ledger's is better than an exemption.
    let trusted = [record(b"app", Status::Trusted)];
    let allowed = ("allow", ReasonCode::Trusted);
    assert_eq!(
        by_exemption(Case {
            records: Ok(&trusted),
            ..app
        }),
        allowed
    );
}

#[test]
fn an_exemption_says_who_and_until_when_whatever_else_is_warned_of() {
    let identity = identity(b"app");
    let host = Facts {
        host: vec![HostAccess::Privileged],
        ..Facts::none()
    };
    let case = unknown_app(&identity, &host);
    let Verdict::Warn(reason) = decide(&exempting(), &case) else {
        panic!("it is exempt");
    };
    assert_eq!(reason.code, ReasonCode::Exempt);
    for said in ["until then by ann+00000000: a migration", "host-access"] {
        assert!(reason.detail.contains(said), "{}", reason.detail);
    }
}

#[test]
fn an_exemption_overrides_no_word_no_rule_and_no_binding_and_ends() {
    let (identity, none) = (identity(b"app"), Facts::none());
    let app = unknown_app(&identity, &none);
    for status in [Status::Untrusted, Status::Unsupported, Status::Revoked] {
        let records = [record(b"app", status)];
        let stale = reason(ReasonCode::Stale);
        let (verdict, code) = by_exemption(Case {
            records: Ok(&records),
            ..app
        });
        assert_eq!(verdict, "deny");
        let withdrawn = by_exemption(Case {
            records: Ok(&records),
            freshness: Err(&stale),
            ..app
        });
        assert_eq!(withdrawn, (verdict, code));
    }
    let upper = Facts {
        upper: Upper::NotPristine(vec!["/bin/sh".into()]),
        ..Facts::none()
    };
    assert_eq!(
        by_exemption(Case {
            facts: &upper,
            ..app
        }),
        ("deny", ReasonCode::UpperNotPristine)
    );
    let unknown = ("deny", ReasonCode::Unknown);
    let other = ChainId::from_digest(Digest::of(b"other layers"));
    for chain in [None, Some(other)] {
        assert_eq!(
            by_exemption(Case {
                chain_of_config: chain,
                ..app
            }),
            unknown
        );
    }
    for now in [0, 20_000, u64::MAX] {
        assert_eq!(by_exemption(Case { now, ..app }), unknown, "{now}");
    }
    for code in [
        ReasonCode::NoAllowlist,
        ReasonCode::Tampered,
        ReasonCode::RolledBack,
        ReasonCode::RootBehind,
    ] {
        let why = reason(code);
        let verdict = by_exemption(Case {
            records: Err(&why),
            ..app
        });
        assert_eq!(verdict, ("deny", code));
    }
}

#[test]
fn the_floor_obeys_no_word_about_other_layers() {
    let identity = identity(b"pause");
    let none = Facts::none();
    // Notarized by its bare hash, which says nothing of layers.
    let by_hash = [Record {
        target: None,
        ..record(b"pause", Status::Trusted)
    }];
    let other = ChainId::from_digest(Digest::of(b"other layers"));
    for (chain_of_config, expected) in [
        (identity.chain, ("allow", ReasonCode::Floor)),
        (Some(other), ("deny", ReasonCode::ChainMismatch)),
        (None, ("deny", ReasonCode::ChainMismatch)),
    ] {
        let case = Case {
            identity: &identity,
            records: Ok(&by_hash),
            freshness: Ok(()),
            chain_of_config,
            pause: false,
            facts: &none,
            now: 0,
        };
        let verdict = decide(&sample(), &case);
        assert_eq!((verdict.as_str(), verdict.reason().code), expected);
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

/// A node that holds `app`, as the ledger knew it.
fn holding() -> GateBin {
    GateBin {
        held: vec![Held {
            config: Digest::of(b"app"),
            chain: ChainId::from_digest(Digest::of(b"chain")),
            since: 1,
        }],
        ..sample()
    }
}

fn by_hold(gate: &GateBin, case: Case<'_>) -> (&'static str, ReasonCode) {
    let verdict = decide(gate, &case);
    (verdict.as_str(), verdict.reason().code)
}

#[test]
fn what_is_held_starts_with_a_warning_while_only_a_word_is_missing() {
    let (identity, none) = (identity(b"app"), Facts::none());
    let app = unknown_app(&identity, &none);
    let held = ("warn", ReasonCode::Held);
    assert_eq!(by_hold(&holding(), app), held);
    let lapsed = [Record {
        not_after: 14_999,
        ..record(b"app", Status::Trusted)
    }];
    let records = Ok(&lapsed[..]);
    assert_eq!(by_hold(&holding(), Case { records, ..app }), held);
    let mut two = holding();
    two.trust.allow.threshold = 2;
    let alone = [record(b"app", Status::Trusted)];
    let records = Ok(&alone[..]);
    assert_eq!(by_hold(&two, Case { records, ..app }), held);
    // The word is back.
    let allowed = ("allow", ReasonCode::Trusted);
    assert_eq!(by_hold(&holding(), Case { records, ..app }), allowed);
}

#[test]
fn nothing_withdrawn_stale_unbound_or_unverified_is_held() {
    let (identity, none) = (identity(b"app"), Facts::none());
    let app = unknown_app(&identity, &none);
    for (status, code) in [
        (Status::Untrusted, ReasonCode::Untrusted),
        (Status::Unsupported, ReasonCode::Unsupported),
        (Status::Revoked, ReasonCode::Revoked),
    ] {
        let records = [record(b"app", status)];
        let records = Ok(&records[..]);
        let verdict = by_hold(&holding(), Case { records, ..app });
        assert_eq!(verdict, ("deny", code));
    }
    // Without a veto a withdrawal leaves UNKNOWN or too few, and is no lapse all the same.
    let mut powerless = holding();
    powerless.trust.veto = Some(vec![1]);
    powerless.trust.allow.threshold = 2;
    let other = Record {
        signer: 1,
        ..record(b"app", Status::Trusted)
    };
    for status in [Status::Untrusted, Status::Unsupported] {
        let withdrawn = record(b"app", status);
        for (records, code) in [
            (&[withdrawn][..], ReasonCode::Unknown),
            (&[withdrawn, other], ReasonCode::Quorum),
        ] {
            let records = Ok(records);
            let verdict = by_hold(&powerless, Case { records, ..app });
            assert_eq!(verdict, ("deny", code), "{status:?}");
        }
    }
    let stale = reason(ReasonCode::Stale);
    let tampered = reason(ReasonCode::Tampered);
    for (case, code) in [
        (
            Case {
                freshness: Err(&stale),
                ..app
            },
            ReasonCode::Stale,
        ),
        (
            Case {
                records: Err(&tampered),
                ..app
            },
            ReasonCode::Tampered,
        ),
    ] {
        assert_eq!(by_hold(&holding(), case), ("deny", code));
    }
    for chain in [
        None,
        Some(ChainId::from_digest(Digest::of(b"other layers"))),
    ] {
        let identity = Identity {
            chain,
            ..identity.clone()
        };
        let case = unknown_app(&identity, &none);
        assert_eq!(by_hold(&holding(), case), ("deny", ReasonCode::Unknown));
    }
    let upper = Facts {
        upper: Upper::NotPristine(vec!["/bin/sh".into()]),
        ..Facts::none()
    };
    let refused = by_hold(
        &holding(),
        Case {
            facts: &upper,
            ..app
        },
    );
    assert_eq!(refused, ("deny", ReasonCode::UpperNotPristine));
}
