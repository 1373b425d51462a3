//! An image that Docker has: in its own store, in containerd's, or through its API.
//!
//! Owns the choice between them. A machine may have both stores, when Docker was
//! switched from one to the other, and nothing on disk says which one is in
//! use; so where both know a name, they must mean the same image.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

use super::{Sources, daemon};
use crate::engine::containerd::{DOCKER_NAMESPACE, Image, Root};
use crate::engine::docker_images;
use crate::image::digest::Digest;
use crate::image::reference::{ImageName, Name};
use crate::image::subjects::{ImageSubjects, SubjectOf, SubjectsError, walk};

/// Where Docker's own containerd keeps its root, below Docker's data root.
pub(super) const OWN_CONTAINERD: &str = "containerd/daemon";

/// What one store knows of a name.
struct Stored {
    place: PathBuf,
    image: ImageSubjects,
}

/// Looks in every store; asks the API where files may not be read or do not know the name.
pub(super) fn resolve(name: &ImageName, sources: &Sources<'_>) -> anyhow::Result<ImageSubjects> {
    let files = from_files(name, sources)?;
    if let Some(files) = files
        && let Some(image) = agreed(name, files)?
    {
        return Ok(image);
    }
    if !sources.docker_socket.exists() {
        bail!(
            "no such image in {}, and there is no {} to ask; is its data root in [engines] docker_roots?",
            places(sources),
            sources.docker_socket.display()
        );
    }
    daemon::resolve(name, sources).context("Docker's files do not tell, so its API was asked")
}

/// Every store that knows the name; `None` when one of them may not be read.
fn from_files(name: &ImageName, sources: &Sources<'_>) -> anyhow::Result<Option<Vec<Stored>>> {
    let mut stored = Vec::new();
    for root in sources.docker_roots {
        match docker_images::find(root, name) {
            Ok(images) => stored.extend(images.into_iter().map(|image| Stored {
                place: root.clone(),
                image: ImageSubjects {
                    kind: "docker",
                    name: shown(name, &image.tags),
                    size: image.size,
                    subjects: vec![image.config.subject()],
                },
            })),
            Err(error) if error.is_permission() => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
    let own = sources.docker_roots.iter().map(|r| r.join(OWN_CONTAINERD));
    for path in own.chain(sources.containerd_roots.iter().cloned()) {
        let root = Root::new(&path);
        match in_containerd(&root, name) {
            Ok(Some(image)) => stored.push(Stored { place: path, image }),
            Ok(None) => {}
            Err(Lookup::Permission) => return Ok(None),
            Err(Lookup::Failed(error)) => return Err(error),
        }
    }
    Ok(Some(stored))
}

enum Lookup {
    Permission,
    Failed(anyhow::Error),
}

impl From<crate::engine::containerd::ContainerdError> for Lookup {
    fn from(error: crate::engine::containerd::ContainerdError) -> Self {
        if error.is_permission() {
            return Self::Permission;
        }
        Self::Failed(error.into())
    }
}

fn in_containerd(root: &Root, name: &ImageName) -> Result<Option<ImageSubjects>, Lookup> {
    let images = match name {
        ImageName::Id(id) => root.images_by_target(DOCKER_NAMESPACE, &id.hex())?,
        ImageName::Name { name, prefix } => {
            match (root.image(DOCKER_NAMESPACE, &name.full())?, prefix) {
                (Some(image), _) => vec![image],
                (None, Some(prefix)) => root.images_by_target(DOCKER_NAMESPACE, prefix)?,
                (None, None) => Vec::new(),
            }
        }
    };
    let Some(target) = one_target(&images).map_err(Lookup::Failed)? else {
        return Ok(None);
    };
    let found = walk(&root.content(), &target).map_err(|error| match error {
        SubjectsError::Read(_, error) if error.kind() == ErrorKind::PermissionDenied => {
            Lookup::Permission
        }
        other => Lookup::Failed(other.into()),
    })?;
    let tags: Vec<_> = images.iter().filter_map(familiar_tag).collect();
    Ok(Some(ImageSubjects {
        kind: "docker",
        name: shown(name, &tags),
        size: found.size,
        subjects: found.subjects,
    }))
}

fn one_target(images: &[Image]) -> anyhow::Result<Option<Digest>> {
    let targets: BTreeSet<_> = images.iter().map(|image| image.target).collect();
    ensure!(
        targets.len() <= 1,
        "more than one image ID starts like this; give more digits"
    );
    Ok(targets.first().copied())
}

/// Docker's name for it, unless it is one that Docker makes up for images without a name.
fn familiar_tag(image: &Image) -> Option<String> {
    if image.name.contains('@') {
        return None;
    }
    let name: Name = image.name.parse().ok()?;
    Some(name.familiar())
}

/// What people call it: the name they typed, or for an ID its first tag.
pub(super) fn shown(name: &ImageName, tags: &[String]) -> String {
    match (name, tags.first()) {
        (ImageName::Name { prefix: None, .. }, _) | (_, None) => format!("docker://{name}"),
        // A short ID looks like a name; it was one only if the image has that name.
        (ImageName::Name { name, .. }, Some(_)) if tags.contains(&name.familiar()) => {
            format!("docker://{}", name.familiar())
        }
        (_, Some(tag)) => format!("docker://{tag}"),
    }
}

/// The image, if the stores that know the name mean the same one.
fn agreed(name: &ImageName, mut stored: Vec<Stored>) -> anyhow::Result<Option<ImageSubjects>> {
    // The one that knows more of it comes last.
    stored.sort_by_key(|stored| stored.image.subjects.len());
    let Some(last) = stored.pop() else {
        return Ok(None);
    };
    let known = configs(&last.image);
    for other in stored {
        let differs = configs(&other.image);
        ensure!(
            differs.is_subset(&known),
            "docker://{name} is one image in {} ({known:?}) and another in {} ({differs:?}); give its ID",
            last.place.display(),
            other.place.display()
        );
    }
    Ok(Some(last.image))
}

fn configs(image: &ImageSubjects) -> BTreeSet<Digest> {
    let configs = image.subjects.iter().filter(|subject| match subject.of {
        SubjectOf::Config { .. } => true,
        SubjectOf::Index | SubjectOf::Manifest { .. } | SubjectOf::File => false,
    });
    configs.map(|subject| subject.digest).collect()
}

fn places(sources: &Sources<'_>) -> String {
    let show = |path: &PathBuf| Path::display(path).to_string();
    let all = sources.docker_roots.iter().chain(sources.containerd_roots);
    all.map(show).collect::<Vec<_>>().join(", ")
}
