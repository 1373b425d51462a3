//! The rules beyond the ledger: upper layer, mounts, host access, process.
//!
//! Owns which observed fact breaks which rule, the exceptions, and the line of
//! config.toml that each refusal quotes. How facts are observed is `engine`'s.

use std::path::{Path, PathBuf};

use crate::image::digest::Digest;
use crate::image::identity::Identity;
use crate::policy::facts::{Facts, HostAccess, MountFault, MountFinding, ProcessChange, Upper};
use crate::policy::gatebin::{Response, Rules};
use crate::verdict::{Reason, ReasonCode};

/// The most severe broken rule, the first of equals; `None` when nothing is worth a word.
#[must_use]
pub fn broken(rules: &Rules, identity: &Identity, facts: &Facts) -> Option<(Response, Reason)> {
    let mounts = facts
        .mounts
        .iter()
        .filter_map(|mount| mount_rule(rules, mount));
    let found = upper_rule(rules, &identity.config, &facts.upper)
        .into_iter()
        .chain(mounts)
        .chain(host_rule(rules, &facts.host))
        .chain(process_rule(rules, &facts.process));
    // `max_by_key` would keep the last of equals; the first one is the one a reader meets first.
    found
        .filter(|(response, _)| *response != Response::Allow)
        .fold(None, |worst, next| match worst {
            Some((response, _)) if response >= next.0 => worst,
            _ => Some(next),
        })
}

fn upper_rule(rules: &Rules, config: &Digest, upper: &Upper) -> Option<(Response, Reason)> {
    let (response, code, paths, what, line) = match upper {
        Upper::Clean => return None,
        Upper::NotPristine(paths) => (
            rules.upper_not_pristine,
            ReasonCode::UpperNotPristine,
            paths,
            "files were put into the container before its first start",
            "not_pristine",
        ),
        Upper::Changed(paths) => (
            rules.upper_changed,
            ReasonCode::UpperChanged,
            paths,
            "code was changed inside the container after its first start",
            "changed",
        ),
    };
    let excepted = rules
        .upper_allow
        .iter()
        .filter(|allow| allow.config == *config);
    let allowed: Vec<&str> = excepted
        .flat_map(|allow| &allow.paths)
        .map(String::as_str)
        .collect();
    let paths: Vec<&PathBuf> = paths
        .iter()
        .filter(|path| !allowed.iter().any(|allow| Path::new(allow) == *path))
        .collect();
    if paths.is_empty() {
        return None;
    }
    let listed = list(&paths);
    let all: Vec<_> = paths.iter().map(|path| quoted(path)).collect();
    let hint = format!(
        "recreate the container; to permit it: [[upper.allow]] config = \"{config}\", paths = [{}] \
         (or [upper] {line} = \"allow\" for all images)",
        all.join(", ")
    );
    Some((
        response,
        Reason::new(code, format!("{what}: {listed}"), hint),
    ))
}

fn mount_rule(rules: &Rules, mount: &MountFinding) -> Option<(Response, Reason)> {
    let (source, destination) = (mount.source.display(), mount.destination.display());
    let touches = mount.touches.display();
    let this_one = || {
        format!(
            "[[mounts.allow]] source = {}, destination = {}",
            quoted(&mount.source),
            quoted(&mount.destination)
        )
    };
    let (response, code, detail, line) = match mount.fault {
        MountFault::OverCode => (
            rules.mount_over_code,
            ReasonCode::MountOverCode,
            format!(
                "the mount of '{source}' on '{destination}' covers code of the image at '{touches}'"
            ),
            this_one(),
        ),
        MountFault::OfState => (
            rules.mount_of_state,
            ReasonCode::MountOfState,
            format!("the writable mount of '{source}' on '{destination}' reaches '{touches}'"),
            this_one(),
        ),
        MountFault::BelowRootfs => (
            rules.mount_below_rootfs,
            ReasonCode::MountBelowRootfs,
            format!("'{source}' is already mounted at '{touches}', below the root file system"),
            "[mounts] below_rootfs = \"allow\"".to_owned(),
        ),
    };
    if mount.fault != MountFault::BelowRootfs && excepted(rules, mount) {
        return None;
    }
    Some((
        response,
        Reason::new(code, detail, format!("to permit it: {line}")),
    ))
}

