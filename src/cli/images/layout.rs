//! An OCI image layout on disk (image-spec, `image-layout.md`).

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use oci_spec::image::{Descriptor, ImageIndex};

use super::base;
use crate::engine::containerd::ContentStore;
use crate::image::subjects::{ImageSubjects, MAX_MANIFEST, descriptor_digest, walk};
use crate::sys::file::read_capped;

/// What a tag is called in a layout's index (image-spec, `annotations.md`).
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The image with this tag, or the only one.
pub(super) fn resolve(directory: &Path, tag: Option<&str>) -> anyhow::Result<ImageSubjects> {
    let bytes = read_capped(&directory.join("index.json"), MAX_MANIFEST)
        .context("cannot read index.json, so it is no image layout")?;
    let index: ImageIndex = serde_json::from_slice(&bytes).context("cannot parse index.json")?;
    let wanted: Vec<_> = index
        .manifests()
        .iter()
        .filter(|descriptor| tag.is_none() || ref_name(descriptor) == tag)
        .collect();
    let digests = wanted
        .iter()
        .map(|descriptor| descriptor_digest::<std::io::Error>(descriptor))
        .collect::<Result<BTreeSet<_>, _>>()?;
    let Some(digest) = digests.first() else {
        bail!("it has no such image; it has {:?}", names(&index));
    };
    ensure!(
        digests.len() == 1,
        "it has more than one such image, write oci:DIR:TAG; it has {:?}",
        names(&index)
    );
    let found = walk(&ContentStore::new(directory), digest)?;
    let suffix = tag.map(|tag| format!(":{tag}")).unwrap_or_default();
    Ok(ImageSubjects {
        kind: "oci",
        name: format!("oci:{}{suffix}", base(directory)),
        size: found.size,
        subjects: found.subjects,
    })
}

fn names(index: &ImageIndex) -> Vec<&str> {
    let names = index.manifests().iter().filter_map(ref_name);
    names.collect()
}

fn ref_name(descriptor: &Descriptor) -> Option<&str> {
    let annotations = descriptor.annotations().as_ref()?;
    annotations.get(REF_NAME).map(String::as_str)
}
