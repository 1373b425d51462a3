use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::{Layout, chain_of_config, expected_layers, image_layers, is_build, read_record};
use crate::engine::Rootfs;
use crate::engine::mounts::follow_links;
use crate::image::digest::{ChainId, Digest};
use crate::verdict::ReasonCode;

const ID: &str = "3d9c0000000000000000000000000000000000000000000000000000000000aa";

/// A data root with one container of a three-layer image.
struct Store {
    directory: tempfile::TempDir,
    chain: ChainId,
}

impl Store {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let diffs: Vec<Digest> = (0..3_u8).map(|n| Digest::of(&[n])).collect();
        let mut store = Self {
            directory,
            chain: ChainId::from_digest(diffs[0]),
        };
        for (n, diff) in diffs.iter().enumerate() {
            let parent = (n > 0).then_some(store.chain);
            store.chain =
                parent.map_or_else(|| ChainId::from_digest(*diff), |chain| chain.push(diff));
            store.write(&store.layer("diff"), &diff.to_string());
            store.write(&store.layer("cache-id"), &format!("cache{n}"));
            if let Some(parent) = parent {
                store.write(&store.layer("parent"), &parent.to_string());
            }
        }
        let mount = |name: &str| format!("image/overlay2/layerdb/mounts/{ID}/{name}");
        store.write(&mount("mount-id"), "mid");
        store.write(&mount("init-id"), "mid-init");
        store.write(&mount("parent"), &store.chain.to_string());
        store.write_record(ID, "overlay2");
        store
    }

    fn root(&self) -> &Path {
        self.directory.path()
    }

    /// The name of a file of the topmost layer.
    fn layer(&self, name: &str) -> String {
        let hex = self.chain.digest().hex();
        format!("image/overlay2/layerdb/sha256/{hex}/{name}")
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.root().join(name);
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("made");
        std::fs::write(path, text).expect("written");
    }

    fn write_record(&self, id: &str, driver: &str) {
        let config = Digest::of(b"config");
        let record = format!(
            r#"{{"StreamConfig":{{}},"ID":"{id}","Image":"{config}","Driver":"{driver}","Name":"/web",
            "Config":{{"Image":"app:1","Labels":{{"a":"b"}}}},"HasBeenStartedBefore":false}}"#
        );
        self.write(&format!("containers/{ID}/config.v2.json"), &record);
    }

    fn layout(&self) -> Layout {
        let rootfs = self.root().join("overlay2/mid/merged");
        Layout::of(&rootfs, &[self.root().to_path_buf()]).expect("it is listed")
    }

    fn expected(&self) -> Result<(ChainId, Rootfs), ReasonCode> {
        expected_layers(&self.layout(), ID, |chain| image_layers(self.root(), chain))
            .map_err(|undecided| undecided.0.code)
    }
}

#[test]
fn walks_the_layer_store_to_the_bottom() {
    let store = Store::new();
    let directory = |id: &str| store.root().join("overlay2").join(id).join("diff");
    let rootfs = Rootfs {
        path: store.root().join("overlay2/mid/merged"),
        lowers: ["mid-init", "cache2", "cache1", "cache0"]
            .map(directory)
            .to_vec(),
        upper: Some(directory("mid")),
    };
    assert_eq!(store.expected(), Ok((store.chain, rootfs)));
}

#[test]
fn refuses_a_layer_store_that_contradicts_itself() {
    let other = ChainId::from_digest(Digest::of(b"other")).to_string();
    let mount = |name: &str| format!("image/overlay2/layerdb/mounts/{ID}/{name}");
    let layer = |name: &str| Store::new().layer(name);
    for (file, text, code) in [
        (mount("mount-id"), "another", ReasonCode::Unbound),
        (mount("init-id"), "another-init", ReasonCode::Unbound),
        (mount("parent"), other.as_str(), ReasonCode::Unreadable),
        (mount("parent"), "", ReasonCode::Unreadable),
        (layer("diff"), other.as_str(), ReasonCode::Unreadable),
        (layer("parent"), other.as_str(), ReasonCode::Unreadable),
        (layer("cache-id"), "../../evil", ReasonCode::Unreadable),
        (layer("cache-id"), "", ReasonCode::Unreadable),
    ] {
        let store = Store::new();
        store.write(&file, text);
        assert_eq!(store.expected().map(|_| ()), Err(code), "{file} = '{text}'");
    }
}