fn excepted(rules: &Rules, mount: &MountFinding) -> bool {
    rules.mount_allow.iter().any(|allow| {
        Path::new(&allow.source) == mount.source
            && allow
                .destination
                .as_ref()
                .is_none_or(|path| Path::new(path) == mount.destination)
    })
}

fn host_rule(rules: &Rules, host: &[HostAccess]) -> Option<(Response, Reason)> {
    if host.is_empty() {
        return None;
    }
    let listed: Vec<_> = host.iter().map(ToString::to_string).collect();
    let detail = format!("it asks for access to the host: {}", listed.join(", "));
    let hint = "start it without, or to permit it: [host] policy = \"allow\"";
    Some((
        rules.host,
        Reason::new(ReasonCode::HostAccess, detail, hint),
    ))
}

fn process_rule(rules: &Rules, process: &[ProcessChange]) -> Option<(Response, Reason)> {
    if process.is_empty() {
        return None;
    }
    let listed: Vec<_> = process
        .iter()
        .map(|change| match change {
            ProcessChange::Arguments => "other arguments".to_owned(),
            ProcessChange::Unknown => "the image's config cannot be read".to_owned(),
            ProcessChange::Variable(name) => format!("variable {name}"),
        })
        .collect();
    let detail = format!("its process is not the image's: {}", listed.join(", "));
    let hint = "start it as the image says, or to permit it: [process] policy = \"allow\"";
    Some((
        rules.process,
        Reason::new(ReasonCode::ProcessChanged, detail, hint),
    ))
}

/// The first few paths, for people.
fn list(paths: &[&PathBuf]) -> String {
    const SHOWN: usize = 4;
    let shown: Vec<_> = paths.iter().take(SHOWN).map(|path| quoted(path)).collect();
    match paths.len().checked_sub(SHOWN) {
        None | Some(0) => shown.join(", "),
        Some(more) => format!("{}, and {more} more", shown.join(", ")),
    }
}

/// A path as a TOML string: a name that a client made up must not end it and widen what is pasted.
fn quoted(path: &Path) -> String {
    // Every escape that JSON writes is one that TOML reads.
    serde_json::Value::from(path.display().to_string()).to_string()
}

#[cfg(test)]
mod tests {
    use super::broken;
    use crate::image::digest::{ChainId, Digest};
    use crate::image::identity::{EngineKind, Identity};
    use crate::policy::facts::{Facts, HostAccess, MountFault, MountFinding, Upper};
    use crate::policy::gatebin::{MountAllow, Response, Rules, UpperAllow};
    use crate::verdict::ReasonCode;

    fn identity() -> Identity {
        Identity {
            config: Digest::of(b"config"),
            chain: Some(ChainId::from_digest(Digest::of(b"chain"))),
            manifest: None,
            engine: EngineKind::Docker,
        }
    }

    fn over_code(source: &str, destination: &str) -> Facts {
        let mount = MountFinding {
            fault: MountFault::OverCode,
            source: source.into(),
            destination: destination.into(),
            touches: destination.into(),
        };
        Facts {
            mounts: vec![mount],
            ..Facts::none()
        }
    }

    fn answer(rules: &Rules, facts: &Facts) -> Option<(Response, ReasonCode)> {
        broken(rules, &identity(), facts).map(|(response, reason)| (response, reason.code))
    }

    #[test]
    fn nothing_observed_breaks_nothing() {
        assert_eq!(answer(&Rules::strict(), &Facts::none()), None);
    }

    #[test]
    fn an_exception_is_for_one_image_and_its_paths_alone() {
        let facts = |path: &str| Facts {
            upper: Upper::NotPristine(vec![path.into()]),
            ..Facts::none()
        };
        let mut rules = Rules::standard();
        let denied = Some((Response::Deny, ReasonCode::UpperNotPristine));
        assert_eq!(answer(&rules, &facts("/app.conf")), denied);
        rules.upper_allow = vec![UpperAllow {
            config: identity().config,
            paths: vec!["/app.conf".to_owned()],
        }];
        assert_eq!(answer(&rules, &facts("/app.conf")), None);
        assert_eq!(answer(&rules, &facts("/bin/sh")), denied);
        rules.upper_allow[0].config = Digest::of(b"another image");
        assert_eq!(answer(&rules, &facts("/app.conf")), denied);
    }

