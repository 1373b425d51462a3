//! Images made here, byte for byte the same at each run.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;
use tar::{Builder, EntryType, Header};

/// Programs that the images find in their busybox.
const APPLETS: &[&str] = &[
    "sh", "echo", "cat", "sleep", "true", "ls", "touch", "id", "cp", "mv", "ln", "mkdir", "env",
    "wget",
];

/// What the app of a fresh image says.
pub const SAYS: &str = "the notarized app speaks";

/// What foreign code says where it runs.
pub const EVIL: &str = "FOREIGN CODE RUNS";

/// One file of a layer.
#[derive(Debug, Clone)]
pub enum Node {
    File(Vec<u8>, u32),
    Link(String),
    Folder,
}

/// A script that says `text`.
pub fn script(text: &str) -> Node {
    Node::File(format!("#!/bin/sh\necho {text}\n").into_bytes(), 0o755)
}

/// An image as a list of uncompressed layers and a config.
#[derive(Debug, Clone)]
pub struct Image {
    pub tag: String,
    pub layers: Vec<Vec<u8>>,
    pub config: Value,
}

impl Image {
    /// Three layers: busybox, an app that speaks, and its settings.
    pub fn app(tag: &str) -> Self {
        Self::saying(tag, SAYS)
    }

    /// The same with another app.
    pub fn saying(tag: &str, text: &str) -> Self {
        let busybox = fs::read("/bin/busybox").expect("busybox-static is installed");
        let mut base = vec![("bin/busybox".to_owned(), Node::File(busybox, 0o755))];
        base.extend(
            APPLETS
                .iter()
                .map(|applet| (format!("bin/{applet}"), Node::Link("busybox".to_owned()))),
        );
        for folder in ["etc", "tmp", "data", "proc", "sys", "dev"] {
            base.push((folder.to_owned(), Node::Folder));
        }
        let app = vec![("bin/app".to_owned(), script(text))];
        let settings = vec![
            (
                "etc/app.conf".to_owned(),
                Node::File(b"greeting = hello\n".to_vec(), 0o644),
            ),
            ("opt/current".to_owned(), Node::Link("../bin".to_owned())),
            ("usr/bin".to_owned(), Node::Link("../bin".to_owned())),
        ];
        Self {
            tag: tag.to_owned(),
            layers: vec![layer(&base), layer(&app), layer(&settings)],
            config: json!({"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "Entrypoint": ["/bin/app"], "WorkingDir": "/"}),
        }
    }

    /// The n-th of many images that are never started: one file, and another config for each.
    pub fn tiny(n: usize) -> Self {
        let file = ("data/n".to_owned(), Node::File(vec![b'n'], 0o644));
        Self {
            tag: format!("tiny:{n}"),
            layers: vec![layer(&[file])],
            config: json!({"Env": [format!("N={n}")]}),
        }
    }

    /// The same image under another name.
    pub fn with_tag(mut self, tag: &str) -> Self {
        tag.clone_into(&mut self.tag);
        self
    }

    /// The same layers under another config, and so another image ID with the same chain.
    pub fn with_other_config(&self, tag: &str) -> Self {
        let mut other = self.clone();
        tag.clone_into(&mut other.tag);
        other.config["Env"] = json!(["PATH=/bin", "EVIL=1"]);
        other.config["Entrypoint"] = json!(["/bin/echo", EVIL]);
        other
    }

    /// One more layer on top.
    pub fn with_layer(mut self, files: &[(&str, Node)]) -> Self {
        let files: Vec<_> = files
            .iter()
            .map(|(name, node)| ((*name).to_owned(), node.clone()))
            .collect();
        self.layers.push(layer(&files));
        self
    }

    /// As many layers as the kernel's option page no longer holds with absolute paths.
    pub fn with_layers(mut self, total: usize) -> Self {
        for n in self.layers.len()..total {
            let file = (
                format!("data/{n}"),
                Node::File(n.to_string().into_bytes(), 0o644),
            );
            self.layers.push(layer(&[file]));
        }
        self
    }

    /// The bytes of the config: their digest is the image ID.
    pub fn config_bytes(&self) -> Vec<u8> {
        let diff_ids: Vec<_> = self.layers.iter().map(|layer| digest(layer)).collect();
        let history: Vec<_> = diff_ids
            .iter()
            .map(|_| json!({"created_by": "vcn-hook tests"}))
            .collect();
        let value = json!({
            "architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z",
            "config": self.config, "history": history,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        serde_json::to_vec(&value).unwrap()
    }

    /// `sha256:...` of the config.
    pub fn id(&self) -> String {
        digest(&self.config_bytes())
    }

    /// `sha256:...` of the stack of layers.
    pub fn chain(&self) -> String {
        let mut chain = digest(&self.layers[0]);
        for layer in &self.layers[1..] {
            chain = digest(format!("{chain} {}", digest(layer)).as_bytes());
        }
        chain
    }

    /// A docker-archive, as `docker load` and `docker-archive:` read it.
    pub fn archive(&self) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        let config = self.config_bytes();
        let config_name = format!("{}.json", hex(&config));
        let mut names = Vec::new();
        for layer in &self.layers {
            let name = format!("{}/layer.tar", hex(layer));
            append(&mut builder, &name, &Node::File(layer.clone(), 0o644));
            names.push(name);
        }
        append(&mut builder, &config_name, &Node::File(config, 0o644));
        let manifest = json!([{"Config": config_name, "RepoTags": [self.tag], "Layers": names}]);
        append(
            &mut builder,
            "manifest.json",
            &Node::File(serde_json::to_vec(&manifest).unwrap(), 0o644),
        );
        builder.into_inner().unwrap()
    }

    /// Loads it and checks that the engine gave it the expected ID.
    #[track_caller]
    pub fn load(&self, daemon: &super::daemon::Daemon) -> &Self {
        daemon.docker_with(&["load", "-q"], &self.archive()).ok();
        let id = daemon
            .docker(&["image", "inspect", "--format", "{{.Id}}", &self.tag])
            .ok();
        assert_eq!(id, self.id());
        self
    }
}

/// One layer; parents come first, times and owners are zero.
pub fn layer(files: &[(String, Node)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    let mut folders = std::collections::BTreeSet::new();
    for (name, node) in files {
        let parents: Vec<_> = name.match_indices('/').map(|(at, _)| &name[..at]).collect();
        for parent in parents {
            if folders.insert(parent.to_owned()) {
                append(&mut builder, parent, &Node::Folder);
            }
        }
        if !matches!(node, Node::Folder) || folders.insert(name.clone()) {
            append(&mut builder, name, node);
        }
    }
    builder.into_inner().unwrap()
}

fn append(builder: &mut Builder<Vec<u8>>, name: &str, node: &Node) {
    let mut header = Header::new_gnu();
    header.set_mtime(0);
    match node {
        Node::File(bytes, mode) => {
            header.set_mode(*mode);
            header.set_size(bytes.len() as u64);
            builder
                .append_data(&mut header, name, bytes.as_slice())
                .unwrap();
        }
        Node::Link(target) => {
            header.set_entry_type(EntryType::Symlink);
            header.set_mode(0o777);
            header.set_size(0);
            builder.append_link(&mut header, name, target).unwrap();
        }
        Node::Folder => {
            header.set_entry_type(EntryType::Directory);
            header.set_mode(0o755);
            header.set_size(0);
            builder
                .append_data(&mut header, format!("{name}/"), std::io::empty())
                .unwrap();
        }
    }
}

pub fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// `sha256:...` of the bytes.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(bytes))
}
