//! `verify --deep` beside `openssl dgst -sha256` of the same bytes, from the page cache, by turns.
//!
//! Two baselines, each with a process for a layer: one hashes the layer's archive, a single file; the
//! other the very files that are compared. Neither of them compares anything.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::race::{Runner, race};
use crate::report::{Report, reach};
use crate::resident;
use crate::support::daemon::Daemon;
use crate::support::image::Image;
use crate::support::node::Node;
use crate::support::scratch::Scratch;
use crate::support::{binary, program};

const ROUNDS: usize = 20;

/// What is measured: the files of this machine that each layer has.
const LAYERS: [(&str, &[&[&str]]); 3] = [
    ("large files, one layer", &[&["large-1"]]),
    (
        "large files, two layers on two cores",
        &[&["large-1"], &["large-2"]],
    ),
    (
        "a system's small files, one layer",
        &[&[
            "usr/sbin",
            "usr/lib/python3",
            "usr/share/perl",
            "usr/share/zoneinfo",
        ]],
    ),
];

pub fn deep(report: &mut Report, scratch: &Scratch, maxrss: &Path) {
    let daemon = Daemon::start(scratch);
    let node = Node::new(scratch, "deep", Some(&daemon));
    report.section(
        "Every byte of a layer",
        "`verify --deep --again` of a Docker image, beside `openssl dgst -sha256` of its layers' archives, and of \
         all files in its layers' directories: one process of openssl for each layer; page cache warm.",
        &[
            "image",
            "MB",
            "files",
            "openssl, archives ms",
            "openssl, files ms",
            "deep ms",
            "MB/s",
            "peak RSS KiB",
            "x archives",
            "x files",
        ],
    );
    for (at, (name, layers)) in LAYERS.iter().enumerate() {
        let archives: Vec<_> = layers
            .iter()
            .enumerate()
            .map(|(layer, files)| archive(scratch, &format!("{at}-{layer}.tar"), files))
            .collect();
        let tag = format!("deep:{at}");
        let image = Image {
            tag: tag.clone(),
            layers: archives
                .iter()
                .map(|path| fs::read(path).unwrap())
                .collect(),
            config: json!({}),
        };
        image.load(&daemon);
        let bytes: usize = image.layers.iter().map(Vec::len).sum();
        drop(image);
        let reference = format!("docker://{tag}");
        node.notarize(&reference);
        let lists = lists(scratch, &node, &reference);
        let config = node.config();
        let config = config.to_str().unwrap();
        let words = ["-c", config, "verify", "--deep", "--again", &reference];
        let ours = Runner::new(binary(), words);
        let runners = [
            at_once(&archives, ""),
            at_once(&lists, "xargs -0 -s 2000000 -a "),
            ours,
        ];
        let times = race(&runners, ROUNDS);
        let milliseconds = |at: usize| times[at].median().as_secs_f64() * 1e3;
        let megabytes = f64::from(u32::try_from(bytes).unwrap()) / 1e6;
        let beside = |at: usize| {
            let ratio = times[2].ratio(&times[at]);
            format!("{ratio:.2} ({})", reach(ratio, 1.2, "x"))
        };
        let files: usize = lists.iter().map(|path| entries(path)).sum();
        report.row(&[
            (*name).to_owned(),
            format!("{megabytes:.0}"),
            files.to_string(),
            format!("{:.0}", milliseconds(0)),
            format!("{:.0}", milliseconds(1)),
            format!("{:.0}", milliseconds(2)),
            format!("{:.0}", megabytes / milliseconds(2) * 1e3),
            resident(maxrss, &runners[2]).to_string(),
            beside(0),
            beside(1),
        ]);
    }
}

/// `openssl dgst -sha256` for each of the paths, all at once.
fn at_once(paths: &[PathBuf], through: &str) -> Runner {
    let openssl = program("openssl");
    let each = paths.iter().map(|path| {
        let (openssl, path) = (openssl.display(), path.display());
        match through {
            "" => format!("{openssl} dgst -sha256 {path} & "),
            through => format!("{through}{path} {openssl} dgst -sha256 & "),
        }
    });
    let script = each.collect::<String>() + "wait";
    Runner::new(program("sh"), ["-c", &script])
}

/// For each layer of an image, a list of all files in its directory.
fn lists(scratch: &Scratch, node: &Node, reference: &str) -> Vec<PathBuf> {
    let ran = node.vcn(&["verify", "-o", "json", "--deep", reference]);
    let answer = ran.exits(0).json();
    let layers = answer["deep"]["layers"].as_array().unwrap();
    let list = |(at, layer): (usize, &Value)| {
        let path = scratch.join(&format!("list-{at}"));
        let found = Command::new(program("find"))
            .arg(layer["directory"].as_str().unwrap())
            .args(["-type", "f", "-print0"])
            .stdout(fs::File::create(&path).unwrap())
            .status();
        assert!(found.unwrap().success(), "find");
        path
    };
    layers.iter().enumerate().map(list).collect()
}

fn entries(list: &Path) -> usize {
    let listed = fs::read(list).unwrap();
    listed.iter().filter(|byte| **byte == 0).count()
}

/// The archive of a layer with these files of the machine, or with ones that are made.
fn archive(scratch: &Scratch, name: &str, files: &[&str]) -> PathBuf {
    let path = scratch.join(name);
    let made = scratch.folder("made");
    let mut tar = Command::new(program("tar"));
    tar.args(["--sort=name", "--hard-dereference", "-cf"])
        .arg(&path);
    for file in files {
        if file.starts_with("large") {
            let bytes: Vec<u8> = (0..24_u32 << 20)
                .map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[0])
                .collect();
            for part in 0..4 {
                fs::create_dir_all(made.join(file)).unwrap();
                fs::write(made.join(file).join(part.to_string()), &bytes).unwrap();
            }
            tar.arg("-C").arg(&made).arg(file);
        } else {
            tar.args(["-C", "/", file]);
        }
    }
    assert!(tar.status().unwrap().success(), "tar");
    path
}
