//! An image that Podman has: in one of the machine's graph roots, or in a user's own.
//!
//! Owns which roots are looked in, and that what they have under one name is one image.

use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};

use super::Sources;
use crate::engine::storage_images::{self, StoredImage};
use crate::image::reference::{ImageName, Name};
use crate::image::subjects::ImageSubjects;

/// Looks in every graph root that may be read.
pub(super) fn resolve(name: &ImageName, sources: &Sources<'_>) -> anyhow::Result<ImageSubjects> {
    let mut found: Option<(&Path, StoredImage)> = None;
    let mut closed = Vec::new();
    for root in sources.storage_roots {
        let image = match storage_images::find(root, name) {
            Ok(Some(image)) => image,
            Ok(None) => continue,
            Err(error) if error.is_permission() => {
                closed.push(root);
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if let Some((other, known)) = &found {
            ensure!(
                known.id == image.id,
                "podman://{name} is {} in {} and {} in {}; give its ID",
                known.id,
                other.display(),
                image.id,
                root.display()
            );
        }
        found.get_or_insert((root, image));
    }
    let Some((_, image)) = found else {
        if !closed.is_empty() {
            bail!(
                "no such image where you may look; {} can be read by root alone",
                places(&closed)
            );
        }
        let all: Vec<_> = sources.storage_roots.iter().collect();
        bail!(
            "no such image in {}; is its graph root in [engines] storage_roots?",
            places(&all)
        );
    };
    let (subjects, size) = image.subjects()?;
    Ok(ImageSubjects {
        kind: "podman",
        name: shown(name, &image.names),
        size,
        subjects,
    })
}

/// What people call it: the name they typed, or for an ID its first one.
fn shown(name: &ImageName, names: &[String]) -> String {
    let first = names.iter().filter_map(|name| name.parse::<Name>().ok());
    match (name, first.map(|name| name.familiar()).next()) {
        (ImageName::Name { prefix: None, .. }, _) | (_, None) => format!("podman://{name}"),
        // A short ID looks like a name; it was one only if the image ends in that name.
        (ImageName::Name { name, .. }, Some(first)) => {
            let its = |stored: &String| {
                stored
                    .rsplit_once('/')
                    .is_some_and(|(_, end)| end == name.familiar())
            };
            match names.iter().any(its) {
                true => format!("podman://{}", name.familiar()),
                false => format!("podman://{first}"),
            }
        }
        (ImageName::Id(_), Some(first)) => format!("podman://{first}"),
    }
}

fn places(roots: &[&PathBuf]) -> String {
    let shown: Vec<_> = roots
        .iter()
        .map(|root| root.display().to_string())
        .collect();
    shown.join(", ")
}
