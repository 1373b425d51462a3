use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Sources, archive::Archive, resolve, resolve_hash};
use crate::image::digest::{ChainId, Digest};
use crate::image::subjects::{ImageSubjects, Subject, SubjectOf};
use crate::verdict::exit;

const LAYER: &[u8] = b"not looked at";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";

/// Files of an archive or a layout.
#[derive(Clone)]
struct Files(Vec<(String, Vec<u8>)>);

impl Files {
    fn blob(&mut self, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes);
        self.put(&format!("blobs/sha256/{}", digest.hex()), bytes);
        json!({"mediaType": CONFIG_TYPE, "digest": digest, "size": bytes.len()})
    }

    fn put(&mut self, name: &str, bytes: &[u8]) {
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.to_owned(), bytes.to_vec()));
    }

    /// As `docker save` writes since Docker 25: both layouts side by side.
    fn modern() -> Self {
        let mut files = Self(Vec::new());
        let config = files.blob(&config());
        let layer = files.blob(LAYER);
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer]});
        let mut manifest = files.blob(manifest.to_string().as_bytes());
        manifest["annotations"] = json!({"org.opencontainers.image.ref.name": "1.4"});
        let mut latest = manifest.clone();
        latest["annotations"] = json!({"org.opencontainers.image.ref.name": "latest"});
        let index = json!({"schemaVersion": 2, "manifests": [manifest, latest]});
        files.put("index.json", index.to_string().as_bytes());
        let name = |descriptor: &Value| {
            let digest: Digest = descriptor["digest"].as_str().unwrap().parse().unwrap();
            format!("blobs/sha256/{}", digest.hex())
        };
        let docker = json!([
            {"Config": name(&config), "RepoTags": ["app:1.4"], "Layers": [name(&layer)]}
        ]);
        files.put("manifest.json", docker.to_string().as_bytes());
        files
    }

    /// As `docker save` wrote before.
    fn old() -> Self {
        let mut files = Self(Vec::new());
        let name = format!("{}.json", id().hex());
        files.put("0123/layer.tar", LAYER);
        files.put("0123/json", b"{}");
        files.put(&name, &config());
        let docker =
            json!([{"Config": name, "RepoTags": ["app:1.4"], "Layers": ["0123/layer.tar"]}]);
        files.put("manifest.json", docker.to_string().as_bytes());
        files
    }

    fn tar(&self) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, bytes) in &self.0 {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            builder
                .append_data(&mut header, name, bytes.as_slice())
                .unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn directory(&self) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, bytes) in &self.0 {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        directory
    }
}

fn config() -> Vec<u8> {
    json!({
        "architecture": "amd64", "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(LAYER)]},
    })
    .to_string()
    .into_bytes()
}

fn id() -> Digest {
    Digest::of(&config())
}

fn the_config() -> Subject {
    Subject {
        name: "linux/amd64".to_owned(),
        digest: id(),
        of: SubjectOf::Config {
            chain: ChainId::of_layers(&[Digest::of(LAYER)]),
        },
    }
}

fn resolved(text: &str) -> Result<ImageSubjects, String> {
    resolved_with(text, &[], Path::new("/nonexistent"))
}

fn resolved_with(text: &str, roots: &[PathBuf], socket: &Path) -> Result<ImageSubjects, String> {
    let sources = Sources {
        docker_roots: roots,
        containerd_roots: &[],
        storage_roots: &[],
        docker_socket: socket,
        progress: &|_, _| (),
    };
    resolve(text, &sources).map_err(|failure| failure.to_string())
}

fn archived(bytes: &[u8]) -> Result<Vec<Subject>, String> {
    let archive = Archive::read(bytes, None, &|_, _| ());
    let image = archive.and_then(|archive| archive.image());
    image
        .map(|image| image.subjects)
        .map_err(|error| format!("{error:#}"))
}

#[test]
fn both_layouts_of_docker_save_give_the_config_with_its_chain() {
    assert_eq!(archived(&Files::old().tar()), Ok(vec![the_config()]));
    let modern = archived(&Files::modern().tar()).unwrap();
    assert_eq!(modern[0], the_config());
    assert_eq!(modern[1].of, SubjectOf::Manifest { config: id() });
    let mut oci_only = Files::modern();
    oci_only.0.retain(|(name, _)| name != "manifest.json");
    assert_eq!(archived(&oci_only.tar()), Ok(modern));
}

