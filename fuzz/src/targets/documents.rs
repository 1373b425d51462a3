//! JSON of engines and runtimes, answers of a daemon, names of images, images themselves.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::Read as _;
use std::path::Path;

use serde_json::Value;
use vcn_hook::cli::decisions;
use vcn_hook::escape::{self, Escaped};
use vcn_hook::cli::images::daemon::{Inspected, read_head};
use vcn_hook::engine::docker_files::{Record, chain_of, config_of, digest, repositories, word};
use vcn_hook::engine::storage::{libpod, records};
use vcn_hook::engine::{RuntimeKind, bundle, state};
use vcn_hook::gate::hook;
use vcn_hook::image::digest::{ChainId, Digest};
use vcn_hook::image::reference::{ImageName, Name, Reference};
use vcn_hook::image::subjects::{self, Blobs, SubjectOf};
use vcn_hook::http::message::Head;

use super::{MEMORY, Target};

const JSON: &[&str] = &[
    "null",
    "[]",
    "{}",
    "\"\"",
    "0",
    "-1",
    "1e999",
    "18446744073709551616",
    "true",
    "\\u0000",
    "\\ud800",
    "\"sha256:",
    "[[[[[[[[[[[[[[[[",
    "{\"a\":{\"a\":{\"a\":",
    ",",
    ":",
];

pub const OCI_CONFIG: Target = Target {
    words: &[
        "\"root\":{\"path\":\"rootfs\"}",
        "\"process\":",
        "\"args\":[\"sh\"]",
        "\"env\":[\"LD_PRELOAD=x\"]",
        "\"mounts\":[",
        "\"destination\":\"/\"",
        "\"source\":\"/\"",
        "\"type\":\"bind\"",
        "\"options\":[\"rbind\"]",
        "\"linux\":",
        "\"namespaces\":",
        "\"devices\":",
        "\"resources\":",
        "\"maskedPaths\":",
        "\"readonlyPaths\":",
        "\"capabilities\":{\"bounding\":[\"CAP_SYS_ADMIN\"]}",
        "null",
        "\"cwd\":\"/\"",
        ",\"root\":",
        "\\u0072oot",
        "\"hooks\":",
        "\"annotations\":{",
    ],
    longest: 32 << 10,
    ..Target::new("oci-config", "a bundle's config.json", oci_config)
};

pub const RUNTIME_STATE: Target = Target {
    words: &[
        "\"config\":",
        "\"labels\":[",
        "\"bundle=/run/b\"",
        "\"init_process_pid\":",
        "\"bundle\":\"/b\"",
        "\"pid\":",
        "4294967296",
        "-1",
        "null",
        "\"id\":\"x\"",
        "\"status\":\"created\"",
    ],
    longest: 32 << 10,
    ..Target::new(
        "runtime-state",
        "what runc and crun remember of a container, and tell their hooks",
        runtime_state,
    )
};

pub const DOCKER_FILES: Target = Target {
    words: &[
        "\"ID\":",
        "\"Image\":\"sha256:",
        "\"ImageManifest\":{\"digest\":",
        "\"Driver\":\"overlay2\"",
        "\"HasBeenStartedBefore\":true",
        "\"Name\":\"/x\"",
        "\"Config\":{\"Image\":",
        "\"Repositories\":{",
        "\"rootfs\":{\"diff_ids\":[",
        "\"config\":{\"digest\":",
        "sha256:",
        "../",
        "-init",
    ],
    longest: 32 << 10,
    ..Target::new(
        "docker-files",
        "config.v2.json, layerdb, repositories.json, image configs",
        docker_files,
    )
};

pub const PODMAN_FILES: Target = Target {
    words: &[
        "\"id\":\"",
        "\"image\":\"",
        "\"layer\":\"",
        "\"names\":[",
        "\"metadata\":\"{\\\"image-name\\\":",
        "\"parent\":",
        "\"diff-digest\":\"sha256:",
        "\"startedTime\":\"0001-01-01T00:00:00Z\"",
        "\"runDir\":\"/run/",
        "null",
    ],
    longest: 16 << 10,
    ..Target::new(
        "podman-files",
        "containers.json, layers.json, Podman's own state",
        podman_files,
    )
};

pub const REQUEST: Target = Target {
    words: &[
        "POST /add HTTP/1.1\r\n",
        "GET /checkpoint HTTP/1.1\r\n",
        "Host: a\r\n",
        "Content-Length: ",
        "\r\n\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Expect: 100-continue\r\n",
        "Connection: close\r\n",
        "Range: bytes=",
        "http://x/",
        " HTTP/1.0\r\n",
        "\n",
        " ",
        ",",
    ],
    made: Some(requests),
    ..Target::new(
        "request",
        "the head of a request to a ledger's server",
        request,
    )
};

