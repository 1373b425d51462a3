use super::archive::Reading;
use super::{Cancelled, Check, Fingerprint, Memory, Outcome, check_layer, check_layers};
use crate::engine::unpacked::{Archive, Layer, Owners};
use crate::image::digest::Digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use tar::{Builder, EntryType, Header};

/// A layer that is unpacked by nobody but the test, whose files belong to whoever runs it.
struct Unpacked {
    folder: tempfile::TempDir,
    tar: Vec<u8>,
    lines: String,
}

impl Unpacked {
    /// Of files, by name and content.
    fn new(files: &[(&str, &[u8])]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut unpacked = Self {
            folder,
            tar: Vec::new(),
            lines: String::new(),
        };
        std::fs::create_dir(unpacked.files()).unwrap();
        for (name, content) in files {
            unpacked.file(name, content);
        }
        let end = [0; 1024];
        unpacked.keep(&end);
        unpacked.tar.extend_from_slice(&end);
        unpacked
    }

    fn files(&self) -> PathBuf {
        self.folder.path().join("diff")
    }

    fn keep(&mut self, bytes: &[u8]) {
        let line = format!(
            "{{\"type\":2,\"payload\":\"{}\"}}\n",
            STANDARD.encode(bytes)
        );
        self.lines.push_str(&line);
    }

    fn file(&mut self, name: &str, content: &[u8]) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.files().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let mut header = Header::new_gnu();
        header.set_mode(0o640);
        header.set_uid(nix::unistd::geteuid().as_raw().into());
        header.set_gid(nix::unistd::getegid().as_raw().into());
        header.set_size(content.len() as u64);
        header.set_entry_type(EntryType::Regular);
        let mut builder = Builder::new(Vec::new());
        builder.append_data(&mut header, name, content).unwrap();
        let bytes = builder.get_ref().clone();
        let begin = bytes.len() - content.len().next_multiple_of(512);
        self.keep(&bytes[..begin]);
        let size = content.len();
        self.lines.push_str(&format!(
            "{{\"type\":1,\"name\":\"x\",\"size\":{size},\"payload\":\"AA==\"}}\n"
        ));
        self.keep(&bytes[begin + content.len()..]);
        self.tar.extend_from_slice(&bytes);
    }

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    }

    fn layer(&self, archive: Archive) -> Layer {
        Layer {
            diff_id: Digest::of(&self.tar),
            directory: self.files(),
            archive,
            size: self.tar.len() as u64,
            owners: Owners::default(),
        }
    }

    fn by_tar_split(&self, lines: &[u8]) -> Layer {
        let path = self.folder.path().join("tar-split.json.gz");
        std::fs::write(&path, Self::packed(lines)).unwrap();
        self.layer(Archive::TarSplit(path))
    }

    fn by_blob(&self, blob: &[u8], digest: Digest) -> Layer {
        let path = self.folder.path().join("blob");
        std::fs::write(&path, blob).unwrap();
        self.layer(Archive::Blob { path, digest })
    }
}

fn outcome(layer: &Layer) -> Outcome {
    let check = Check {
        memory: None,
        now: 0,
        progress: &|_| ControlFlow::Continue(()),
    };
    check_layer(layer, check).unwrap().outcome
}

fn undecidable(layer: &Layer) -> String {
    match outcome(layer) {
        Outcome::Undecidable(why) => why,
        other => panic!("{other:?}"),
    }
}

fn differing(layer: &Layer) -> Vec<(String, &'static str)> {
    match outcome(layer) {
        Outcome::Differs(found) => found
            .first
            .iter()
            .map(|found| (found.path.clone(), found.what.as_str()))
            .collect(),
        other => panic!("{other:?}"),
    }
}

const FILES: &[(&str, &[u8])] = &[("a", b"alpha"), ("b/c", b"gamma"), ("empty", b"")];

#[test]
fn a_layer_is_compared_with_its_blob_plain_or_packed() {
    let unpacked = Unpacked::new(FILES);
    let packed = Unpacked::packed(&unpacked.tar);
    let twice = [
        Unpacked::packed(&unpacked.tar[..700]),
        Unpacked::packed(&unpacked.tar[700..]),
    ]
    .concat();
    for blob in [&unpacked.tar, &packed, &twice] {
        let layer = unpacked.by_blob(blob, Digest::of(blob));
        assert_eq!(outcome(&layer), Outcome::Intact);
    }
    std::fs::write(unpacked.files().join("b/c"), "gamme").unwrap();
    let layer = unpacked.by_blob(&packed, Digest::of(&packed));
    assert_eq!(differing(&layer), [("/b/c".to_owned(), "content")]);
}

