//! The sweep as kube-notary served it: `/results`, and the script that notarizes what runs.
//!
//! Owns the keys of that JSON and the shape of that script. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::act::NO_WORD;
use super::sweep::{Sweep, Watched};
use crate::allowlist::record::Status;
use crate::escape::{self, Escaped};
use crate::sys::clock::rfc3339;

/// One image, and all that runs of it.
#[derive(Serialize)]
struct Result<'a> {
    hash: String,
    containers: Vec<Container<'a>>,
    verification: Verification,
    errors: Vec<&'a str>,
}

#[derive(Serialize)]
struct Container<'a> {
    namespace: &'a str,
    pod: &'a str,
    container: &'a str,
    #[serde(rename = "containerID")]
    container_id: String,
    image: String,
    #[serde(rename = "imageID")]
    image_id: String,
}

#[derive(Serialize)]
struct Verification {
    level: i8,
    owner: String,
    status: u8,
    /// RFC 3339; empty where nobody stated anything.
    timestamp: String,
    trusted: bool,
}

/// Everything that runs, by image.
#[must_use]
pub fn json(sweep: Option<&Sweep>) -> String {
    let mut images: BTreeMap<String, Result<'_>> = BTreeMap::new();
    for container in sweep.into_iter().flat_map(|sweep| &sweep.containers) {
        let hash = container.config.map(|digest| digest.hex());
        // What has no hash is an image of its own: kube-notary showed all such as one.
        let key = hash
            .clone()
            .unwrap_or_else(|| format!("~{}", container.pid));
        let image = images.entry(key).or_insert_with(|| Result {
            hash: hash.unwrap_or_default(),
            containers: Vec::new(),
            verification: verification(container),
            errors: Vec::new(),
        });
        let reason = container.verdict.reason();
        if !container.passes() && !image.errors.contains(&reason.detail.as_str()) {
            image.errors.push(&reason.detail);
        }
        // One that must not run speaks for all of its image.
        image.verification.trusted &= container.passes();
        image.containers.push(shown(container));
    }
    let images: Vec<_> = images.into_values().collect();
    // Text and numbers under fixed names: there is nothing in it that JSON cannot say.
    escape::json(&serde_json::to_string(&images).unwrap_or_default()) + "\n"
}

fn shown(container: &Watched) -> Container<'_> {
    let (namespace, pod, name) = container.pod();
    let digest = container.manifest.or(container.config);
    Container {
        namespace,
        pod,
        container: name,
        container_id: format!("{}://{}", container.engine, container.id),
        image: container.image_name(),
        image_id: digest.map_or_else(String::new, |digest| digest.to_string()),
    }
}

fn verification(container: &Watched) -> Verification {
    let stated = container.statement.as_ref();
    let time = stated.map_or(0, |stated| stated.time);
    Verification {
        level: container.level,
        owner: stated.map_or_else(String::new, |stated| stated.organisation.clone()),
        status: container.status.code(),
        timestamp: if time > 0 {
            rfc3339(time)
        } else {
            String::new()
        },
        trusted: container.passes(),
    }
}

/// A script that notarizes each image that runs here and of which the ledger knows nothing.
#[must_use]
pub fn bulk_sign(sweep: Option<&Sweep>) -> String {
    let mut script = String::from(
        "#!/bin/sh\n# Notarizes what runs on this node and is not notarized. Read it before you run it:\n\
         # whatever is named here may then start wherever your word counts.\nset -e\n",
    );
    let mut done = std::collections::BTreeSet::new();
    if let Some(reason) = sweep.and_then(|sweep| sweep.undecided.as_ref()) {
        // What nobody can judge may have been withdrawn.
        let why = Escaped(&reason.detail);
        let _ = writeln!(script, "# Nothing can be judged now: {why}");
        return script;
    }
    for container in sweep.into_iter().flat_map(|sweep| &sweep.containers) {
        let Some(config) = container.config.filter(|config| done.insert(*config)) else {
            continue;
        };
        let (status, name) = (container.status, container.image_name());
        let said = Escaped(&name).to_string();
        let line = match (status, container.engine) {
            (Status::Trusted, _) => continue,
            // It is UNKNOWN because something else is wrong with it, and may not be what it is called.
            (Status::Unknown, _) if !has_no_word(container) => {
                let code = container.verdict.reason().code;
                format!("# {config} ({said}) is not notarized from here: {code}")
            }
            (Status::Unknown, engine @ ("docker" | "podman")) => {
                let name = quoted(&said);
                let hex = config.hex();
                format!("vcn-hook notarize --name {name} {engine}://{hex}")
            }
            (Status::Unknown, engine) => {
                format!(
                    "# {config} ({said}): notarize it where it was built; its engine is {engine}"
                )
            }
            (status, _) => format!("# {config} ({said}) is {}", status.as_str()),
        };
        // Writing into a String cannot fail.
        let _ = writeln!(script, "{line}");
    }
    script
}

