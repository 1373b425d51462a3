//! `verify --deep`: what on this machine is read for what was asked, and how the outcome is shown.
//!
//! Owns how a finding on disk changes an answer of the ledger's: it can make it worse, and never better.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::context::{Context, is_root};
use super::escape::Escaped;
use super::failure::{Failure, undecided};
use super::verification::Verification;
use super::{args, view};
use crate::allowlist::record::Status;
use crate::deep::{Check, Checked, Differences, Memory, Outcome, check_layers};
use crate::engine::Engines;
use crate::engine::running;
use crate::engine::unpacked::{self, Container, Image, Layer, Store};
use crate::image::subjects::{ImageSubjects, Subject, SubjectOf};
use crate::verdict::{Reason, ReasonCode, Undecided};

/// The differences of one layer that people are shown.
const SHOWN: usize = 10;

/// What was found of one image or container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deep {
    /// Each layer, bottom first; an image that is unpacked in two places has them twice.
    pub layers: Vec<(Layer, Checked)>,
}

/// What is to be compared: the image that it is said to be, and where its layers are.
#[derive(Debug)]
pub struct Asked {
    /// For the ledger.
    pub image: ImageSubjects,
    layers: Result<Vec<Layer>, Undecided>,
}

/// Says whether this user may read what is to be read.
///
/// # Errors
/// Wrong usage.
pub fn permitted() -> Result<(), Failure> {
    if is_root() {
        return Ok(());
    }
    Err(Failure::usage(
        "--deep reads every file of every layer: run it as root, for a Podman of your own in 'podman unshare'",
    ))
}

/// Finds out what `text` means: an image with its scheme, or else a container.
///
/// # Errors
/// Wrong usage; otherwise what could not be found or read.
pub fn resolve(context: &Context, text: &str) -> Result<Asked, Failure> {
    let config = context.config()?;
    let engines = Engines {
        docker_roots: config.engines.docker_roots,
        containerd_roots: config.engines.containerd_roots,
        storage_roots: config.engines.storage_roots,
        bundles: Vec::new(),
    };
    let store = match text.split_once("://") {
        Some(("docker", _)) => Store::Docker,
        Some(("podman", _)) => Store::Podman,
        Some(("container", name)) => return container(&engines, name, context.now),
        None if !text.contains([':', '/']) => return container(&engines, text, context.now),
        Some(_) | None => {
            let text = format!(
                "--deep compares an engine's layers, and {text:?} is none: give docker://REF, podman://REF \
                 or a container"
            );
            return Err(Failure::usage(text));
        }
    };
    let image = view::resolve(context, text)?;
    let layers = layers_of(&engines, store, &image);
    Ok(Asked { image, layers })
}

/// The layers of every image that it stands for, as far as they are unpacked.
fn layers_of(
    engines: &Engines,
    store: Store,
    image: &ImageSubjects,
) -> Result<Vec<Layer>, Undecided> {
    let mut layers = Vec::new();
    let mut nowhere = None;
    for subject in &image.subjects {
        let SubjectOf::Config { chain: Some(chain) } = subject.of else {
            continue;
        };
        let names_it = |other: &&Subject| match other.of {
            SubjectOf::Manifest { config } => config == subject.digest,
            _ => false,
        };
        let wanted = Image {
            config: subject.digest,
            chain,
            manifest: image.subjects.iter().find(names_it).map(|s| s.digest),
        };
        match unpacked::image(engines, store, &wanted) {
            Ok(stacks) => layers.extend(stacks.into_iter().flatten()),
            // Of an image for several platforms, only this machine's is unpacked.
            Err(undecided) if undecided.0.code == ReasonCode::NoIdentity => {
                nowhere = Some(undecided);
            }
            Err(undecided) => return Err(undecided),
        }
    }
    match nowhere {
        Some(undecided) if layers.is_empty() => Err(undecided),
        _ => Ok(layers),
    }
}

