//! `verify --deep` on layers that real engines have unpacked: what is whole is found to be, and each
//! way in which something on disk may differ from what was pulled is found and named.
//!
//! A private dockerd, a private Podman and a private containerd. The attacker is root: who else could
//! change a layer.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test file"
)]

mod support;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, lchown, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use support::command::{Ran, command, run, sh};
use support::containerd::containerd;
use support::daemon::Daemon;
use support::image::Image;
use support::machine::Machine;
use support::node::Node;
use support::podman::Podman;
use support::scratch::Scratch;
use support::{binary, program};
use tar::{Builder, EntryType, Header};

/// A layer's archive, written member by member.
struct Archive(Builder<Vec<u8>>);

impl Archive {
    fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    fn header(kind: EntryType, mode: u32) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(1_700_000_000);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(0);
        header
    }

    fn folder(mut self, name: &str, mode: u32) -> Self {
        let mut header = Self::header(EntryType::Directory, mode);
        self.0
            .append_data(&mut header, format!("{name}/"), std::io::empty())
            .unwrap();
        self
    }

    fn file(mut self, name: &str, mode: u32, owner: u64, bytes: &[u8]) -> Self {
        let mut header = Self::header(EntryType::Regular, mode);
        header.set_size(bytes.len() as u64);
        header.set_uid(owner);
        header.set_gid(owner);
        self.0.append_data(&mut header, name, bytes).unwrap();
        self
    }

    fn link(mut self, kind: EntryType, name: &str, target: &str) -> Self {
        let mut header = Self::header(kind, 0o644);
        self.0.append_link(&mut header, name, target).unwrap();
        self
    }

    fn special(mut self, kind: EntryType, name: &str, device: (u32, u32)) -> Self {
        let mut header = Self::header(kind, 0o600);
        header.set_device_major(device.0).unwrap();
        header.set_device_minor(device.1).unwrap();
        self.0
            .append_data(&mut header, name, std::io::empty())
            .unwrap();
        self
    }

    /// PAX records for the member that follows, as Go writes them.
    fn pax(mut self, records: &[(&str, &[u8])]) -> Self {
        let mut body = Vec::new();
        for (key, value) in records {
            let rest = 3 + key.len() + value.len();
            let mut length = rest + 1;
            while length != rest + length.to_string().len() {
                length += 1;
            }
            body.extend_from_slice(format!("{length} {key}=").as_bytes());
            body.extend_from_slice(value);
            body.push(b'\n');
        }
        let mut header = Self::header(EntryType::XHeader, 0o644);
        header.set_size(body.len() as u64);
        header.set_path("PaxHeaders.0/x").unwrap();
        header.set_cksum();
        self.0.append(&header, body.as_slice()).unwrap();
        self
    }

    fn done(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

/// `security.capability` of `cap_net_raw=ep`; a value with a line break and a zero in it.
const CAPABILITY: &[u8] = &[
    1, 0, 0, 2, 0, 0x20, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];
const BIG: usize = 9 << 20;

/// Three layers with all that layers have.
fn many_things(tag: &str) -> Image {
    let long = format!("deep/{}/{}", "l".repeat(120), "n".repeat(140));
    let mut sparse = vec![0; BIG];
    sparse[BIG / 2] = 1;
    let base = Archive::new()
        .folder("bin", 0o755)
        .file("bin/app", 0o755, 0, &b"#!/bin/sh\necho hello\n".repeat(400))
        .file("bin/su", 0o4755, 0, b"set-id")
        .link(EntryType::Link, "bin/app2", "bin/app")
        .link(EntryType::Symlink, "bin/sh", "app")
        .link(EntryType::Link, "bin/sh2", "bin/sh")
        .link(EntryType::Symlink, "bin/ls", "app")
        .folder("etc", 0o755)
        .file("etc/passwd", 0o644, 0, b"root:x:0:0::/:/bin/sh\n")
        .file("etc/shadow", 0o640, 42, b"root:*::::::\n")
        .file("etc/empty", 0o600, 1000, b"")
        .folder("etc/conf.d", 0o750)
        .file("etc/conf.d/a", 0o644, 0, b"a")
        .file("etc/conf.d/b", 0o644, 0, b"b")
        .folder("tmp", 0o1777)
        .special(EntryType::Char, "dev/null", (1, 3))
        .special(EntryType::Fifo, "run/pipe", (0, 0))
        .file(&long, 0o644, 0, b"a long name")
        .file("usr/share/größe/日本", 0o644, 0, b"not ASCII")
        .file("usr/share/sparse", 0o644, 0, &sparse)
        .pax(&[
            ("path", "usr/share/pax-ü".as_bytes()),
            ("uid", b"3000000"),
            ("mtime", b"1700000000.123456789"),
            ("SCHILY.xattr.user.note", b"1\n2"),
            ("SCHILY.xattr.security.capability", CAPABILITY),
        ])
        .file("short", 0o755, 0, b"by PAX")
        .done();
    let middle = Archive::new()
        .folder("etc", 0o755)
        .file("etc/.wh.passwd", 0o644, 0, b"")
        .folder("etc/conf.d", 0o750)
        .file("etc/conf.d/.wh..wh..opq", 0o644, 0, b"")
        .file("etc/conf.d/c", 0o644, 0, b"c")
        // Its directories are not listed.
        .file("opt/app/lib/library.so", 0o644, 0, &b"library".repeat(1000))
        .done();
    let top = Archive::new()
        .folder("./", 0o755)
        .file("./etc/hello", 0o644, 0, b"hello")
        .done();
    Image {
        tag: tag.to_owned(),
        layers: vec![base, middle, top],
        config: json!({"Entrypoint": ["/bin/app"]}),
    }
}

/// What one layer's finding was: paths and what differs.
fn findings(answer: &Value) -> Vec<(usize, String, String)> {
    let layers = answer["deep"]["layers"].as_array().expect("layers");
    let mut found = Vec::new();
    for (place, layer) in layers.iter().enumerate() {
        for difference in layer["differences"].as_array().unwrap() {
            let text = |name: &str| difference[name].as_str().unwrap().to_owned();
            found.push((place, text("path"), text("what")));
        }
    }
    found
}

fn results(answer: &Value) -> Vec<&str> {
    let layers = answer["deep"]["layers"].as_array().expect("layers");
    layers
        .iter()
        .map(|layer| layer["result"].as_str().unwrap())
        .collect()
}

fn remembered(answer: &Value) -> Vec<bool> {
    let layers = answer["deep"]["layers"].as_array().expect("layers");
    layers
        .iter()
        .map(|layer| layer["remembered"].as_bool().unwrap())
        .collect()
}

fn deep(node: &Node, asked: &str, more: &[&str]) -> Ran {
    node.vcn(&[&["verify", "-o", "json", "--deep", asked], more].concat())
}

/// Where the layers of the answer are, bottom first.
fn directories(answer: &Value) -> Vec<PathBuf> {
    let layers = answer["deep"]["layers"].as_array().expect("layers");
    layers
        .iter()
        .map(|layer| PathBuf::from(layer["directory"].as_str().unwrap()))
        .collect()
}

fn xattr(path: &Path, change: &[&str]) {
    sh(
        program("setfattr"),
        &[&["-h"], change, &[path.to_str().unwrap()]].concat(),
    )
    .ok();
}

/// One way to change a layer: how, what is found, and how it is undone.
struct Change {
    name: &'static str,
    make: fn(&Path),
    layer: usize,
    path: &'static str,
    what: &'static str,
    undo: fn(&Path),
}

/// Puts another byte in place and gives the file its time back: its size is the same too.
fn flip(path: &Path) {
    let before = fs::metadata(path).unwrap();
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all(&bytes).unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

const CHANGES: &[Change] = &[
    Change {
        name: "one byte of a program",
        make: |root| flip(&root.join("bin/app")),
        layer: 0,
        path: "/bin/app",
        what: "content",
        undo: |root| flip(&root.join("bin/app")),
    },
    Change {
        name: "one byte of a large file",
        make: |root| flip(&root.join("usr/share/sparse")),
        layer: 0,
        path: "/usr/share/sparse",
        what: "content",
        undo: |root| flip(&root.join("usr/share/sparse")),
    },
    Change {
        name: "a longer file",
        make: |root| fs::write(root.join("etc/empty"), "x").unwrap(),
        layer: 0,
        path: "/etc/empty",
        what: "size",
        undo: |root| fs::write(root.join("etc/empty"), "").unwrap(),
    },
    Change {
        name: "an added file",
        make: |root| fs::write(root.join("etc/ld.so.preload"), "/evil.so").unwrap(),
        layer: 0,
        path: "/etc/ld.so.preload",
        what: "added",
        undo: |root| fs::remove_file(root.join("etc/ld.so.preload")).unwrap(),
    },
    Change {
        name: "an added directory",
        make: |root| fs::create_dir_all(root.join("opt/app/evil/x")).unwrap(),
        layer: 1,
        path: "/opt/app/evil",
        what: "added",
        undo: |root| fs::remove_dir_all(root.join("opt/app/evil")).unwrap(),
    },
    Change {
        name: "a file that is called like a whiteout",
        make: |root| fs::write(root.join("etc/.wh.passwd"), "x").unwrap(),
        layer: 1,
        path: "/etc/.wh.passwd",
        what: "added",
        undo: |root| fs::remove_file(root.join("etc/.wh.passwd")).unwrap(),
    },
    Change {
        name: "an added set-user-id bit",
        make: |root| mode(&root.join("bin/app"), 0o4755),
        layer: 0,
        path: "/bin/app",
        what: "mode",
        undo: |root| mode(&root.join("bin/app"), 0o755),
    },
    Change {
        name: "a directory that everybody may write to",
        make: |root| mode(&root.join("etc"), 0o777),
        layer: 0,
        path: "/etc",
        what: "mode",
        undo: |root| mode(&root.join("etc"), 0o755),
    },
    Change {
        name: "another owner",
        make: |root| lchown(root.join("etc/shadow"), Some(1000), None).unwrap(),
        layer: 0,
        path: "/etc/shadow",
        what: "owner",
        undo: |root| lchown(root.join("etc/shadow"), Some(42), None).unwrap(),
    },
    Change {
        name: "another owner of a symlink",
        make: |root| lchown(root.join("bin/sh"), None, Some(7)).unwrap(),
        layer: 0,
        path: "/bin/sh",
        what: "owner",
        undo: |root| lchown(root.join("bin/sh"), None, Some(0)).unwrap(),
    },
    Change {
        name: "a file that is gone",
        make: |root| fs::rename(root.join("etc/shadow"), root.join("../aside")).unwrap(),
        layer: 0,
        path: "/etc/shadow",
        what: "missing",
        undo: |root| fs::rename(root.join("../aside"), root.join("etc/shadow")).unwrap(),
    },
    Change {
        name: "a symlink in a file's place",
        make: |root| {
            fs::rename(root.join("etc/shadow"), root.join("../aside")).unwrap();
            symlink("/etc/passwd", root.join("etc/shadow")).unwrap();
        },
        layer: 0,
        path: "/etc/shadow",
        what: "kind",
        undo: |root| fs::rename(root.join("../aside"), root.join("etc/shadow")).unwrap(),
    },
    Change {
        name: "a symlink that leads elsewhere",
        make: |root| {
            fs::remove_file(root.join("bin/ls")).unwrap();
            symlink("su", root.join("bin/ls")).unwrap();
        },
        layer: 0,
        path: "/bin/ls",
        what: "link",
        undo: |root| {
            fs::remove_file(root.join("bin/ls")).unwrap();
            symlink("app", root.join("bin/ls")).unwrap();
        },
    },
    Change {
        name: "a hard link that is a copy",
        make: |root| {
            fs::copy(root.join("bin/app2"), root.join("../aside")).unwrap();
            mode(&root.join("../aside"), 0o755);
            fs::rename(root.join("../aside"), root.join("bin/app2")).unwrap();
        },
        layer: 0,
        path: "/bin/app2",
        what: "hard-link",
        undo: |root| {
            fs::remove_file(root.join("bin/app2")).unwrap();
            fs::hard_link(root.join("bin/app"), root.join("bin/app2")).unwrap();
        },
    },
    Change {
        name: "another device",
        make: |root| {
            fs::remove_file(root.join("dev/null")).unwrap();
            node(&root.join("dev/null"), "c", "1", "5");
        },
        layer: 0,
        path: "/dev/null",
        what: "device",
        undo: |root| {
            fs::remove_file(root.join("dev/null")).unwrap();
            node(&root.join("dev/null"), "c", "1", "3");
        },
    },
    Change {
        name: "another value of an attribute",
        make: |root| {
            xattr(
                &root.join("usr/share/pax-ü"),
                &["-n", "user.note", "-v", "1"],
            );
        },
        layer: 0,
        path: "/usr/share/pax-ü",
        what: "xattr",
        undo: |root| {
            xattr(
                &root.join("usr/share/pax-ü"),
                &["-n", "user.note", "-v", "0x310a32"],
            );
        },
    },
    Change {
        name: "a capability that was added",
        make: |root| {
            let path = root.join("bin/app");
            sh(
                program("setcap"),
                &["cap_sys_admin=ep", path.to_str().unwrap()],
            )
            .ok();
        },
        layer: 0,
        path: "/bin/app",
        what: "xattr",
        undo: |root| xattr(&root.join("bin/app"), &["-x", "security.capability"]),
    },
    Change {
        name: "a capability that is gone",
        make: |root| {
            xattr(
                &root.join("usr/share/pax-ü"),
                &["-x", "security.capability"],
            );
        },
        layer: 0,
        path: "/usr/share/pax-ü",
        what: "xattr",
        undo: |root| {
            let value = format!("0x{}", plain_hex(CAPABILITY));
            let change = ["-n", "security.capability", "-v", &value];
            xattr(&root.join("usr/share/pax-ü"), &change);
        },
    },
    Change {
        name: "a directory that overlayfs takes from elsewhere",
        make: |root| {
            xattr(
                &root.join("opt"),
                &["-n", "trusted.overlay.redirect", "-v", "/tmp"],
            );
        },
        layer: 1,
        path: "/opt",
        what: "xattr",
        undo: |root| xattr(&root.join("opt"), &["-x", "trusted.overlay.redirect"]),
    },
    Change {
        name: "a whiteout that is gone",
        make: |root| fs::remove_file(root.join("etc/passwd")).unwrap(),
        layer: 1,
        path: "/etc/passwd",
        what: "missing",
        undo: |root| node(&root.join("etc/passwd"), "c", "0", "0"),
    },
    Change {
        name: "a whiteout that was added",
        make: |root| node(&root.join("etc/shadow"), "c", "0", "0"),
        layer: 1,
        path: "/etc/shadow",
        what: "added",
        undo: |root| fs::remove_file(root.join("etc/shadow")).unwrap(),
    },
    Change {
        name: "a directory that is no longer opaque",
        make: |root| {
            xattr(&root.join("etc/conf.d"), &["-x", "trusted.overlay.opaque"]);
        },
        layer: 1,
        path: "/etc/conf.d",
        what: "missing",
        undo: |root| {
            xattr(
                &root.join("etc/conf.d"),
                &["-n", "trusted.overlay.opaque", "-v", "y"],
            );
        },
    },
    Change {
        name: "a directory that was made opaque",
        make: |root| {
            xattr(
                &root.join("etc"),
                &["-n", "trusted.overlay.opaque", "-v", "y"],
            );
        },
        layer: 2,
        path: "/etc",
        what: "added",
        undo: |root| xattr(&root.join("etc"), &["-x", "trusted.overlay.opaque"]),
    },
];

fn plain_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn node(path: &Path, kind: &str, major: &str, minor: &str) {
    let path = path.to_str().unwrap();
    sh(program("mknod"), &["-m", "600", path, kind, major, minor]).ok();
}

/// Makes each change on its own; it is found, and nothing else is, and once undone all is whole.
fn each_change_is_found(admin: &Node, asked: &str) {
    let whole = deep(admin, asked, &["--again"]).exits(0).json();
    assert_eq!(results(&whole), ["intact"; 3], "{whole}");
    let layers = directories(&whole);
    for change in CHANGES {
        (change.make)(&layers[change.layer]);
        let ran = deep(admin, asked, &[]);
        let answer = ran.json();
        let expected = (change.layer, change.path.to_owned(), change.what.to_owned());
        assert_eq!(findings(&answer), [expected], "{}: {answer}", change.name);
        assert_eq!(ran.code, 13, "{}: {ran:?}", change.name);
        assert_eq!(answer["reason"]["code"], "layer-differs");
        assert_eq!(answer["status"], 2, "{}", change.name);
        (change.undo)(&layers[change.layer]);
    }
    let whole = deep(admin, asked, &[]).exits(0).json();
    assert_eq!(results(&whole), ["intact"; 3], "{whole}");
    assert_eq!(whole["status"], 0);
}

/// Reads config.toml's `[engines]` from a file beside it.
fn engines(node: &Node, text: &str) {
    let folder = node.config().with_file_name("conf.d");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("10-engines.toml"), format!("[engines]\n{text}")).unwrap();
}

#[test]
fn docker_layers_are_whole_or_what_differs_is_named() {
    let scratch = Scratch::new("deep-d");
    let daemon = Daemon::start(&scratch);
    many_things("many:1").load(&daemon);
    let admin = Node::new(&scratch, "node", Some(&daemon));
    admin.notarize("docker://many:1");
    each_change_is_found(&admin, "docker://many:1");
    what_is_unchanged_is_not_read_again(&admin, "docker://many:1");
    people_are_told(&admin, "docker://many:1");
    what_cannot_be_compared_is_never_whole(&admin, &daemon);
    what_nobody_can_find_is_said(&admin);
}

fn what_is_unchanged_is_not_read_again(admin: &Node, asked: &str) {
    // What has just been changed is not remembered yet.
    let settled = || {
        std::thread::sleep(Duration::from_secs(2));
        deep(admin, asked, &[]).exits(0)
    };
    settled();
    let again = deep(admin, asked, &[]).exits(0).json();
    assert_eq!(remembered(&again), [true; 3], "{again}");
    let all = deep(admin, asked, &["--again"]).exits(0).json();
    assert_eq!(remembered(&all), [false; 3], "{all}");
    assert_eq!(
        fs::metadata(admin.state().join("deep.json"))
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o600
    );

    let layers = directories(&all);
    // A new name of an inode, and the byte that it had: the layer is whole, and read.
    flip(&layers[1].join("etc/conf.d/c"));
    flip(&layers[1].join("etc/conf.d/c"));
    let again = deep(admin, asked, &[]).exits(0).json();
    assert_eq!(remembered(&again), [true, false, true], "{again}");
    assert_eq!(results(&again), ["intact"; 3]);
    settled();
    let path = layers[0].join("etc/shadow");
    let copy = path.with_file_name("copy");
    sh(
        "cp",
        &["-a", path.to_str().unwrap(), copy.to_str().unwrap()],
    )
    .ok();
    fs::rename(&copy, &path).unwrap();
    let again = deep(admin, asked, &[]).exits(0).json();
    assert_eq!(remembered(&again), [false, true, true], "{again}");
    // A memory that others can write to is none.
    settled();
    mode(&admin.state().join("deep.json"), 0o666);
    let again = deep(admin, asked, &[]).exits(0).json();
    assert_eq!(remembered(&again), [false; 3], "{again}");
}

fn people_are_told(admin: &Node, asked: &str) {
    let text = |code| {
        let ran = admin.vcn(&["verify", "--deep", "--again", asked]);
        ran.exits(code)
    };
    let whole = text(0).out;
    assert!(
        whole.contains("Status:  \"TRUSTED\"\nLayers:  3 intact\n"),
        "{whole}"
    );
    on_a_terminal_the_progress_is_drawn_and_removed(admin, asked);
    let layers = directories(&deep(admin, asked, &[]).json());
    for n in 0..12 {
        fs::write(layers[1].join(format!("opt/{n:02}\u{1b}")), "").unwrap();
    }
    mode(&layers[0].join("bin/app"), 0o4755);
    let told = text(13);
    for said in [
        "Status:  \"UNKNOWN\"\nLayers:  1 intact, 2 not what was unpacked\n",
        "  /bin/app: mode, was 0755, is 4755\n",
        "  /opt/00\\u{1b}: added, file\n",
        "  and 2 more\n",
    ] {
        assert!(told.out.contains(said), "{told:?}");
    }
    let why = "is not what was unpacked: /bin/app (mode) (layer-differs); find out who changed it";
    assert!(told.err.contains(why), "{told:?}");
    let quoted = format!("'{}'", layers[0].display());
    assert!(told.err.contains(&quoted), "{told:?}");
    mode(&layers[0].join("bin/app"), 0o755);
    for n in 0..12 {
        fs::remove_file(layers[1].join(format!("opt/{n:02}\u{1b}"))).unwrap();
    }
    text(0);
}

fn on_a_terminal_the_progress_is_drawn_and_removed(admin: &Node, asked: &str) {
    let (program, config) = (binary(), admin.config());
    let line = format!(
        "exec {} -c {} verify --deep --again {asked}",
        program.display(),
        config.display()
    );
    let watched = |before: &str| {
        let mut command = command("script", ["-qec", &format!("{before}{line}"), "/dev/null"]);
        admin.environment(&mut command);
        run(command).exits(0).out
    };
    let shown = watched("");
    let (bar, answer) = shown
        .split_once("\r\u{1b}[K")
        .expect("a line that is removed");
    let parts: Vec<_> = bar.trim_start_matches('\r').split("\u{1b}[K").collect();
    assert!(
        parts[0].starts_with('[') && parts[0].contains("%  ") && parts[0].contains(" of 9.4 MB"),
        "{shown:?}"
    );
    assert!(answer.contains("Layers:  3 intact"), "{shown:?}");
    // Whoever keeps what is said has no use for it.
    let kept = watched("exec 2>/dev/null; ");
    assert!(
        !kept.contains('%') && !kept.contains("\u{1b}[K"),
        "{kept:?}"
    );
}

fn what_cannot_be_compared_is_never_whole(admin: &Node, daemon: &Daemon) {
    let store = daemon.root().join("image/overlay2/layerdb/sha256");
    let records = fs::read_dir(store)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let record = records.min().unwrap().join("tar-split.json.gz");
    let bytes = fs::read(&record).unwrap();
    for broken in [&bytes[..bytes.len() / 2], b"", b"no gzip"] {
        fs::write(&record, broken).unwrap();
        let ran = deep(admin, "docker://many:1", &["--again"]).exits(15);
        let answer = ran.json();
        assert_eq!(answer["reason"]["code"], "unreadable", "{answer}");
        assert_eq!(
            (&answer["status"], &answer["verified"]),
            (&json!(2), &json!(false))
        );
        let undecidable = results(&answer)
            .iter()
            .filter(|r| **r == "undecidable")
            .count();
        assert_eq!(undecidable, 1, "{answer}");
    }
    fs::remove_file(&record).unwrap();
    deep(admin, "docker://many:1", &["--again"]).exits(15);
    fs::write(&record, bytes).unwrap();
    deep(admin, "docker://many:1", &["--again"]).exits(0);
}

fn what_nobody_can_find_is_said(admin: &Node) {
    for (asked, code, why) in [
        ("docker://none:1", 15, "no such image"),
        (
            "none",
            15,
            "no container of Docker's or Podman's is called so",
        ),
        ("container://none", 15, "no container"),
        (
            "oci:/tmp/layout",
            64,
            "give docker://REF, podman://REF or a container",
        ),
        ("file:///etc/passwd", 64, "give docker://REF"),
    ] {
        let ran = admin.vcn(&["verify", "--deep", asked]);
        assert!(ran.err.contains(why), "{ran:?}");
        ran.exits(code);
    }
    admin
        .vcn(&["verify", "--again", "docker://many:1"])
        .exits(64);
    let mut user = command(program("setpriv"), ["--reuid=65534", "--clear-groups"]);
    user.arg(binary())
        .args(["verify", "--deep", "docker://many:1"]);
    let ran = run(user);
    assert!(ran.err.contains("run it as root"), "{ran:?}");
}

#[test]
fn a_container_is_compared_by_its_name_its_id_or_its_beginning() {
    let scratch = Scratch::new("deep-c");
    let daemon = Daemon::start(&scratch);
    let podman = Podman::new(&scratch);
    let app = Image::app("app:1");
    app.load(&daemon);
    podman.load(&Image::app("localhost/app:1"));
    let admin = Node::new(&scratch, "node", Some(&daemon)).with_storage(&podman.root());
    admin.notarize("docker://app:1");

    let id = daemon.create(&["--name", "web", "--entrypoint=/bin/sleep", "app:1", "60"]);
    podman.create(&[
        "--name",
        "pod-web",
        "--entrypoint=[\"/bin/sleep\"]",
        "app:1",
        "60",
    ]);
    daemon.docker(&["start", "web"]).ok();
    podman.podman(&["start", "pod-web"]).ok();
    let pod = podman.id("pod-web");
    for asked in [
        "web",
        &id,
        &id[..12],
        "container://web",
        "pod-web",
        &pod,
        &pod[..12],
    ] {
        let answer = deep(&admin, asked, &[]).exits(0).json();
        assert_eq!(results(&answer), ["intact"; 3], "{asked}: {answer}");
        assert_eq!(answer["hash"], app.id()["sha256:".len()..], "{asked}");
    }
    // A container's own files are not the image's.
    daemon.docker(&["exec", "web", "touch", "/etc/own"]).ok();
    deep(&admin, "web", &[]).exits(0);

    daemon.create(&["--name", "web2", "app:1"]);
    let layers = directories(&deep(&admin, "web", &[]).json());
    fs::write(layers[2].join("etc/evil"), "").unwrap();
    for asked in ["web", "web2", "docker://app:1"] {
        let answer = deep(&admin, asked, &[]).exits(13).json();
        assert_eq!(
            findings(&answer),
            [(2, "/etc/evil".to_owned(), "added".to_owned())]
        );
    }
    deep(&admin, "pod-web", &[]).exits(0);
    podman.podman(&["kill", "pod-web"]).ok();
    daemon.clear();

    // Its record says another image's config than that whose layers it is on: the ledger does not know both.
    let other = app.with_other_config("other:1");
    other.load(&daemon);
    daemon.create(&["--name", "swapped", "other:1"]);
    deep(&admin, "swapped", &[]).exits(13);
    fs::remove_file(layers[2].join("etc/evil")).unwrap();
    deep(&admin, "swapped", &[]).exits(2);
}

#[test]
fn layers_that_engines_made_themselves_are_whole() {
    let scratch = Scratch::new("deep-b");
    let daemon = Daemon::start(&scratch);
    let podman = Podman::new(&scratch);
    Image::app("app:1").load(&daemon);
    podman.load(&Image::app("localhost/app:1"));
    let admin = Node::new(&scratch, "node", Some(&daemon)).with_storage(&podman.root());
    let work = "rm /bin/wget; rm -r /data; mkdir /data; echo x >/data/x; ln /bin/app /bin/twin; \
                chmod 4711 /bin/app; mkdir -p /srv/a/b; ln -s b /srv/a/c; cp /bin/cat /srv/a/b/";
    for tag in ["app:1", "localhost/app:1"] {
        let run = ["--name", "made", "--entrypoint=/bin/sh", tag, "-c", work];
        let commit = ["commit", "made", "made:1"];
        if tag == "app:1" {
            daemon.create(&run);
            daemon.docker(&["start", "-a", "made"]).ok();
            daemon.docker(&commit).ok();
        } else {
            podman.create(&run);
            podman.podman(&["start", "-a", "made"]).ok();
            podman.podman(&commit).ok();
        }
    }
    for asked in ["docker://made:1", "podman://made:1"] {
        let answer = deep(&admin, asked, &[]).exits(2).json();
        assert_eq!(results(&answer), ["intact"; 4], "{answer}");
        let top = &directories(&answer)[3];
        fs::remove_file(top.join("bin/wget")).unwrap();
        xattr(&top.join("data"), &["-x", "trusted.overlay.opaque"]);
        let mut found = findings(&deep(&admin, asked, &[]).exits(13).json());
        found.sort();
        let missing = |path: &str| (3, path.to_owned(), "missing".to_owned());
        assert_eq!(
            found,
            [missing("/bin/wget"), missing("/data")].map(|f| f)[..],
            "{asked}"
        );
    }
}

#[test]
fn layers_for_a_user_namespace_have_its_owners() {
    let scratch = Scratch::new("deep-u");
    let machine = Machine::of_host(&scratch);
    machine.write("/etc/subuid", "dockremap:231072:65536\n");
    machine.write("/etc/subgid", "dockremap:331072:65536\n");
    machine.write("/etc/docker/daemon.json", "{\"userns-remap\": \"default\"}");
    machine.dockerd();
    let image = Archive::new()
        .folder("etc", 0o755)
        .file("etc/own", 0o640, 42, b"x")
        .done();
    let image = Image {
        tag: "own:1".to_owned(),
        layers: vec![image],
        config: json!({}),
    };
    machine.write("/root/own.tar", image.archive());
    machine
        .run(&["docker", "load", "-q", "-i", "/root/own.tar"])
        .ok();
    let admin = Node::new(&scratch, "node", None);
    let root = machine.path("/var/lib/docker");
    let remapped = root.join("231072.331072");
    engines(&admin, &format!("docker_roots = [{remapped:?}]\n"));
    let answer = deep(&admin, "docker://own:1", &[]).exits(2).json();
    assert_eq!(results(&answer), ["intact"], "{answer}");
    let file = directories(&answer)[0].join("etc/own");
    lchown(&file, Some(42), Some(42)).unwrap();
    let answer = deep(&admin, "docker://own:1", &[]).exits(13).json();
    let found = &answer["deep"]["layers"][0]["differences"][0];
    assert_eq!(
        (&found["expected"], &found["found"]),
        (&json!("231114:331114"), &json!("42:42"))
    );
}

#[test]
fn podman_layers_are_whole_or_what_differs_is_named() {
    let scratch = Scratch::new("deep-p");
    let podman = Podman::new(&scratch);
    podman.load(&many_things("localhost/many:1"));
    let admin = Node::of_podman(&scratch, "node", &podman);
    admin.notarize("podman://many:1");
    each_change_is_found(&admin, "podman://many:1");
}

#[test]
fn containerd_layers_are_compared_with_the_blobs_that_were_pulled() {
    let scratch = Scratch::new("deep-s");
    let (root, ctr) = containerd(&scratch);
    let archive = scratch.join("many.tar");
    fs::write(&archive, many_things("many:1").archive()).unwrap();
    // Packed, as a registry has them.
    let packed = scratch.join("packed.tar");
    let from = format!("docker-archive:{}", archive.display());
    let to = format!("oci-archive:{}:1", packed.display());
    sh(
        program("skopeo"),
        &["--insecure-policy", "copy", &from, &to],
    )
    .ok();
    let base = "--base-name=docker.io/library/many";
    ctr(&["images", "import", base, packed.to_str().unwrap()]).ok();

    let admin = Node::new(&scratch, "node", None);
    let nowhere = scratch.folder("no-docker");
    engines(
        &admin,
        &format!("docker_roots = [{nowhere:?}]\ncontainerd_roots = [{root:?}]\n"),
    );
    admin.notarize("docker://many:1");
    each_change_is_found(&admin, "docker://many:1");

    let blobs = root.join("io.containerd.content.v1.content/blobs/sha256");
    let blobs = fs::read_dir(blobs)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let layer = blobs
        .filter(|path| fs::read(path).unwrap().starts_with(&[0x1f, 0x8b]))
        .min()
        .unwrap();
    let bytes = fs::read(&layer).unwrap();
    flip(&layer);
    let answer = deep(&admin, "docker://many:1", &["--again"])
        .exits(15)
        .json();
    assert_eq!(answer["verified"], false, "{answer}");
    fs::remove_file(&layer).unwrap();
    let ran = deep(&admin, "docker://many:1", &["--again"]).exits(15);
    assert!(ran.err.contains("no longer has its blob"), "{ran:?}");
    fs::write(&layer, bytes).unwrap();
    deep(&admin, "docker://many:1", &["--again"]).exits(0);
}