#[test]
fn a_blob_that_is_not_what_its_name_says_proves_nothing() {
    let unpacked = Unpacked::new(FILES);
    let packed = Unpacked::packed(&unpacked.tar);
    let other = Unpacked::new(&[("a", b"alpha"), ("b/c", b"delta"), ("empty", b"")]);
    std::fs::write(unpacked.files().join("b/c"), "delta").unwrap();
    for (blob, digest, why) in [
        (other.tar.clone(), Digest::of(&other.tar), "unpacks to"),
        (other.tar.clone(), Digest::of(&unpacked.tar), "is sha256:"),
        (packed[..packed.len() - 9].to_vec(), Digest::of(&packed), ""),
        (b"\x28\xb5\x2f\xfd".to_vec(), Digest::of(b"x"), "zstd"),
    ] {
        let found = undecidable(&unpacked.by_blob(&blob, digest));
        assert!(found.contains(why), "{found}");
    }
    let gone = unpacked.layer(Archive::Gone("it is gone".to_owned()));
    assert_eq!(undecidable(&gone), "it is gone");
}

#[test]
fn what_no_archive_can_have_is_no_difference_and_everything_else_is() {
    use nix::sys::stat::{Mode, SFlag, mknod};
    let unpacked = Unpacked::new(FILES);
    let layer = unpacked.by_tar_split(unpacked.lines.as_bytes());
    let make = |name: &str, kind| {
        let mode = Mode::from_bits_truncate(0o600);
        mknod(&unpacked.files().join(name), kind, mode, 0).unwrap();
    };
    make("b/socket", SFlag::S_IFSOCK);
    assert_eq!(outcome(&layer), Outcome::Intact);
    make("b/pipe", SFlag::S_IFIFO);
    std::fs::create_dir_all(unpacked.files().join("b/d/e")).unwrap();
    let added = |path: &str| (path.to_owned(), "added");
    assert_eq!(differing(&layer), [added("/b/d"), added("/b/pipe")]);
}

#[test]
fn a_record_that_was_changed_with_the_files_is_found() {
    let unpacked = Unpacked::new(FILES);
    let layer = unpacked.by_tar_split(unpacked.lines.as_bytes());
    assert_eq!(outcome(&layer), Outcome::Intact);
    // Headers that tell of another owner, and a checksum that is none: nothing on disk is to blame.
    let other = Unpacked::new(&[("a", b"alpha"), ("b/c", b"gamma"), ("x", b"")]);
    std::fs::rename(unpacked.files().join("empty"), unpacked.files().join("x")).unwrap();
    let layer = unpacked.by_tar_split(other.lines.as_bytes());
    assert_eq!(differing(&layer), [("/".to_owned(), "archive")]);
}

#[test]
fn hostile_records_are_errors() {
    let unpacked = Unpacked::new(FILES);
    let lines = unpacked.lines.as_bytes();
    let path = {
        let mut evil = Unpacked::new(&[]);
        evil.lines.clear();
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Directory);
        header.set_mode(0o755);
        header.set_size(0);
        header.as_old_mut().name[..8].copy_from_slice(b"a/../../");
        header.set_cksum();
        evil.keep(header.as_bytes());
        evil.lines.clone()
    };
    let huge = "{\"type\":1,\"name\":\"a\",\"size\":9007199254740991,\"payload\":\"AA==\"}\n";
    for (record, why) in [
        (&lines[..lines.len() / 2], ""),
        (
            b"{\"type\":2,\"payload\":\"####\"}\n",
            "a record that is none",
        ),
        (huge.as_bytes(), "a record that its members do not fit"),
        (path.as_bytes(), "a path with '..'"),
        (&[b' '; 9 << 20], "too long a line"),
    ] {
        let found = undecidable(&unpacked.by_tar_split(record));
        assert!(found.contains(why), "{found}");
    }
    std::fs::write(unpacked.folder.path().join("tar-split.json.gz"), "no gzip").unwrap();
    let layer = unpacked.layer(Archive::TarSplit(
        unpacked.folder.path().join("tar-split.json.gz"),
    ));
    undecidable(&layer);
    // A bomb: a gigabyte of nothing is a line that is too long.
    let found = undecidable(&unpacked.by_tar_split(&vec![b'\n'; 64 << 20]));
    assert!(found.contains("a record that is none"), "{found}");
}

