//! The images of a self-test: a program that ends at once, and nothing else.
//!
//! Owns their bytes. The one that is to be TRUSTED is the same everywhere, byte for byte, so that one
//! statement in the ledger is enough for every machine that follows it; the other has random bytes in
//! it, so that nobody can have notarized it. Refuses to be an exception: no gate knows these digests.

use std::io;

use serde_json::json;
use tar::{Builder, EntryType, Header};

use crate::image::digest::{ChainId, Digest};
use crate::image::subjects::{ImageSubjects, Subject, SubjectOf};

/// What the ledger calls the canary that must start.
pub const NAME: &str = "vcn-hook://canary";

/// What engines call both, before the tag. No registry can have this name.
const REPOSITORY: &str = "localhost/vcn-hook/canary";

/// The program, in the image.
const PROGRAM: &str = "canary";

/// When the images say they were made: a moment must not change their digests.
const CREATED: &str = "2026-01-01T00:00:00Z";

/// A machine that the program is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// `x86_64`.
    Amd64,
    /// `aarch64`.
    Arm64,
}

/// One image, as engines load it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canary {
    /// Its name in the engine.
    pub tag: String,
    /// The digest of its config.
    pub config: Digest,
    /// The chain of its one layer.
    pub chain: ChainId,
    /// What `docker load` reads.
    pub archive: Vec<u8>,
}

impl Architecture {
    /// All that there is a canary for.
    pub const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// This machine's.
    #[must_use]
    pub fn of_machine() -> Option<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Some(Self::Amd64),
            "aarch64" => Some(Self::Arm64),
            _ => None,
        }
    }

    /// As an image's config names it.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// `e_machine` (ELF gABI).
    const fn machine(self) -> u16 {
        match self {
            Self::Amd64 => 62,
            Self::Arm64 => 183,
        }
    }

    /// `exit_group(0)`.
    const fn code(self) -> &'static [u8] {
        match self {
            // mov eax, 231; xor edi, edi; syscall
            Self::Amd64 => &[0xb8, 0xe7, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05],
            // mov x0, #0; mov x8, #94; svc #0
            Self::Arm64 => &[
                0x00, 0x00, 0x80, 0xd2, 0xc8, 0x0b, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4,
            ],
        }
    }

    /// A static executable of one segment (ELF gABI, chapters 4 and 5).
    fn program(self) -> Vec<u8> {
        const HEADERS: u64 = 64 + 56;
        const BASE: u64 = 0x40_0000;
        let size = HEADERS + self.code().len() as u64;
        let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        // ET_EXEC, e_machine, e_version; e_entry, e_phoff, e_shoff; e_flags.
        elf.extend(2_u16.to_le_bytes());
        elf.extend(self.machine().to_le_bytes());
        elf.extend(1_u32.to_le_bytes());
        elf.extend([BASE + HEADERS, 64, 0].map(u64::to_le_bytes).concat());
        elf.extend(0_u32.to_le_bytes());
        // e_ehsize, e_phentsize, e_phnum, e_shentsize, e_shnum, e_shstrndx.
        elf.extend([64, 56, 1, 0, 0, 0_u16].map(u16::to_le_bytes).concat());
        // PT_LOAD, PF_R | PF_X; p_offset, p_vaddr, p_paddr, p_filesz, p_memsz, p_align.
        elf.extend([1, 5_u32].map(u32::to_le_bytes).concat());
        elf.extend(
            [0, BASE, BASE, size, size, 0x1000]
                .map(u64::to_le_bytes)
                .concat(),
        );
        elf.extend(self.code());
        elf
    }
}

/// The canary that must start once it is notarized.
///
/// # Errors
/// None that a vector gives.
pub fn known(architecture: Architecture) -> io::Result<Canary> {
    build(architecture, "known", &[])
}

/// A canary that nobody can have notarized.
///
/// # Errors
/// As [`known`].
pub fn unknown(architecture: Architecture, random: &[u8; 32]) -> io::Result<Canary> {
    let digest = Digest::of(random).hex();
    let tag: String = digest.chars().take(16).collect();
    build(architecture, &tag, random)
}