fn container(engines: &Engines, text: &str, now: u64) -> Result<Asked, Failure> {
    let (found, unread) = unpacked::containers(engines, text);
    let code = ReasonCode::NoIdentity.exit_code();
    let container = match found.as_slice() {
        [one] => one,
        [] => {
            let why = unread.first().map_or_else(
                || "an image is written docker://NAME or podman://NAME".to_owned(),
                ToString::to_string,
            );
            let text = format!("no container of Docker's or Podman's is called so: {why}");
            return Err(Failure::new(code, text));
        }
        several => {
            let ids: Vec<_> = several.iter().map(|one| one.id.as_str()).collect();
            let text = format!("it may be any of {}; give its id", ids.join(", "));
            return Err(Failure::new(code, text));
        }
    };
    let (image, layers) = container
        .unpacked(engines)
        .map_err(|reason| undecided(&reason))?;
    Ok(Asked {
        layers: mounted(engines, container, layers, now),
        image: ImageSubjects {
            kind: container.kind,
            name: format!("{}://{}", container.kind, image.config),
            size: 0,
            subjects: vec![Subject {
                name: container.image_name.clone().unwrap_or_default(),
                digest: image.config,
                of: SubjectOf::Config {
                    chain: Some(image.chain),
                },
            }],
        },
    })
}

/// The layers, unless the container runs and has others mounted.
fn mounted(
    engines: &Engines,
    container: &Container,
    layers: Vec<Layer>,
    now: u64,
) -> Result<Vec<Layer>, Undecided> {
    let running = running::list(engines, now).containers.into_iter();
    let mut same = running.filter(|running| running.id == container.id);
    match same.next().map(|running| running.image) {
        Some(Err(undecided)) => Err(undecided),
        Some(Ok(_)) | None => Ok(layers),
    }
}

/// Reads all that was asked about, and puts what is found into the answer.
///
/// # Errors
/// When there is no configuration, or it was given up.
pub fn check(
    context: &Context,
    asked: Asked,
    answer: Verification,
    args: args::Deep,
) -> Result<Verification, Failure> {
    let layers = match asked.layers {
        Ok(layers) => layers,
        Err(undecided) => return Ok(undecidable(answer, undecided.0)),
    };
    let path = context.config()?.state_dir.join("deep.json");
    let mut memory = Memory::open(&path);
    let checked = look(context, &layers, &memory, args)?;
    for (layer, checked) in layers.iter().zip(&checked) {
        match (&checked.fingerprint, &checked.outcome) {
            (Some(fingerprint), _) => memory.remember(layer, fingerprint),
            (None, Outcome::Intact) => {}
            (None, _) => memory.forget(layer),
        }
    }
    // What cannot be remembered is read again the next time.
    let _ = memory.save(&path);
    let layers = layers.into_iter().zip(checked).collect();
    Ok(Deep { layers }.into_answer(answer))
}

fn look(
    context: &Context,
    layers: &[Layer],
    memory: &Memory,
    args: args::Deep,
) -> Result<Vec<Checked>, Failure> {
    let all: u64 = layers.iter().map(|layer| layer.size).sum();
    let shown = context.out.progress();
    let read = AtomicU64::new(0);
    let progress = |bytes: u64| {
        let before = read.fetch_add(bytes, Ordering::Relaxed);
        shown.bytes(before.saturating_add(bytes), Some(all));
        std::ops::ControlFlow::Continue(())
    };
    let check = Check {
        memory: (!args.again).then_some(memory),
        now: context.now,
        progress: &progress,
    };
    check_layers(layers, check).map_err(|_| Failure::new(1, "given up"))
}

impl Deep {
    fn into_answer(self, mut answer: Verification) -> Verification {
        let outcomes = self.layers.iter();
        let differing = outcomes
            .clone()
            .find_map(|(layer, checked)| match &checked.outcome {
                Outcome::Differs(differences) => Some((layer, differences)),
                Outcome::Intact | Outcome::Undecidable(_) => None,
            });
        let unread = outcomes
            .clone()
            .find_map(|(layer, checked)| match &checked.outcome {
                Outcome::Undecidable(why) => Some((layer, why)),
                Outcome::Intact | Outcome::Differs(_) => None,
            });
        if let Some((layer, differences)) = differing {
            answer.undecided = false;
            answer.status = of_changed(answer.status);
            answer.reason = Reason::new(
                ReasonCode::LayerDiffers,
                format!(
                    "layer {} in '{}' is not what was unpacked: {}",
                    layer.diff_id,
                    layer.directory.display(),
                    summary(differences)
                ),
                "find out who changed it; remove the image, and pull it again",
            );
        } else if let Some((layer, why)) = unread {
            let detail = format!(
                "layer {} in '{}' cannot be compared: {why}",
                layer.diff_id,
                layer.directory.display()
            );
            answer = undecidable(answer, Reason::new(ReasonCode::Unreadable, detail, ""));
        }
        answer.deep = Some(self);
        answer
    }