#[test]
fn refuses_a_record_of_another_container_or_driver() {
    for (id, driver, code) in [
        (ID, "overlay2", None),
        ("other", "overlay2", Some(ReasonCode::NoIdentity)),
        (ID, "vfs", Some(ReasonCode::NoIdentity)),
    ] {
        let store = Store::new();
        store.write_record(id, driver);
        let refused = read_record(store.root(), ID, "overlay2")
            .err()
            .map(|undecided| undecided.0.code);
        assert_eq!(refused, code, "{id} {driver}");
    }
}

#[test]
fn follows_short_links_within_the_driver_only() {
    let store = Store::new();
    let home = store.root().join("overlay2");
    store.write("overlay2/l/README", "");
    symlink("../cache1/diff", home.join("l/ABC")).expect("linked");
    let lowers = vec![home.join("l/ABC"), home.join("cache0/diff")];
    let followed = follow_links(&home, lowers).expect("the link is there");
    assert_eq!(
        followed,
        [home.join("cache1/diff"), home.join("cache0/diff")]
    );
    let gone = follow_links(&home, vec![home.join("l/GONE")]);
    assert_eq!(
        gone.err().map(|undecided| undecided.0.code),
        Some(ReasonCode::Unreadable)
    );
}

#[test]
fn knows_the_roots_that_are_listed() {
    let listed = [PathBuf::from("/var/lib/docker")];
    for (path, known) in [
        ("/var/lib/docker/overlay2/m/merged", true),
        ("/var/lib/docker/100000.100000/overlay2/m/merged", true),
        ("/var/lib/docker/x.100000/overlay2/m/merged", false),
        ("/var/lib/docker/100000./overlay2/m/merged", false),
        ("/home/eve/docker/overlay2/m/merged", false),
        ("/var/lib/docker/overlay2/m/diff", false),
        ("/var/lib/docker/volumes/v/_data/overlay2/m/merged", false),
        ("/overlay2/m/merged", false),
    ] {
        let layout = Layout::of(Path::new(path), &listed);
        assert_eq!(layout.is_some(), known, "{path}");
    }
    for (path, build) in [
        ("/var/lib/docker/buildkit/executor/abc/rootfs", true),
        ("/tmp/buildkit/executor/abc/rootfs", false),
        ("/var/lib/docker/executor/abc/rootfs", false),
    ] {
        assert_eq!(is_build(Path::new(path), &listed), build, "{path}");
    }
}

#[test]
fn reads_the_chain_of_an_image_whose_config_is_that_image() {
    let store = Store::new();
    let diffs = [Digest::of(b"1"), Digest::of(b"2")];
    let text = format!(
        r#"{{"architecture":"amd64","rootfs":{{"type":"layers","diff_ids":["{}","{}"]}}}}"#,
        diffs[0], diffs[1]
    );
    let config = Digest::of(text.as_bytes());
    let name = format!("image/overlay2/imagedb/content/sha256/{}", config.hex());
    store.write(&name, &text);
    assert_eq!(
        chain_of_config(&store.root().join(&name), &config).ok(),
        ChainId::of_layers(&diffs)
    );
    store.write(&name, &text.replace("amd64", "arm64"));
    let refused = chain_of_config(&store.root().join(&name), &config)
        .err()
        .map(|undecided| undecided.0.code);
    assert_eq!(refused, Some(ReasonCode::Unreadable));
}