#[test]
fn an_archive_that_is_not_what_it_says_is_refused_with_the_reason() {
    let old = Files::old();
    let config_name = format!("{}.json", id().hex());
    let change = |files: &Files, name: &str, bytes: &[u8]| {
        let mut files = files.clone();
        files.put(name, bytes);
        files.tar()
    };
    let two = json!([
        {"Config": config_name, "RepoTags": ["a:1"], "Layers": []},
        {"Config": config_name, "RepoTags": ["b:1"], "Layers": []},
    ]);
    let layers = json!([{"Config": config_name, "Layers": ["a", "b"]}]);
    let absent = json!([{"Config": "x.json", "Layers": ["a"]}]);
    let mut twice = Files::old();
    twice.0.push(("manifest.json".to_owned(), b"[]".to_vec()));
    let mut other = Files::modern();
    other.put(&config_name, &config());
    let mut foreign: Value = serde_json::from_slice(&config()).unwrap();
    foreign["author"] = json!("somebody else");
    let foreign = foreign.to_string().into_bytes();
    other.put("foreign.json", &foreign);
    let foreign = json!([{"Config": "foreign.json", "Layers": ["a"]}]);
    let whole = old.tar();
    for (reason, bytes) in [
        (
            "a blob is not what it is stored as",
            change(&old, &config_name, b"{}"),
        ),
        (
            "more than one image",
            change(&old, "manifest.json", two.to_string().as_bytes()),
        ),
        (
            "expected 1, found 2",
            change(&old, "manifest.json", layers.to_string().as_bytes()),
        ),
        (
            "lacks the config",
            change(&old, "manifest.json", absent.to_string().as_bytes()),
        ),
        ("has no image", change(&old, "manifest.json", b"[]")),
        (
            "cannot parse manifest.json",
            change(&old, "manifest.json", b"{"),
        ),
        ("two different files", twice.tar()),
        (
            "different images",
            change(&other, "manifest.json", foreign.to_string().as_bytes()),
        ),
        (
            "neither manifest.json nor index.json",
            Files(Vec::new()).tar(),
        ),
        ("compressed", vec![0x1f, 0x8b, 8, 0]),
        ("cut short", whole[..520].to_vec()),
        ("cannot read the archive", vec![b'x'; 1024]),
    ] {
        let refused = archived(&bytes).unwrap_err();
        assert!(
            refused.contains(reason),
            "expected {reason}, found {refused}"
        );
    }
}

#[test]
fn a_name_longer_than_any_is_not_taken_into_memory() {
    let mut bytes = Vec::new();
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_path("././@LongLink").unwrap();
    header.set_size(1 << 40);
    header.set_cksum();
    bytes.extend_from_slice(header.as_bytes());
    let endless = bytes.chain(std::io::repeat(b'a'));
    let refused = Archive::read(endless, None, &|_, _| ()).unwrap_err();
    let refused = format!("{refused:#}");
    assert!(refused.contains("a header is longer"), "{refused}");
}