    #[test]
    fn a_known_mount_is_known_by_its_source_not_by_its_destination() {
        let mut rules = Rules::standard();
        rules.mount_allow = vec![MountAllow {
            source: "/usr/lib/cdi".to_owned(),
            destination: None,
        }];
        assert_eq!(
            answer(&rules, &over_code("/usr/lib/cdi", "/usr/lib/x")),
            None
        );
        let other = answer(&rules, &over_code("/tmp/evil", "/usr/lib/x"));
        assert_eq!(other, Some((Response::Deny, ReasonCode::MountOverCode)));
    }

    #[test]
    fn one_mount_of_state_is_permitted_by_the_line_that_is_quoted() {
        let mut facts = over_code("/run", "/host/run");
        facts.mounts[0].fault = MountFault::OfState;
        let mut rules = Rules::standard();
        let (_, reason) = broken(&rules, &identity(), &facts).expect("it is broken");
        let line = "[[mounts.allow]] source = \"/run\", destination = \"/host/run\"";
        assert!(reason.hint.contains(line), "{}", reason.hint);
        rules.mount_allow = vec![MountAllow {
            source: "/run".to_owned(),
            destination: Some("/host/run".to_owned()),
        }];
        assert_eq!(answer(&rules, &facts), None);
        facts.mounts[0].destination = "/elsewhere".into();
        let denied = Some((Response::Deny, ReasonCode::MountOfState));
        assert_eq!(answer(&rules, &facts), denied);
    }

    #[test]
    fn the_most_severe_rule_answers() {
        let facts = Facts {
            upper: Upper::Changed(vec!["/bin/sh".into()]),
            host: vec![HostAccess::Privileged],
            ..over_code("/tmp/evil", "/bin/echo")
        };
        let standard = answer(&Rules::standard(), &facts);
        assert_eq!(standard, Some((Response::Deny, ReasonCode::MountOverCode)));
        let strict = answer(&Rules::strict(), &facts);
        assert_eq!(strict, Some((Response::Deny, ReasonCode::UpperChanged)));
        let host = Facts {
            host: vec![HostAccess::Privileged],
            ..Facts::none()
        };
        let warned = Some((Response::Warn, ReasonCode::HostAccess));
        assert_eq!(answer(&Rules::standard(), &host), warned);
    }

    #[test]
    fn a_name_cannot_widen_the_line_that_is_pasted() {
        let facts = over_code("/tmp/x\", \"/bin/sh\n", "/bin/echo");
        let (_, reason) = broken(&Rules::standard(), &identity(), &facts).expect("it is broken");
        assert!(
            reason
                .hint
                .contains(r#"source = "/tmp/x\", \"/bin/sh\n", destination"#),
            "{}",
            reason.hint
        );
        let paths = (0..9).map(|number| format!("/{number}").into()).collect();
        let facts = Facts {
            upper: Upper::NotPristine(paths),
            ..Facts::none()
        };
        let (_, reason) = broken(&Rules::standard(), &identity(), &facts).expect("it is broken");
        assert!(
            reason.detail.ends_with("\"/3\", and 5 more"),
            "{}",
            reason.detail
        );
        assert!(reason.hint.contains("\"/7\", \"/8\"]"), "{}", reason.hint);
    }

    #[test]
    fn a_refusal_quotes_the_line_that_would_permit_it() {
        let facts = over_code("/tmp/evil", "/bin/echo");
        let (_, reason) = broken(&Rules::standard(), &identity(), &facts).expect("it is broken");
        let line = "[[mounts.allow]] source = \"/tmp/evil\", destination = \"/bin/echo\"";
        assert!(reason.hint.contains(line), "{}", reason.hint);
    }
}
