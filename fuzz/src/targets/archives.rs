//! What `docker save` writes.

use vcn_hook::cli::images::archive::Archive;
use vcn_hook::image::subjects::SubjectOf;

use super::{MEMORY, Target};

const BLOCK: usize = 512;

pub const ARCHIVE: Target = Target {
    words: &[
        "manifest.json\0",
        "index.json\0",
        "blobs/sha256/",
        "ustar\0",
        "././@LongLink\0",
        "\"Config\":",
        "\"RepoTags\":",
        "\"Layers\":[",
        "layer.tar\0",
        "[{",
        "0000644\0",
        "00000000000\0",
        "77777777777\0",
        "path=",
        "size=",
    ],
    repair: Some(checksums_again),
    longest: 32 << 10,
    memory: 4 * MEMORY,
    ..Target::new("archive", "archives of 'docker save'", archive)
};

fn archive(bytes: &[u8]) -> bool {
    let Ok(archive) = Archive::read(bytes, None, &|_, _| {}) else {
        return false;
    };
    let Ok(image) = archive.image() else {
        return false;
    };
    let configs = image
        .subjects
        .iter()
        .filter(|subject| matches!(subject.of, SubjectOf::Config { .. }));
    assert!(configs.count() > 0, "an image without a config");
    true
}

/// Puts the checksum of each header right (POSIX ustar: the sum of its bytes, the field itself as spaces).
pub(super) fn checksums_again(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = bytes.to_vec();
    let mut at = 0;
    while let Some(header) = bytes.get_mut(at..at + BLOCK) {
        if header.iter().all(|byte| *byte == 0) {
            at += BLOCK;
            continue;
        }
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let digits = String::from_utf8_lossy(&header[124..135]).into_owned();
        let size = usize::from_str_radix(digits.trim_matches(['\0', ' ']), 8).unwrap_or(0);
        at = at
            .checked_add(BLOCK)?
            .checked_add(size.checked_next_multiple_of(BLOCK)?)?;
        if at >= bytes.len() {
            break;
        }
    }
    Some(bytes)
}