#[test]
fn a_layout_gives_the_image_that_its_tag_names() {
    let directory = Files::modern().directory();
    let path = directory.path().display();
    for text in [format!("oci:{path}"), format!("oci:{path}:1.4")] {
        let image = resolved(&text).unwrap();
        assert_eq!(image.subjects[0], the_config());
        assert_eq!((image.kind, image.size), ("oci", LAYER.len() as u64));
    }
    let refused = resolved(&format!("oci:{path}:2")).unwrap_err();
    assert!(refused.contains(r#"["1.4", "latest"]"#), "{refused}");
    let blob = directory.path().join("blobs/sha256").join(id().hex());
    std::fs::write(blob, b"{}").unwrap();
    let refused = resolved(&format!("oci:{path}")).unwrap_err();
    assert!(refused.contains(&format!("expected {}", id())), "{refused}");
}

#[test]
fn a_file_is_hashed_and_named_by_its_last_component() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("README.md");
    std::fs::write(&path, b"hello").unwrap();
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let expected = ImageSubjects {
        kind: "file",
        name: "file://README.md".to_owned(),
        size: 5,
        subjects: vec![Subject {
            name: "README.md".to_owned(),
            digest: Digest::of(b"hello"),
            of: SubjectOf::File,
        }],
    };
    let scheme = format!("file://{}", path.display());
    for text in [&scheme, path.to_str().unwrap(), link.to_str().unwrap()] {
        assert_eq!(resolved(text), Ok(expected.clone()));
    }
    let refused = resolved("hello-world").unwrap_err();
    assert!(refused.contains("docker://NAME"), "{refused}");
}

#[test]
fn a_bare_hash_stands_for_what_its_name_says_and_has_no_chain() {
    let config = SubjectOf::Config { chain: None };
    let hex = id().hex();
    for (text, name, expected) in [
        (hex.clone(), None, vec![config, SubjectOf::File]),
        (
            hex.to_uppercase(),
            Some("app"),
            vec![config, SubjectOf::File],
        ),
        (
            format!("sha256:{hex}"),
            Some("docker://app:1"),
            vec![config],
        ),
        (hex.clone(), Some("file://app"), vec![SubjectOf::File]),
    ] {
        let image = resolve_hash(&text, name).unwrap();
        let of: Vec<_> = image.subjects.iter().map(|subject| subject.of).collect();
        assert_eq!(of, expected, "{name:?}");
        assert!(image.subjects.iter().all(|subject| subject.digest == id()));
    }
    assert_eq!(resolve_hash("00", None).unwrap_err().code, exit::USAGE);
}

/// A daemon that answers each request in turn, and what it was asked.
fn daemon(
    answers: Vec<(u16, Vec<u8>)>,
) -> (tempfile::TempDir, std::thread::JoinHandle<Vec<String>>) {
    let directory = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(directory.path().join("d.sock")).unwrap();
    let served = std::thread::spawn(move || {
        let mut asked = Vec::new();
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.extend(byte);
            }
            let request = String::from_utf8(request).unwrap();
            asked.push(request.lines().next().unwrap().to_owned());
            write!(stream, "HTTP/1.0 {status} X\r\nServer: y\r\n\r\n").unwrap();
            let _ = stream.write_all(&body);
        }
        asked
    });
    (directory, served)
}

#[test]
fn the_api_is_asked_by_id_once_the_name_is_known() {
    let about = json!({"Id": id(), "RepoTags": ["app:1.4"], "Size": 77});
    let answers = vec![
        (200, about.to_string().into_bytes()),
        (200, Files::old().tar()),
    ];
    let (directory, served) = daemon(answers);
    let image = resolved_with("docker://app:1.4", &[], &directory.path().join("d.sock"));
    let expected = ImageSubjects {
        kind: "docker",
        name: "docker://app:1.4".to_owned(),
        size: 77,
        subjects: vec![the_config()],
    };
    assert_eq!(image, Ok(expected));
    let asked = [
        "GET /images/app:1.4/json HTTP/1.0".to_owned(),
        format!("GET /images/{}/get HTTP/1.0", id()),
    ];
    assert_eq!(served.join().unwrap(), asked);
}

#[test]
fn what_the_daemon_refuses_or_exchanges_is_shown() {
    let other = json!({"Id": Digest::of(b"other"), "Size": 1}).to_string();
    let absent = br#"{"message":"No such image: app:latest"}"#.to_vec();
    for (reason, answers) in [
        ("No such image: app:latest", vec![(404, absent)]),
        ("Docker says 500", vec![(500, b"oops".to_vec())]),
        ("cannot understand", vec![(200, b"{}".to_vec())]),
        (
            "another image",
            vec![(200, other.into_bytes()), (200, Files::old().tar())],
        ),
    ] {
        let (directory, served) = daemon(answers);
        let socket = directory.path().join("d.sock");
        let refused = resolved_with("docker://app", &[], &socket).unwrap_err();
        assert!(
            refused.contains(reason),
            "expected {reason}, found {refused}"
        );
        served.join().unwrap();
    }
    let refused = resolved("docker://app").unwrap_err();
    assert!(refused.contains("/nonexistent"), "{refused}");
}

#[test]
fn a_text_that_is_no_reference_is_wrong_usage() {
    let sources = Sources {
        docker_roots: &[],
        containerd_roots: &[],
        storage_roots: &[],
        docker_socket: Path::new("/nonexistent"),
        progress: &|_, _| (),
    };
    for text in ["docker://App", "podman://App", "x://y", ""] {
        assert_eq!(
            resolve(text, &sources).unwrap_err().code,
            exit::USAGE,
            "{text}"
        );
    }
}