/// What is notarized: the canary of every architecture.
///
/// # Errors
/// As [`known`].
pub fn subjects() -> io::Result<ImageSubjects> {
    let mut subjects = Vec::new();
    let mut size = 0;
    for architecture in Architecture::ALL {
        let canary = known(architecture)?;
        size += architecture.program().len() as u64;
        subjects.push(Subject {
            name: format!("linux/{}", architecture.as_str()),
            digest: canary.config,
            of: SubjectOf::Config {
                chain: Some(canary.chain),
            },
        });
    }
    Ok(ImageSubjects {
        kind: "canary",
        name: NAME.to_owned(),
        size,
        subjects,
    })
}

fn build(architecture: Architecture, tag: &str, random: &[u8]) -> io::Result<Canary> {
    let mut layer = Builder::new(Vec::new());
    append(&mut layer, PROGRAM, 0o755, &architecture.program())?;
    if !random.is_empty() {
        append(&mut layer, "random", 0o644, random)?;
    }
    let layer = layer.into_inner()?;
    let diff = Digest::of(&layer);
    let text = format!(
        concat!(
            r#"{{"architecture":"{architecture}","config":{{"Entrypoint":["/{program}"]}},"#,
            r#""created":"{created}","history":[{{"created":"{created}","#,
            r#""created_by":"vcn-hook self-test"}}],"os":"linux","#,
            r#""rootfs":{{"diff_ids":["{diff}"],"type":"layers"}}}}"#
        ),
        architecture = architecture.as_str(),
        program = PROGRAM,
        created = CREATED,
        diff = diff,
    );
    let config = Digest::of(text.as_bytes());
    let chain = ChainId::of_layers(&[diff]);
    let chain = chain.ok_or_else(|| io::Error::other("an image has a layer"))?;
    let tag = format!("{REPOSITORY}:{tag}");
    let names = [format!("{}.json", config.hex()), "layer.tar".to_owned()];
    let [config_name, layer_name] = &names;
    let manifest = json!([{ "Config": config_name, "RepoTags": [tag], "Layers": [layer_name] }]);
    let mut archive = Builder::new(Vec::new());
    append(&mut archive, layer_name, 0o644, &layer)?;
    append(&mut archive, config_name, 0o644, text.as_bytes())?;
    append(
        &mut archive,
        "manifest.json",
        0o644,
        manifest.to_string().as_bytes(),
    )?;
    Ok(Canary {
        tag,
        config,
        chain,
        archive: archive.into_inner()?,
    })
}

fn append(tar: &mut Builder<Vec<u8>>, name: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(mode);
    header.set_size(bytes.len() as u64);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    tar.append_data(&mut header, name, bytes)
}

#[cfg(test)]
mod tests {
    use super::{Architecture, known, subjects, unknown};
    use crate::image::subjects::SubjectOf;

    /// Whoever changes these has every fleet notarize its canary again.
    const DIGESTS: [&str; 2] = [
        "sha256:ae437b0f56e9d1f6e5b260033fd6c7f97fbc0df24291cfd68c7a1c125151e488",
        "sha256:096e330bf0c580d53ff7d72d31aaebd5f6a35d5b4efe2b19848e9a30a65257bc",
    ];

    #[test]
    fn the_canary_that_must_start_is_the_same_on_every_machine_for_ever() {
        let digests = Architecture::ALL.map(|one| known(one).unwrap().config.to_string());
        assert_eq!(digests, DIGESTS);
        let stated = subjects().unwrap().subjects;
        for (subject, architecture) in stated.iter().zip(Architecture::ALL) {
            let canary = known(architecture).unwrap();
            assert_eq!(subject.digest, canary.config);
            let chain = Some(canary.chain);
            assert_eq!(subject.of, SubjectOf::Config { chain });
        }
    }

    #[test]
    fn the_other_is_another_each_time() {
        let [one, other] =
            [[1; 32], [2; 32]].map(|seed| unknown(Architecture::Amd64, &seed).unwrap());
        assert_ne!(one.config, other.config);
        assert_ne!(one.chain, other.chain);
        assert_ne!(one.tag, other.tag);
        assert_ne!(one.chain, known(Architecture::Amd64).unwrap().chain);
    }

    #[test]
    fn the_program_runs_and_ends_well() {
        use std::os::unix::fs::PermissionsExt;
        let Some(architecture) = Architecture::of_machine() else {
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("canary");
        std::fs::write(&path, architecture.program()).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        let status = std::process::Command::new(&path).status().unwrap();
        assert_eq!(status.code(), Some(0));
    }
}
