use std::collections::BTreeSet;
use std::path::Path;

use super::names::{SETTINGS, Value, default_file};
use super::{Config, ConfigError};

fn parsed(text: &str) -> Result<Config, ConfigError> {
    Config::from_bytes(Path::new("/etc/vcn-hook/config.toml"), text.as_bytes())
}

/// The commented lines that are settings, with the `#` taken away.
fn uncommented(wanted: impl Fn(&str) -> bool) -> String {
    let mut text = String::new();
    let mut list = false;
    for line in default_file().lines() {
        let bare = line.strip_prefix('#').unwrap_or(line);
        list = if bare.starts_with('[') {
            bare.starts_with("[[")
        } else {
            list
        };
        let is_setting = !bare.starts_with(' ') && !bare.is_empty();
        if is_setting && (!list || wanted("list")) && wanted(bare) {
            text.push_str(bare);
            text.push('\n');
        }
    }
    text
}

#[test]
fn the_default_file_says_what_holds_without_it() {
    assert_eq!(parsed(&default_file()).unwrap(), parsed("").unwrap());
    let is_example = |line: &str| alone().any(|(_, key, _)| line.starts_with(&format!("{key} =")));
    let defaults = uncommented(|line| line != "list" && !is_example(line));
    assert!(defaults.contains("grace_hours = 0"), "{defaults}");
    assert_eq!(parsed(&defaults).unwrap(), parsed("").unwrap());
    parsed(&uncommented(|line| !is_example(line))).expect("each example of a list is one");
    // One by one: some of them exclude each other.
    for (section, key, value) in alone().filter(|(section, ..)| *section != INFLUX) {
        let text = match section {
            "" => format!("{key} = {value}"),
            section => format!("[{section}]\n{key} = {value}"),
        };
        parsed(&text).expect("each example is one");
    }
    // A database is said by several together.
    for keys in [
        ["url", "db", "user", "password_file"],
        ["url", "org", "bucket", "token_file"],
    ] {
        let lines = alone().filter(|(section, key, _)| *section == INFLUX && keys.contains(key));
        let lines: String = lines
            .map(|(_, key, value)| format!("{key} = {value}\n"))
            .collect();
        parsed(&format!("[{INFLUX}]\n{lines}")).expect("the examples are a database");
    }
}

const INFLUX: &str = "watch.influx";

/// The examples that are in no list: section, key, value.
fn alone() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    SETTINGS.iter().filter_map(|setting| {
        let (section, key) = setting.name.rsplit_once('.').unwrap_or(("", setting.name));
        match setting.value {
            Value::Example(value) if !section.ends_with("[]") => Some((section, key, value)),
            _ => None,
        }
    })
}

#[test]
fn every_name_that_is_read_is_in_the_list_and_no_other() {
    let mut listed = BTreeSet::new();
    let mut read = BTreeSet::new();
    for setting in SETTINGS {
        let (parent, key) = setting.name.rsplit_once('.').unwrap_or(("", setting.name));
        listed.insert(format!("{parent}.{key}"));
        let section = parent.split('.').next().unwrap().trim_end_matches("[]");
        listed.insert(format!(".{section}"));
        if let Some((above, list)) = parent.rsplit_once('.') {
            listed.insert(format!("{above}.{}", list.trim_end_matches("[]")));
        }
        // What reads the values says which names it knows when it meets another.
        let text = match parent.strip_suffix("[]") {
            _ if parent.is_empty() => "zzz = 1".to_owned(),
            Some(list) => format!("[[{list}]]\nzzz = 1"),
            None => format!("[{parent}]\nzzz = 1"),
        };
        let error = toml::from_str::<super::written::File>(&text)
            .err()
            .expect("no such name");
        for name in error.message().split('`').skip(3).step_by(2) {
            read.insert(format!("{parent}.{name}"));
        }
    }
    listed.remove(".");
    assert_eq!(read, listed);
}

#[test]
fn names_are_told_once_with_what_they_do() {
    let names: BTreeSet<_> = SETTINGS.iter().map(|setting| setting.name).collect();
    assert_eq!(names.len(), SETTINGS.len());
    for setting in SETTINGS {
        let (Value::Default(value) | Value::Example(value)) = setting.value;
        assert!(
            !value.is_empty() && !setting.what.ends_with('.'),
            "{}",
            setting.name
        );
    }
}

#[test]
fn every_unknown_key_is_told_with_its_line_and_the_nearest_name() {
    let text = "mode = \"audit\"\nstate_dri = \"/x\"\n\n[uper]\nchanged = \"deny\"\n\
                [mounts]\nover_cod = \"deny\"\n[[mounts.allow]]\nsource = \"/x\"\nto = 1\n[host]\nprofile = 1\n";
    let Err(ConfigError::Unknown(keys)) = parsed(text) else {
        panic!("they are unknown");
    };
    let said: Vec<_> = keys
        .iter()
        .map(|key| (key.place.line, key.name.as_str(), key.nearest.as_deref()))
        .collect();
    let mut expected = vec![
        (2, "state_dri", Some("state_dir")),
        (4, "uper", Some("upper")),
        (7, "mounts.over_cod", Some("mounts.over_code")),
        (10, "mounts.allow.to", None),
        (12, "host.profile", Some("policy.profile")),
    ];
    expected.sort_unstable();
    let mut said = said;
    said.sort_unstable();
    assert_eq!(said, expected);
    let text = ConfigError::Unknown(keys).to_string();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("did you mean 'state_dir'?"), "{text}");
}

#[test]
fn each_setting_has_the_place_that_made_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    std::fs::create_dir(path("conf.d")).unwrap();
    let allow = "[[mounts.allow]]\nsource = \"/a\"\n";
    std::fs::write(path("config.toml"), format!("mode = \"audit\"\n{allow}")).unwrap();
    std::fs::write(
        path("conf.d/1.toml"),
        format!("mode = \"enforce\"\n{allow}"),
    )
    .unwrap();
    let config = Config::load(&path("config.toml")).unwrap();
    let origins = super::origins(&config).unwrap();
    let said: Vec<_> = origins
        .iter()
        .flat_map(|(name, places)| places.iter().map(move |place| (name.as_str(), place)))
        .map(|(name, place)| (name, place.file.file_name().unwrap(), place.line))
        .collect();
    let expected = [
        ("mode", "1.toml", 1),
        ("mounts.allow[].source", "config.toml", 3),
        ("mounts.allow[].source", "1.toml", 3),
    ];
    let expected = expected.map(|(name, file, line)| (name, std::ffi::OsStr::new(file), line));
    assert_eq!(said, expected);
}

#[test]
fn the_shipped_file_is_the_default_file() {
    // Made by: vcn-hook config show --default > packaging/config.toml
    assert_eq!(include_str!("../../packaging/config.toml"), default_file());
}