pub const DOCKER_ANSWER: Target = Target {
    words: &[
        "HTTP/1.0 200 OK\r\n",
        "HTTP/1.1 404 Not Found\r\n",
        "\r\n\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\n",
        "\"Id\":\"sha256:",
        "\"RepoTags\":[",
        "\"Size\":",
        "\n\n",
    ],
    ..Target::new("docker-answer", "the daemon's answers", docker_answer)
};

pub const DECISIONS: Target = Target {
    words: JSON,
    ..Target::new(
        "decisions",
        "decision records, and text on its way to a terminal",
        decisions,
    )
};

pub const REFERENCE: Target = Target {
    words: &[
        "docker://",
        "podman://",
        "oci:",
        "docker-archive:",
        "file://",
        "image://",
        "containerd://",
        "@sha256:",
        "[::1]",
        ":5000/",
        "localhost/",
        "library/",
        "docker.io/",
        ":latest",
        "__",
        "--",
        "..",
        "//",
        "%",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ],
    made: Some(references),
    longest: 512,
    ..Target::new(
        "reference",
        "image references, names and digests",
        reference,
    )
};

pub const IMAGE: Target = Target {
    words: &[
        "sha256:@0",
        "sha256:@1",
        "sha256:@2",
        "\"manifests\":[",
        "\"config\":{",
        "\"layers\":[",
        "\"mediaType\":",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "\"platform\":{\"os\":\"unknown\",\"architecture\":\"unknown\"}",
        "\"size\":@1",
        "\"diff_ids\":[",
        "\"digest\":",
        "-1",
        "\0",
    ],
    longest: 16 << 10,
    memory: 2 * MEMORY,
    ..Target::new(
        "image",
        "index, manifest and config of an image, linked by digests",
        image,
    )
};

fn oci_config(bytes: &[u8]) -> bool {
    let Ok(spec) = bundle::parse(bytes) else {
        return false;
    };
    // Read a second time, by a parser that takes the last of two: the two must not differ.
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else {
        return false;
    };
    let texts = |value: &Value| -> Vec<String> {
        let list = value.as_array().into_iter().flatten();
        list.filter_map(|text| text.as_str().map(str::to_owned))
            .collect()
    };
    // A structure written as a list of its fields is nothing that a runtime takes.
    if value.is_object() && value["root"].is_object() {
        assert_eq!(
            spec.root.path.as_os_str(),
            value["root"]["path"].as_str().unwrap_or_default()
        );
    }
    if value["process"].is_object() {
        assert_eq!(spec.process.args, texts(&value["process"]["args"]));
        assert_eq!(spec.process.env, texts(&value["process"]["env"]));
    }
    if let Some(mounts) = value["mounts"].as_array() {
        assert_eq!(mounts.len(), spec.mounts.len(), "a mount is left out");
        for (mount, written) in spec
            .mounts
            .iter()
            .zip(mounts)
            .filter(|(_, written)| written.is_object())
        {
            let text = |name: &str| written[name].as_str().unwrap_or_default().to_owned();
            assert_eq!(mount.destination.as_os_str(), &*text("destination"));
            assert_eq!(mount.source.as_os_str(), &*text("source"));
            assert_eq!(mount.kind, text("type"));
        }
    }
    let bundle = bundle::Bundle {
        path: "/b".into(),
        spec,
    };
    assert!(bundle.rootfs().is_absolute());
    true
}

fn runtime_state(bytes: &[u8]) -> bool {
    let both = [RuntimeKind::Runc, RuntimeKind::Crun].map(|runtime| state::parse(runtime, bytes));
    let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
    if let Some(runc) = &both[0]
        && value["config"]["labels"].is_array()
    {
        let labels = value["config"]["labels"].as_array().into_iter().flatten();
        let bundles = labels.filter_map(|label| label.as_str()?.strip_prefix("bundle="));
        let bundles: Vec<_> = bundles.collect();
        assert!(
            matches!(bundles[..], [one] if runc.bundle == Path::new(one)),
            "one of several bundles"
        );
    }
    if let Some(crun) = &both[1]
        && value.is_object()
    {
        assert_eq!(
            crun.bundle.as_os_str(),
            value["bundle"].as_str().unwrap_or_default()
        );
    }
    let hook = hook::parse(bytes);
    if let Ok(state) = &hook {
        let safe = |b: u8| b.is_ascii_alphanumeric() || b"_+-.".contains(&b);
        let id = state.id();
        assert!(
            id.bytes().all(safe) && !["", ".", ".."].contains(&id.as_str()),
            "an id that leads elsewhere"
        );
        if value.is_object() {
            assert_eq!(Some(id.as_str()), value["id"].as_str());
            // One without a bundle has an empty one, which is refused later for not being absolute.
            let bundle = value["bundle"].as_str().unwrap_or_default();
            assert_eq!(state.bundle().as_os_str(), bundle);
        }
    }
    both.iter().any(Option::is_some) | hook.is_ok()
}

