//! The manual: it has every command and option of the program that it comes with, every exit code and every setting.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::path::Path;

use support::binary;
use support::command::{command, run, sh};
use support::package;
use support::scratch::Scratch;
use vcn_hook::verdict::{ReasonCode, exit};

/// A page as a reader sees it, on lines that are never broken; what is wrong with its source fails.
fn page(stage: &Path, name: &str) -> String {
    let path = stage.join("usr/share/man").join(name);
    let mut man = command(
        "man",
        ["--warnings", "-E", "UTF-8", "-l", path.to_str().unwrap()],
    );
    man.env("MANWIDTH", "1000")
        .env("MAN_KEEP_FORMATTING", "")
        .env("MANPAGER", "cat");
    let read = run(man);
    assert_eq!(read.err, "", "{name}");
    read.ok()
}

/// A command's own words, options and arguments, and those of the commands below it.
fn words(path: &[&str], found: &mut Vec<String>) {
    let help = sh(binary(), &[path, &["--help"]].concat()).ok();
    let mut section = "";
    for line in help.lines() {
        match line {
            "Options:" | "Arguments:" | "Commands:" => section = line,
            "" => section = "",
            item if !section.is_empty() => {
                let name = item.trim().split("  ").next().unwrap();
                if section == "Commands:" && name != "help" {
                    let path = [path, &[name]].concat();
                    found.push(format!("vcn-hook {}", path.join(" ")));
                    words(&path, found);
                } else if name != "help" {
                    found.push(name.to_owned());
                }
            }
            _ => {}
        }
    }
}

#[test]
fn it_has_every_command_every_option_and_every_exit_code() {
    let scratch = Scratch::new("manual");
    let stage = package::staged(&scratch, "/usr");
    let manual = page(&stage, "man8/vcn-hook.8");
    let mut expected = Vec::new();
    words(&[], &mut expected);
    assert!(expected.len() > 60, "{expected:?}");
    expected.retain(|word| !manual.contains(word.as_str()));
    assert_eq!(expected, Vec::<String>::new());

    let (_, exits) = manual.split_once("EXIT STATUS").unwrap();
    let (exits, _) = exits.split_once("ENVIRONMENT").unwrap();
    let numbers: Vec<&str> = exits.split(|c: char| !c.is_ascii_digit()).collect();
    let codes = ReasonCode::ALL.iter().map(|code| code.exit_code());
    let codes = codes.chain([exit::OK, exit::FAILURE, exit::UNREACHABLE, exit::USAGE]);
    let missing: Vec<u8> = codes
        .filter(|code| !numbers.contains(&code.to_string().as_str()))
        .collect();
    assert_eq!(missing, Vec::<u8>::new(), "{exits}");
}

#[test]
fn it_has_every_setting() {
    let scratch = Scratch::new("manual-settings");
    let stage = package::staged(&scratch, "/usr");
    let manual = page(&stage, "man5/vcn-hook.toml.5");
    let default = sh(binary(), &["config", "show", "--default"]).ok();
    let settings: Vec<_> = default
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))
        .collect();
    assert!(settings.len() > 20, "{settings:?}");
    let missing: Vec<_> = settings
        .iter()
        .filter(|line| !manual.contains(**line))
        .collect();
    assert_eq!(missing, Vec::<&&str>::new());
}
