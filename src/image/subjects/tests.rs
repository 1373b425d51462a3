use std::collections::HashMap;
use std::convert::Infallible;

use serde_json::{Value, json};

use super::{Blobs, Found, MAX_SUBJECTS, Subject, SubjectOf, SubjectsError, parse_config, walk};
use crate::image::digest::{ChainId, Digest};

const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

#[derive(Default)]
struct Store(HashMap<Digest, Vec<u8>>);

impl Blobs for Store {
    type Error = Infallible;

    fn blob(&self, digest: &Digest, _cap: u64) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.0.get(digest).cloned())
    }
}

impl Store {
    fn put(&mut self, value: &Value) -> Value {
        let bytes = value.to_string().into_bytes();
        let digest = Digest::of(&bytes);
        let size = bytes.len();
        self.0.insert(digest, bytes);
        json!({"mediaType": MANIFEST, "digest": digest, "size": size})
    }

    fn config(&mut self, architecture: &str, layers: &[&str]) -> Value {
        let diff_ids: Vec<_> = layers.iter().map(|l| Digest::of(l.as_bytes())).collect();
        self.put(&json!({
            "architecture": architecture, "os": "linux", "created": "2019-05-01T14:00:35Z",
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "config": {"Env": null, "Cmd": ["sh"], "Volumes": {"/d": {}}, "ExposedPorts": null},
            "container_config": {"Image": ""}, "docker_version": "20.10.24",
        }))
    }

    fn image(&mut self, architecture: &str, layers: &[&str]) -> Value {
        let mut config = self.config(architecture, layers);
        config["mediaType"] = json!(DOCKER_CONFIG);
        self.manifest(&config, layers.len())
    }

    fn manifest(&mut self, config: &Value, layers: usize) -> Value {
        let layer = json!({"mediaType": "x/y", "digest": Digest::of(b"layer"), "size": 10});
        let layers = vec![layer; layers];
        self.put(&json!({"schemaVersion": 2, "config": config, "layers": layers}))
    }

    fn index(&mut self, manifests: &[Value]) -> Value {
        self.put(&json!({"schemaVersion": 2, "manifests": manifests}))
    }

    fn walk(&self, descriptor: &Value) -> Result<Found, SubjectsError<Infallible>> {
        walk(self, &digest(descriptor))
    }
}

fn digest(descriptor: &Value) -> Digest {
    descriptor["digest"].as_str().unwrap().parse().unwrap()
}

fn kinds(found: &Found) -> Vec<&'static str> {
    let kind = |subject: &Subject| match subject.of {
        SubjectOf::Index => "index",
        SubjectOf::Manifest { .. } => "manifest",
        SubjectOf::Config { .. } => "config",
        SubjectOf::File => "file",
    };
    found.subjects.iter().map(kind).collect()
}

#[test]
fn a_manifest_gives_its_config_with_the_chain_of_its_layers() {
    let mut store = Store::default();
    let mut config = store.config("arm64", &["a", "b"]);
    config["mediaType"] = json!(OCI_CONFIG);
    let manifest = store.manifest(&config, 2);
    let chain = ChainId::of_layers(&[Digest::of(b"a"), Digest::of(b"b")]);
    let name = "linux/arm64".to_owned();
    let expected = Found {
        subjects: vec![
            Subject {
                name: name.clone(),
                digest: digest(&config),
                of: SubjectOf::Config { chain },
            },
            Subject {
                name,
                digest: digest(&manifest),
                of: SubjectOf::Manifest {
                    config: digest(&config),
                },
            },
        ],
        size: 20,
    };
    assert_eq!(store.walk(&manifest), Ok(expected));
}

