//! The units, without a systemd that runs them: how much is left to each, and that nothing is misspelt.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test stops at the first surprise"
)]

mod support;

use support::command::sh;
use support::package;
use support::scratch::Scratch;

/// systemd's own measure, from 0 (nothing is left to it) to 10, in tenths; docs/packages.md names them.
const EXPOSURE: [(&str, u8); 3] = [
    ("vcn-hook-sync.service", 12),
    ("vcn-hook-apply.service", 17),
    ("vcn-hook-watch.service", 30),
];

#[test]
fn what_is_left_to_each_service_is_what_the_docs_say() {
    let scratch = Scratch::new("units-exposure");
    let stage = package::staged(&scratch, "/usr");
    let root = format!("--root={}", stage.display());
    let docs = include_str!("../docs/packages.md");
    for (name, tenths) in EXPOSURE {
        // A template is nothing before it has an instance.
        let unit = &name.replace('@', "@srv-ledger");
        let units = stage.join("usr/lib/systemd/system");
        if unit != name {
            std::fs::copy(units.join(name), units.join(unit)).unwrap();
        }
        let most = format!("--threshold={tenths}");
        let said = sh(
            "systemd-analyze",
            &["security", "--offline=true", &root, &most, unit],
        )
        .ok();
        let score = format!("{}.{}", tenths / 10, tenths % 10);
        let sentence = format!("exposure level for {unit}: {score}");
        assert!(said.contains(&sentence), "{said}");
        assert!(docs.contains(&format!("| `{name}` | {score} |")), "{name}");
    }
}

#[test]
fn systemd_knows_every_word_of_the_units() {
    let scratch = Scratch::new("units-words");
    let stage = package::staged(&scratch, "/usr");
    let directory = stage.join("usr/lib/systemd/system");
    let mut units: Vec<_> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path().display().to_string())
        .collect();
    units.sort();
    assert_eq!(units.len(), 7, "{units:?}");
    let mut words = vec!["verify", "--man=no", "--recursive-errors=no"];
    words.extend(units.iter().map(String::as_str));
    // It looks for the program where the unit says that it is, which need not be installed here.
    let said = sh("systemd-analyze", &words).err;
    let other: Vec<_> = said
        .lines()
        .filter(|line| !line.contains("is not executable"))
        .collect();
    assert_eq!(other, Vec::<&str>::new());
}

#[test]
fn a_prefix_reaches_every_path_of_a_unit() {
    let scratch = Scratch::new("units-prefix");
    let stage = package::staged(&scratch, "/opt/v");
    let directory = stage.join("opt/v/lib/systemd/system");
    let text = sh("grep", &["-r", "usr/", directory.to_str().unwrap()]);
    assert_eq!(text.out, "");
}