fn docker_files(bytes: &[u8]) -> bool {
    let mut accepted = false;
    if let Some(record) = Record::parse(bytes) {
        let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
        if value.is_object() {
            assert_eq!(Some(record.image.as_str()), value["Image"].as_str());
            assert_eq!(
                record.started,
                value["HasBeenStartedBefore"].as_bool().unwrap_or_default()
            );
        }
        let _ = record.name();
        accepted = true;
    }
    if let Some(word) = word(bytes.to_vec()) {
        assert!(
            !word.contains(['/', '.', '\0']) && !word.is_empty(),
            "a word that leads elsewhere"
        );
        accepted = true;
    }
    if let Some(read) = digest::<Digest>(bytes) {
        assert_eq!(
            read.to_string().as_bytes(),
            bytes,
            "a second spelling of a digest"
        );
        accepted = true;
    }
    accepted |= repositories(bytes).is_ok();
    let (this, other) = (Digest::of(bytes), Digest::of(b"other"));
    assert!(
        chain_of(bytes, &other).is_none() && config_of(bytes, &other).is_none(),
        "bytes of another digest"
    );
    accepted | chain_of(bytes, &this).is_some() | config_of(bytes, &this).is_some()
}

fn podman_files(bytes: &[u8]) -> bool {
    // What has numbers that no type holds, in parts that nobody reads, cannot be counted here.
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else {
        let _ = (
            records::parse::<records::Container>(bytes),
            libpod::parse(bytes, "1a"),
        );
        return false;
    };
    let written = value.as_array().map_or(0, Vec::len);
    let mut accepted = false;
    if let Some(containers) = records::parse::<records::Container>(bytes) {
        assert_eq!(containers.len(), written, "a container is left out");
        for container in &containers {
            let _ = (container.name(), container.image_name());
        }
        accepted = !containers.is_empty();
    }
    if let Some(layers) = records::parse::<records::LayerRecord>(bytes) {
        assert_eq!(layers.len(), written, "a layer is left out");
        accepted |= !layers.is_empty();
    }
    let state = libpod::parse(bytes, "1a");
    if value.is_object() && state.started {
        let time = value["startedTime"].as_str().unwrap_or_default();
        let year = time.get(..4).and_then(|year| year.parse::<u16>().ok());
        assert!(
            year.is_some_and(|year| year >= 1970) && time.matches('T').count() == 1,
            "started at no time"
        );
    }
    accepted | state.started
}

fn requests() -> Vec<(&'static str, Vec<u8>)> {
    let post = "POST /add HTTP/1.1\r\nHost: ledger.example\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello";
    let get = "GET /tile/entries/000.p/3 HTTP/1.1\r\nHost: a\r\nRange: bytes=10-\r\nIf-None-Match: \"x\"\r\n\r\n";
    let old = "HEAD http://ledger.example/checkpoint HTTP/1.0\r\n\r\n";
    [("post", post), ("get", get), ("old", old)]
        .map(|(name, text)| (name, text.as_bytes().to_vec()))
        .into()
}

fn request(bytes: &[u8]) -> bool {
    let Ok(Some((head, length))) = Head::parse(bytes) else {
        return false;
    };
    assert!(length <= bytes.len() && bytes[..length].ends_with(b"\n"));
    let text = String::from_utf8_lossy(&bytes[..length]).to_ascii_lowercase();
    // Where two lengths could be read, a proxy and we may read different requests.
    let lengths: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("content-length:"))
        .collect();
    match lengths[..] {
        [] => assert_eq!(head.length, None),
        [one] => assert_eq!(head.length, one.trim().parse().ok(), "another length"),
        _ => panic!("two lengths are accepted"),
    }
    assert!(
        !text.contains("\ntransfer-encoding:"),
        "chunks are accepted"
    );
    assert!(
        !head
            .path
            .bytes()
            .any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control())
    );
    true
}

fn docker_answer(bytes: &[u8]) -> bool {
    let mut reader = bytes;
    let Ok(status) = read_head(&mut reader) else {
        return false;
    };
    let mut body = Vec::new();
    let _ = reader.read_to_end(&mut body);
    let head = &bytes[..bytes.len() - body.len()];
    assert!(bytes.ends_with(&body) && head.ends_with(b"\n"));
    let chunked = String::from_utf8_lossy(head)
        .to_ascii_lowercase()
        .contains("\ntransfer-encoding:");
    assert!(!chunked, "chunks are taken for the body");
    status == 200 && Inspected::parse(&body).is_ok()
}

