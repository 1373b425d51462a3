//! What runs here and what is stored here, each image once.
//!
//! Owns how an image that several engines have becomes one line, which images are passed over, and
//! what is said of containers whose image cannot be told.

use std::collections::HashMap;

use super::glob;
use crate::cli::args;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::images::stored::{self, StoredImage};
use crate::cli::images::{self, Sources};
use crate::cli::view;
use crate::engine::running::{self, Container};
use crate::image::digest::{ChainId, Digest};
use crate::image::subjects::{ImageSubjects, SubjectOf};

/// What Podman calls the image of its pods' own containers, which it builds anew on every node.
const PAUSE: &str = "podman://localhost/podman-pause:";

/// One image.
#[derive(Debug)]
pub struct Candidate {
    /// What it is called, with its scheme; the id where it has no name.
    pub name: String,
    /// Everything that it is called.
    pub names: Vec<String>,
    /// Its digests, from its bytes; or why they cannot be told.
    pub image: Result<ImageSubjects, String>,
    /// The containers that run it.
    pub containers: Vec<String>,
    /// Why it is passed over, whatever the ledger says.
    pub passed: Option<&'static str>,
}

/// A container that no image can be notarized for.
#[derive(Debug)]
pub struct LeftOut {
    /// Its id.
    pub id: String,
    /// Its name, or else its id.
    pub name: String,
    /// What its user asked for.
    pub image: String,
    /// Why.
    pub why: String,
}

/// All that was found.
#[derive(Debug, Default)]
pub struct Listing {
    /// The images, in the order of their names.
    pub candidates: Vec<Candidate>,
    /// The containers of which no image can be told, or whose image is gone.
    pub left_out: Vec<LeftOut>,
    /// What could not be looked at.
    pub unread: Vec<String>,
    /// How many images --only and --except left out.
    pub unwanted: usize,
}

impl Candidate {
    /// Its configs, with the chain of each.
    pub fn configs(&self) -> impl Iterator<Item = (Digest, Option<ChainId>)> {
        let subjects = self.image.as_ref().map(|image| image.subjects.as_slice());
        let configs = subjects.unwrap_or_default().iter();
        configs.filter_map(|subject| match subject.of {
            SubjectOf::Config { chain } => Some((subject.digest, chain)),
            SubjectOf::Index | SubjectOf::Manifest { .. } | SubjectOf::File => None,
        })
    }

    fn is_like(&self, patterns: &[String]) -> bool {
        let mut ids = self.configs().map(|(id, _)| id);
        let like = |text: &str| glob::any_like(patterns, text);
        self.names.iter().any(|name| like(name))
            || ids.any(|id| like(&id.to_string()) || like(&id.hex()))
    }
}

/// Looks at the engines.
///
/// # Errors
/// `configuration`.
pub fn of_machine(context: &Context, args: &args::Baseline) -> Result<Listing, Failure> {
    let mut listing = view::with_sources(context, of_stores)?;
    let stored_only = args.stored && !args.running;
    if !stored_only {
        let config = context.config()?;
        let running = running::list(&view::engines(&config), context.now);
        let unread = running
            .unread
            .iter()
            .map(|undecided| undecided.0.to_string());
        listing.unread.extend(unread);
        listing.attach(running.containers);
    }
    if args.running && !args.stored {
        listing
            .candidates
            .retain(|image| !image.containers.is_empty());
    }
    for image in &mut listing.candidates {
        // What a build left behind is nobody's to review, unless it runs.
        if image.passed.is_none() && image.names.is_empty() && image.containers.is_empty() {
            image.passed = Some("it has no name, and nothing runs it");
        }
    }
    let before = listing.candidates.len();
    listing.candidates.retain(|image| {
        (args.only.is_empty() || image.is_like(&args.only)) && !image.is_like(&args.except)
    });
    listing.unwanted = before - listing.candidates.len();
    Ok(listing)
}

fn of_stores(sources: &Sources<'_>) -> Listing {
    let found = stored::list(sources);
    let mut candidates: Vec<_> = found
        .images
        .iter()
        .map(|image| candidate(image, sources))
        .collect();
    // Of one image in several stores, the one of which most is known stands for all.
    candidates.sort_by_key(|image| {
        let subjects = image.image.as_ref().map_or(0, |image| image.subjects.len());
        (std::cmp::Reverse(subjects), image.name.clone())
    });
    let mut places: HashMap<Digest, usize> = HashMap::new();
    let mut merged: Vec<Candidate> = Vec::new();
    for candidate in candidates {
        let configs: Vec<_> = candidate.configs().map(|(config, _)| config).collect();
        let known: Vec<_> = configs.iter().map(|config| places.get(config)).collect();
        let place = match known.as_slice() {
            [Some(first), rest @ ..] if rest.iter().all(|place| *place == Some(*first)) => {
                Some(**first)
            }
            _ => None,
        };
        match place.and_then(|place| merged.get_mut(place)) {
            Some(other) => other.names.extend(candidate.names),
            None => {
                places.extend(configs.into_iter().map(|config| (config, merged.len())));
                merged.push(candidate);
            }
        }
    }
    merged.sort_by(|one, other| one.name.cmp(&other.name));
    Listing {
        candidates: merged,
        unread: found.unread,
        ..Listing::default()
    }
}

fn candidate(stored: &StoredImage, sources: &Sources<'_>) -> Candidate {
    let reference = stored.reference();
    let named = |name: &String| format!("{}://{name}", stored.scheme);
    let names: Vec<String> = stored.names.iter().map(named).collect();
    let name = names.first().cloned().unwrap_or_else(|| reference.clone());
    let resolved = images::resolve(&reference, sources).map(|image| ImageSubjects {
        name: name.clone(),
        ..image
    });
    Candidate {
        passed: name
            .starts_with(PAUSE)
            .then_some("a pod's own image needs no word"),
        name,
        names,
        image: resolved.map_err(|failure| failure.to_string()),
        containers: Vec::new(),
    }
}

impl Listing {
    /// Puts each running container to its image.
    fn attach(&mut self, containers: Vec<Container>) {
        let mut places = HashMap::new();
        for (place, image) in self.candidates.iter().enumerate() {
            for (config, _) in image.configs() {
                places.entry(config).or_insert(place);
            }
        }
        for container in containers {
            let name = container
                .name
                .clone()
                .unwrap_or_else(|| container.id.clone());
            let why = match &container.image {
                Ok(image) if image.pause => continue,
                Ok(image) if image.identity.is_unbound() => {
                    "nothing but [[bundle]] of config.toml says which image its files are"
                        .to_owned()
                }
                Ok(image) => {
                    let config = image.identity.config;
                    let place = places.get(&config).copied();
                    if let Some(image) = place.and_then(|place| self.candidates.get_mut(place)) {
                        image.containers.push(name);
                        continue;
                    }
                    format!(
                        "its image {config} is no longer stored here: pull it again, or notarize it \
                         where it was built"
                    )
                }
                Err(undecided) => undecided.0.to_string(),
            };
            self.left_out.push(LeftOut {
                id: container.id,
                name,
                image: container.image_name.unwrap_or_default(),
                why,
            });
        }
    }
}