/// Whether all that is missing is somebody's word, or it runs without one.
const fn has_no_word(container: &Watched) -> bool {
    container.passes() || container.verdict.reason().code.exit_code() == NO_WORD
}

/// One word for a shell, whatever is in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::{bulk_sign, json};
    use crate::verdict::{Reason, ReasonCode, Verdict};
    use crate::watch::samples;

    #[test]
    fn has_kube_notarys_keys_and_one_entry_for_each_image() {
        let picture = samples::hostile();
        let text = json(picture.sweep.as_deref());
        assert!(text.trim_end().chars().all(|c| !c.is_control()), "{text}");
        let value: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        let images = value.as_array().expect("it is a list");
        assert_eq!(images.len(), 3);
        let web = images
            .iter()
            .find(|i| i["hash"] == samples::digest(1).hex());
        let web = web.expect("it runs");
        assert_eq!(web["verification"]["status"], 0);
        assert_eq!(web["verification"]["owner"], "Acme");
        assert_eq!(web["verification"]["timestamp"], "2023-11-14T22:13:20Z");
        assert_eq!(
            web["containers"][0]["containerID"],
            format!("docker://{}", "a".repeat(64))
        );
        assert_eq!(
            web["containers"][0]["imageID"],
            samples::digest(1).to_string()
        );
        let evil = images.iter().find(|i| i["verification"]["status"] == 1);
        let evil = evil.expect("it runs");
        assert_eq!(evil["verification"]["trusted"], false);
        assert_eq!(evil["containers"][0]["container"], samples::EVIL);
        assert_eq!(evil["errors"].as_array().map(Vec::len), Some(1));
    }

    #[test]
    fn names_pods_as_kubernetes_names_its_containers() {
        let mut picture = samples::healthy();
        let sweep = picture.sweep.as_mut().map(std::sync::Arc::make_mut);
        let container = sweep.and_then(|sweep| sweep.containers.first_mut());
        container.expect("it runs").name = Some("k8s_web_web-1_shop_0-1-2_3".to_owned());
        let value: serde_json::Value =
            serde_json::from_str(&json(picture.sweep.as_deref())).expect("it is JSON");
        let found = &value[0]["containers"][0];
        assert_eq!(found["namespace"], "shop");
        assert_eq!(
            (&found["pod"], &found["container"]),
            (&"web-1".into(), &"web".into())
        );
    }

    #[test]
    fn the_script_notarizes_what_is_unknown_and_nothing_else() {
        let script = bulk_sign(samples::hostile().sweep.as_deref());
        let commands: Vec<_> = script
            .lines()
            .filter(|l| l.starts_with("vcn-hook"))
            .collect();
        assert_eq!(commands, [""; 0], "{script}");
        assert!(script.contains("is UNTRUSTED"), "{script}");
        let mut picture = samples::hostile();
        let sweep = picture.sweep.as_mut().map(std::sync::Arc::make_mut);
        let unknown = Reason::new(ReasonCode::Unknown, "d", "");
        for container in &mut sweep.expect("there is one").containers {
            container.status = crate::allowlist::record::Status::Unknown;
            container.verdict = Verdict::Deny(unknown.clone());
            container.image = Some("a'; rm -rf /\n#".to_owned());
        }
        let script = bulk_sign(picture.sweep.as_deref());
        let expected = format!(
            r"vcn-hook notarize --name 'a'\''; rm -rf /\n#' docker://{}",
            samples::digest(1).hex()
        );
        assert!(script.lines().any(|line| line == expected), "{script}");
    }

    #[test]
    fn the_script_notarizes_nothing_that_was_not_judged_or_whose_files_were_changed() {
        let commands = |change: &dyn Fn(&mut crate::watch::sweep::Sweep)| {
            let mut picture = samples::healthy();
            let sweep = picture.sweep.as_mut().map(std::sync::Arc::make_mut);
            let sweep = sweep.expect("there is one");
            for container in &mut sweep.containers {
                container.status = crate::allowlist::record::Status::Unknown;
            }
            change(sweep);
            let script = bulk_sign(picture.sweep.as_deref());
            let lines = script.lines();
            lines.filter(|line| line.starts_with("vcn-hook")).count()
        };
        assert_eq!(commands(&|_| {}), 1);
        let denied = |code| Verdict::Deny(Reason::new(code, "a\nvcn-hook x", ""));
        for (code, expected) in [
            (ReasonCode::Unknown, 1),
            (ReasonCode::LayerDiffers, 0),
            (ReasonCode::Stale, 0),
        ] {
            let found = commands(&|sweep| {
                for container in &mut sweep.containers {
                    container.verdict = denied(code);
                }
            });
            assert_eq!(found, expected, "{code}");
        }
        let stale = Reason::new(ReasonCode::Stale, "a\nvcn-hook x", "");
        assert_eq!(commands(&|sweep| sweep.undecided = Some(stale.clone())), 0);
    }
}