fn decisions(bytes: &[u8]) -> bool {
    let tail = decisions::parse(bytes, false);
    let lines = bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    assert_eq!(
        tail.decisions.len() + tail.unreadable,
        lines.count(),
        "a line is neither read nor counted"
    );
    let text = String::from_utf8_lossy(bytes);
    for safe in [
        Escaped(&text).to_string(),
        escape::json(&text).replace('\n', ""),
        escape::message(&text),
    ] {
        assert!(
            !safe.chars().any(escape::deceives),
            "a terminal is deceived"
        );
    }
    if let Ok(value) = serde_json::from_slice::<Value>(bytes)
        && let Ok(pretty) = serde_json::to_string_pretty(&value)
    {
        let again: Value =
            serde_json::from_str(&escape::json(&pretty)).expect("escaping keeps JSON");
        assert_eq!(again, value, "escaping changes a value");
    }
    !tail.decisions.is_empty()
}

fn references() -> Vec<(&'static str, Vec<u8>)> {
    [
        ("tag", "docker://app:1.4"),
        ("full", "docker://registry.example:5000/team/app@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("id", "docker://e3b0c44298fc"),
        ("ipv6", "docker://[2001:db8::1]:5000/app:latest"),
        ("layout", "oci:/tmp/layout:v1"),
        ("archive", "docker-archive:/tmp/app.tar"),
        ("file", "file:///etc/hosts"),
        ("digest", "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ]
    .map(|(name, text)| (name, text.as_bytes().to_vec()))
    .into()
}

fn reference(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let mut accepted = text.parse::<Reference>().is_ok();
    let _ = text.parse::<ImageName>();
    if let Ok(name) = text.parse::<Name>() {
        let full = name.full();
        let (again, familiar) = (full.parse::<Name>(), name.familiar().parse::<Name>());
        for again in [again, familiar] {
            assert_eq!(
                again.map(|name| name.full()).as_ref(),
                Ok(&full),
                "a name is another's: {name:?}"
            );
        }
        assert!(
            full.bytes().all(|byte| byte.is_ascii_graphic()),
            "a name with other characters"
        );
        accepted = true;
    }
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.to_string(), text, "a second spelling of a digest");
        accepted = true;
    }
    if let Ok(chain) = text.parse::<ChainId>() {
        assert_eq!(chain.to_string(), text, "a second spelling of a chain");
    }
    accepted
}

/// Documents by digest.
struct Stored(HashMap<Digest, Vec<u8>>);

impl Blobs for Stored {
    type Error = Infallible;

    fn blob(&self, digest: &Digest, cap: u64) -> Result<Option<Vec<u8>>, Infallible> {
        let blob = self.0.get(digest).filter(|blob| blob.len() as u64 <= cap);
        Ok(blob.cloned())
    }
}

/// Documents stand behind each other with a zero byte between; `sha256:@N` and `@N` are the digest
/// and the size of the N-th behind this one, so that a changed document stays linked.
fn image(bytes: &[u8]) -> bool {
    let mut linked: Vec<Vec<u8>> = Vec::new();
    for document in bytes.split(|byte| *byte == 0).rev().take(8) {
        let mut text = String::from_utf8_lossy(document).into_owned();
        for (behind, blob) in linked.iter().rev().enumerate() {
            text = text.replace(&format!("sha256:@{behind}"), &Digest::of(blob).to_string());
            text = text.replace(&format!("@{behind}"), &blob.len().to_string());
        }
        linked.push(text.into_bytes());
        if linked.iter().map(Vec::len).sum::<usize>() > 256 << 10 {
            return false;
        }
    }
    let Some(first) = linked.last().map(|blob| Digest::of(blob)) else {
        return false;
    };
    let stored = Stored(
        linked
            .iter()
            .map(|blob| (Digest::of(blob), blob.clone()))
            .collect(),
    );
    for blob in &linked {
        if let Ok(config) = subjects::parse_config::<Infallible>(blob) {
            assert_eq!(ChainId::of_layers(&config.diff_ids), Some(config.chain));
        }
    }
    let Ok(found) = subjects::walk(&stored, &first) else {
        return false;
    };
    for subject in &found.subjects {
        let blob = stored
            .0
            .get(&subject.digest)
            .expect("a subject whose bytes are not at hand");
        if let SubjectOf::Config { chain } = &subject.of {
            let config = subjects::parse_config::<Infallible>(blob).expect("a config that parsed");
            assert_eq!(
                *chain,
                Some(config.chain),
                "another chain than the config's"
            );
        }
    }
    let mut digests: Vec<_> = found
        .subjects
        .iter()
        .map(|subject| subject.digest)
        .collect();
    digests.sort();
    digests.dedup();
    assert_eq!(
        digests.len(),
        found.subjects.len(),
        "a subject stands twice"
    );
    !found.subjects.is_empty()
}