#[test]
fn what_is_intact_is_remembered_until_it_changes() {
    let unpacked = Unpacked::new(FILES);
    let layer = unpacked.by_tar_split(unpacked.lines.as_bytes());
    let read = AtomicU64::new(0);
    let look = |memory: Option<&Memory>, now: u64| {
        let progress = |bytes| {
            read.fetch_add(bytes, Ordering::Relaxed);
            ControlFlow::Continue(())
        };
        let check = Check {
            memory,
            now,
            progress: &progress,
        };
        check_layer(&layer, check).unwrap()
    };
    let just_now = crate::sys::clock::now();
    let fresh = look(None, just_now);
    assert_eq!(
        fresh.fingerprint, None,
        "it may change within the same tick"
    );
    let fingerprint = look(None, just_now + 10).fingerprint.expect("settled");
    let mut memory = Memory::default();
    memory.remember(&layer, &fingerprint);
    assert!(look(Some(&memory), just_now + 10).remembered);
    assert!(!look(None, just_now + 10).remembered);

    // The same bytes again, and the time that the file had: the kernel's own time tells.
    let path = unpacked.files().join("a");
    let before = std::fs::metadata(&path).unwrap().modified().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    (&file).write_all(b"alphA").unwrap();
    file.set_modified(before).unwrap();
    let changed = look(Some(&memory), just_now + 10);
    assert!(!changed.remembered && changed.outcome != Outcome::Intact);

    let other = Layer {
        diff_id: Digest::of(b"another"),
        ..layer.clone()
    };
    assert!(!memory.knows(&other, &fingerprint));
    memory.forget(&layer);
    assert!(!memory.knows(&layer, &fingerprint));
}

#[test]
fn what_was_read_is_known_again_by_what_is_only_looked_at() {
    let nested = format!("{}x", "d/".repeat(40));
    let files: [(&str, &[u8]); 4] = [("a", b"a"), (&nested, b"x"), ("empty", b""), ("a", b"A")];
    let unpacked = Unpacked::new(&files);
    let socket = unpacked.files().join("d/socket");
    drop(std::os::unix::net::UnixListener::bind(socket).unwrap());
    let layer = unpacked.by_tar_split(unpacked.lines.as_bytes());
    // Of two members with one path the earlier one's content is nowhere.
    let layer = Layer {
        archive: unpacked.by_blob(&unpacked.tar, layer.diff_id).archive,
        ..layer
    };
    let check = Check {
        memory: None,
        now: crate::sys::clock::now() + 10,
        progress: &|_| ControlFlow::Continue(()),
    };
    let read = check_layer(&layer, check).unwrap();
    let looked_at = Fingerprint::of(&layer, &Reading::new(check.progress)).unwrap();
    assert_eq!(
        (read.outcome, read.fingerprint),
        (Outcome::Intact, Some(looked_at))
    );
}

#[test]
fn a_memory_is_roots_file_or_none() {
    let unpacked = Unpacked::new(FILES);
    let layer = unpacked.by_tar_split(unpacked.lines.as_bytes());
    let check = Check {
        memory: None,
        now: crate::sys::clock::now() + 10,
        progress: &|_| ControlFlow::Continue(()),
    };
    let fingerprint = check_layer(&layer, check).unwrap().fingerprint.unwrap();
    let mut memory = Memory::default();
    memory.remember(&layer, &fingerprint);
    let gone = Layer {
        directory: "/nonexistent".into(),
        ..layer.clone()
    };
    memory.remember(&gone, &fingerprint);
    let path = unpacked.folder.path().join("deep.json");
    memory.save(&path).unwrap();
    assert!(!memory.knows(&gone, &fingerprint), "it is gone");
    if nix::unistd::geteuid().is_root() {
        assert_eq!(Memory::open(&path), memory);
        let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        std::fs::set_permissions(&path, everybody).unwrap();
        assert_eq!(Memory::open(&path), Memory::default());
    }
    assert_eq!(Memory::open(Path::new("/nonexistent")), Memory::default());
}

#[test]
fn layers_are_answered_in_their_order_and_the_work_can_be_given_up() {
    let small = Unpacked::new(&[("a", b"1")]);
    let large = Unpacked::new(&[("b", &[7; 100_000])]);
    std::fs::write(large.files().join("evil"), "").unwrap();
    let layers = [
        small.by_tar_split(small.lines.as_bytes()),
        large.by_tar_split(large.lines.as_bytes()),
    ];
    let read = AtomicU64::new(0);
    let progress = |bytes| {
        read.fetch_add(bytes, Ordering::Relaxed);
        ControlFlow::Continue(())
    };
    let check = Check {
        memory: None,
        now: 0,
        progress: &progress,
    };
    let found = check_layers(&layers, check).unwrap();
    assert_eq!(found[0].outcome, Outcome::Intact);
    assert!(matches!(found[1].outcome, Outcome::Differs(_)));
    assert_eq!(read.load(Ordering::Relaxed), 100_001);
    let stop = Check {
        progress: &|_| ControlFlow::Break(()),
        ..check
    };
    assert_eq!(check_layers(&layers, stop), Err(Cancelled));
    assert_eq!(check_layers(&[], check), Ok(Vec::new()));
}