#[test]
fn an_index_gives_every_image_whose_bytes_are_at_hand() {
    let mut store = Store::default();
    let amd64 = store.image("amd64", &["a"]);
    let arm64 = store.image("arm64", &["b", "c"]);
    let mut attestation = store.image("unknown", &["d"]);
    attestation["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    let mut chart = store.config("amd64", &["e"]);
    chart["mediaType"] = json!("application/vnd.cncf.helm.config.v1+json");
    let chart = store.manifest(&chart, 1);
    let absent = Store::default().image("s390x", &["f"]);
    let mut config_absent = Store::default().config("riscv64", &["g"]);
    config_absent["mediaType"] = json!(OCI_CONFIG);
    let config_absent = store.manifest(&config_absent, 1);
    let all = [
        amd64.clone(),
        attestation,
        arm64,
        chart,
        absent.clone(),
        config_absent,
        amd64,
    ];
    let inner = store.index(&all);
    let outer = store.index(&[inner]);
    let found = store.walk(&outer).unwrap();
    assert_eq!(
        kinds(&found),
        ["config", "manifest", "config", "manifest", "index", "index"]
    );
    assert_eq!(found.size, 30);

    let index = store.index(&[absent]);
    assert_eq!(
        store.walk(&index),
        Err(SubjectsError::NothingAtHand(digest(&index)))
    );
}

#[test]
fn bytes_that_are_not_what_they_are_stored_as_are_refused() {
    let mut store = Store::default();
    let manifest = store.image("amd64", &["a"]);
    let found = store.walk(&manifest).unwrap();
    for subject in &found.subjects {
        let good = store.0.insert(subject.digest, b"{}".to_vec());
        let refused = Err(SubjectsError::Mismatch {
            expected: subject.digest,
            found: Digest::of(b"{}"),
        });
        assert_eq!(store.walk(&manifest), refused);
        store.0.insert(subject.digest, good.unwrap());
    }
}

#[test]
fn what_is_no_startable_image_is_refused_with_the_reason() {
    type Make = fn(&mut Store) -> Value;
    let cases: [(&str, Make); 8] = [
        ("has no layers", |s| s.image("amd64", &[])),
        ("expected 1, found 2", |s| {
            let mut config = s.config("amd64", &["a"]);
            config["mediaType"] = json!(OCI_CONFIG);
            s.manifest(&config, 2)
        }),
        ("another size", |s| {
            let mut config = s.config("amd64", &["a"]);
            config["mediaType"] = json!(OCI_CONFIG);
            config["size"] = json!(1);
            s.manifest(&config, 1)
        }),
        ("is no container image", |s| {
            let config = s.config("amd64", &["a"]);
            s.manifest(&config, 1)
        }),
        ("neither an index nor a manifest", |s| {
            s.put(&json!({"manifests": [], "config": {}, "layers": []}))
        }),
        ("neither an index nor a manifest", |s| {
            s.config("amd64", &["a"])
        }),
        ("is not stored here", |s| {
            let image = s.image("amd64", &["a"]);
            s.0.retain(|key, _| *key == digest(&image));
            image
        }),
        ("a digest starts with 'sha256:'", |s| {
            let config = s.put(&json!({
                "architecture": "amd64", "os": "linux",
                "rootfs": {"type": "layers", "diff_ids": ["sha512:00"]},
            }));
            let mut config = config;
            config["mediaType"] = json!(OCI_CONFIG);
            s.manifest(&config, 1)
        }),
    ];
    for (reason, make) in cases {
        let mut store = Store::default();
        let descriptor = make(&mut store);
        let refused = store.walk(&descriptor).unwrap_err().to_string();
        assert!(
            refused.contains(reason),
            "expected {reason}, found {refused}"
        );
    }
}

#[test]
fn more_subjects_than_a_statement_carries_are_refused() {
    let mut store = Store::default();
    let images: Vec<_> = (0..=MAX_SUBJECTS / 2)
        .map(|number| store.image("amd64", &[&number.to_string()]))
        .collect();
    let index = store.index(&images);
    let refused = store.walk(&index);
    assert!(
        matches!(refused, Err(SubjectsError::TooMany(_))),
        "{refused:?}"
    );
}

#[test]
fn indexes_nested_without_end_are_refused() {
    let mut store = Store::default();
    let mut descriptor = store.image("amd64", &["a"]);
    for _ in 0..8 {
        descriptor = store.index(&[descriptor]);
    }
    let refused = store.walk(&descriptor);
    assert!(
        matches!(refused, Err(SubjectsError::TooMany(_))),
        "{refused:?}"
    );
}

#[test]
fn a_config_without_layers_or_sense_is_refused() {
    for text in [
        "",
        "[]",
        "{}",
        r#"{"architecture":"a","os":"b","rootfs":{"type":"layers"}}"#,
    ] {
        let refused = parse_config::<Infallible>(text.as_bytes());
        assert!(
            matches!(refused, Err(SubjectsError::Parse("config", ..))),
            "{text}"
        );
    }
}