    /// The lines below an answer.
    #[must_use]
    pub fn text(&self) -> String {
        let count = |is: fn(&Checked) -> bool| {
            let layers = self.layers.iter();
            layers.filter(|(_, checked)| is(checked)).count()
        };
        let mut parts = Vec::new();
        for (number, what) in [
            (
                count(|c| c.outcome == Outcome::Intact && !c.remembered),
                "intact",
            ),
            (count(|c| c.remembered), "unchanged since found intact"),
            (
                count(|c| matches!(c.outcome, Outcome::Differs(_))),
                "not what was unpacked",
            ),
            (
                count(|c| matches!(c.outcome, Outcome::Undecidable(_))),
                "not to be compared",
            ),
        ] {
            if number > 0 {
                parts.push(format!("{number} {what}"));
            }
        }
        let mut text = format!("{:9}{}\n", "Layers:", parts.join(", "));
        for (layer, checked) in &self.layers {
            let lines = match &checked.outcome {
                Outcome::Intact => continue,
                Outcome::Undecidable(why) => vec![why.clone()],
                Outcome::Differs(differences) => lines(differences),
            };
            let directory = layer.directory.display().to_string();
            text.push_str(&format!("{} in {}\n", layer.diff_id, Escaped(&directory)));
            for line in lines {
                text.push_str(&format!("  {}\n", Escaped(&line)));
            }
        }
        text
    }

    /// For scripts.
    #[must_use]
    pub fn json(&self) -> Value {
        let layers = self.layers.iter().map(|(layer, checked)| {
            let (result, why, differences) = match &checked.outcome {
                Outcome::Intact => ("intact", None, None),
                Outcome::Undecidable(why) => ("undecidable", Some(why), None),
                Outcome::Differs(differences) => ("differs", None, Some(differences)),
            };
            let listed = differences.into_iter().flat_map(|all| &all.first);
            let listed: Vec<_> = listed
                .map(|found| {
                    json!({
                        "path": found.path, "what": found.what.as_str(),
                        "expected": found.expected, "found": found.found,
                    })
                })
                .collect();
            json!({
                "diffId": layer.diff_id,
                "directory": layer.directory.to_string_lossy(),
                "result": result,
                "remembered": checked.remembered,
                "why": why,
                "differences": listed,
                "count": differences.map_or(0, |all| all.count),
            })
        });
        json!({ "layers": layers.collect::<Vec<_>>() })
    }
}

/// The ledger's word is about another content; a negative one is kept, as nobody takes that for a good answer.
const fn of_changed(status: Status) -> Status {
    match status {
        Status::Trusted | Status::Unknown => Status::Unknown,
        negative => negative,
    }
}

fn undecidable(mut answer: Verification, reason: Reason) -> Verification {
    if !answer.undecided {
        answer.undecided = true;
        answer.status = of_changed(answer.status);
        answer.reason = reason;
    }
    answer
}

/// `/bin/sh (content), /x (added) and 3 more`.
fn summary(differences: &Differences) -> String {
    const NAMED: usize = 3;
    let first = differences.first.iter().take(NAMED);
    let named: Vec<_> = first
        .map(|found| format!("{} ({})", found.path, found.what.as_str()))
        .collect();
    match differences.count.saturating_sub(named.len()) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

fn lines(differences: &Differences) -> Vec<String> {
    let first = differences.first.iter().take(SHOWN);
    let mut lines: Vec<_> = first
        .map(|found| {
            let what = format!("{}: {}", found.path, found.what.as_str());
            match (found.expected.as_str(), found.found.as_str()) {
                ("", "") => what,
                (expected, "") => format!("{what}, was {expected}"),
                ("", found) => format!("{what}, {found}"),
                (expected, found) => format!("{what}, was {expected}, is {found}"),
            }
        })
        .collect();
    let more = differences.count.saturating_sub(lines.len());
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines
}
