//! What the kernel prints of mounts, and what it loads to run a file.

use vcn_hook::engine::interpreter::interpreter;
use vcn_hook::engine::mounts::parse_overlay;
use vcn_hook::sys::mountinfo;
use vcn_hook::sys::statmount;

use super::Target;

pub const MOUNTS: Target = Target {
    words: &[
        " - overlay overlay ",
        "lowerdir=",
        "lowerdir+=",
        "upperdir=",
        "workdir=",
        "datadir+=",
        ",",
        ":",
        "::",
        "\\040",
        "\\134",
        "\\072",
        "\\054",
        "\\012",
        "ro",
        "rw",
        " master:1",
        " shared:2",
        " - ",
        "/",
    ],
    longest: 16 << 10,
    ..Target::new(
        "mounts",
        "mountinfo, overlay options and statmount's answer",
        mounts,
    )
};

pub const INTERPRETER: Target = Target {
    words: &[
        "#!",
        "#! /usr/bin/env -S ",
        "\x7fELF\u{2}\u{1}\u{1}",
        "\x7fELF\u{1}",
        "/lib64/ld-linux-x86-64.so.2\0",
    ],
    made: Some(programs),
    ..Target::new("interpreter", "what a program or script is run by", run_by)
};

fn mounts(bytes: &[u8]) -> bool {
    let mut accepted = false;
    if let Ok(lines) = mountinfo::parse(bytes) {
        let written = bytes
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .count();
        assert_eq!(lines.len(), written, "a mount is left out");
        accepted = !lines.is_empty();
    }
    if let Ok(overlay) = parse_overlay(bytes) {
        assert!(!overlay.lowers.is_empty(), "an overlay of nothing");
        let all = overlay.lowers.iter().chain(&overlay.upper);
        for directory in all {
            let text = directory.as_os_str().as_encoded_bytes();
            assert!(!text.is_empty() && !text.contains(&b':') && !text.contains(&b'\\'));
        }
        // Every directory that is named is found: as many as there are colons, or `lowerdir+`.
        let named = bytes
            .split(|byte| *byte == b',')
            .filter_map(|option| option.strip_prefix(b"lowerdir"));
        let count: usize = named
            .map(|value| value.iter().filter(|byte| **byte == b':').count() + 1)
            .sum();
        assert_eq!(overlay.lowers.len(), count, "a layer is left out");
        accepted = true;
    }
    if let Some(plain) = mountinfo::unescape(bytes) {
        assert!(plain.len() <= bytes.len());
    }
    accepted | statmount::parse(bytes).is_ok()
}

/// A 64-bit ELF header, one program header that names an interpreter, and the name.
fn programs() -> Vec<(&'static str, Vec<u8>)> {
    let name = b"/lib64/ld-linux-x86-64.so.2\0";
    let mut wide = vec![0; 64];
    wide[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    wide[32] = 64;
    wide[54] = 56;
    wide[56] = 1;
    let mut header = vec![0; 56];
    header[0] = 3;
    header[8] = 120;
    header[32] = u8::try_from(name.len()).unwrap_or(0);
    let script = |line: &str| format!("{line}\necho\n").into_bytes();
    vec![
        ("elf", [wide, header, name.to_vec()].concat()),
        ("script", script("#!/bin/sh")),
        ("env", script("#! /usr/bin/env -S python3 -u")),
    ]
}

fn run_by(bytes: &[u8]) -> bool {
    let source: &dyn vcn_hook::sys::source::Source = &bytes;
    let found = interpreter(source).expect("memory can be read");
    for word in found.path.iter().chain(&found.argument) {
        assert!(!word.is_empty() && word.len() <= 4096);
    }
    if let Some(path) = &found.path {
        let there = bytes.windows(path.len()).any(|window| window == path);
        assert!(there, "an interpreter that the file does not name");
    }
    found.path.is_some()
}
