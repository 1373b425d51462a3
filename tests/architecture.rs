//! The rules of ARCHITECTURE.md, read off the source itself.
//!
//! Owns: which module may name which, what the pure modules may not touch,
//! where unsafe code may stand, how long a file may be, and that nothing
//! which opens a socket is reachable from the gate. The checker is a small
//! tokenizer, not a compiler: it sees every path that is written out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test file"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Left may name right. Whoever is not on the left (`cli`, `main`) may name everything.
const ARROWS: &[(&str, &[&str])] = &[
    ("image", &[]),
    ("escape", &[]),
    ("sys", &[]),
    ("verdict", &["image"]),
    ("allowlist", &["image"]),
    ("policy", &["image", "allowlist", "verdict"]),
    ("engine", &["image", "policy", "verdict", "sys"]),
    ("store", &["allowlist", "image", "sys"]),
    ("audit", &["image", "verdict", "sys"]),
    ("trust", &["allowlist", "image", "sys"]),
    ("http", &["sys"]),
    ("ledger", &["allowlist", "http", "image", "trust", "sys"]),
    ("config", &["policy", "engine", "image", "sys"]),
    ("configure", &["engine", "gate", "image", "policy", "sys"]),
    ("deep", &["engine", "image", "sys"]),
    (
        "pipeline",
        &[
            "engine",
            "image",
            "store",
            "allowlist",
            "policy",
            "verdict",
            "audit",
            "sys",
        ],
    ),
    (
        "gate",
        &["engine", "pipeline", "audit", "verdict", "policy", "sys"],
    ),
    (
        "sync",
        &[
            "ledger",
            "trust",
            "allowlist",
            "store",
            "image",
            "config",
            "sys",
        ],
    ),
    (
        "apply",
        &[
            "config",
            "trust",
            "engine",
            "pipeline",
            "policy",
            "verdict",
            "allowlist",
            "store",
            "image",
            "sys",
        ],
    ),
    (
        "watch",
        &[
            "engine",
            "deep",
            "pipeline",
            "policy",
            "allowlist",
            "store",
            "ledger",
            "trust",
            "audit",
            "config",
            "verdict",
            "image",
            "escape",
            "http",
            "sync",
            "sys",
        ],
    ),
    (
        "doctor",
        &[
            "engine",
            "gate",
            "pipeline",
            "policy",
            "allowlist",
            "store",
            "audit",
            "config",
            "configure",
            "apply",
            "sync",
            "verdict",
            "image",
            "sys",
        ],
    ),
];

/// `engine` fills in `policy`'s facts and knows no rule.
const ONLY_FACTS: (&str, &str, &str) = ("engine", "policy", "facts");

const PURE: &[&str] = &["image", "escape", "allowlist", "policy", "verdict"];

/// What a pure module may not name: the file system, the network, the environment, the clock.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::io",
    "std::os",
    "std::thread",
    "std::time::SystemTime",
    "std::time::Instant",
    "nix",
    "libc",
    "ureq",
];

/// What opens a connection.
const NETWORK: &[&str] = &[
    "ureq",
    "tiny_http",
    "rustls",
    "std::net",
    "std::os::unix::net::UnixStream",
    "std::os::unix::net::UnixListener",
];

/// The crates that the design names: each one listed must also do work.
const DESIGN_CARD: &[&str] = &[
    "oci-spec",
    "nix",
    "serde_json",
    "sha2",
    "ureq",
    "libc",
    "anyhow",
];

/// Past this, a file is more than one concept. Unit tests at its end are not counted.
const MAX_LINES: usize = 400;

#[test]
fn every_module_names_only_what_its_arrow_allows() {
    let source = Source::read();
    assert!(source.files.len() > 20, "the source was not found");
    assert_eq!(source.forbidden_arrows(), Vec::<String>::new());
}

#[test]
fn pure_modules_touch_no_file_clock_environment_or_network() {
    assert_eq!(Source::read().impurities(), Vec::<String>::new());
}

#[test]
fn nothing_reachable_from_the_gate_opens_a_connection() {
    let source = Source::read();
    let reachable = source.reachable("gate");
    assert!(
        !reachable.contains("ledger")
            && !reachable.contains("sync")
            && !reachable.contains("cli")
            && !reachable.contains("watch")
    );
    assert_eq!(source.mentions(&reachable, NETWORK), Vec::<String>::new());
}

#[test]
fn the_gate_is_dispatched_without_a_command_line_parser() {
    let source = Source::read();
    let reachable = source.reachable("gate");
    assert_eq!(source.mentions(&reachable, &["clap"]), Vec::<String>::new());
}

#[test]
fn unsafe_code_stands_in_sys_alone() {
    assert_eq!(Source::read().unsafe_outside_sys(), Vec::<String>::new());
}

#[test]
fn there_is_no_async_code() {
    let source = Source::read();
    let hits: Vec<_> = source
        .files
        .iter()
        .filter(|file| file.tokens.iter().any(|t| t == "async" || t == "tokio"))
        .map(|file| file.name.clone())
        .collect();
    assert_eq!(hits, Vec::<String>::new());
}

#[test]
fn no_file_holds_more_than_one_concept() {
    assert_eq!(Source::read().too_long(), Vec::<String>::new());
}

#[test]
fn every_file_says_what_it_owns() {
    let silent: Vec<_> = Source::read()
        .files
        .iter()
        .filter(|file| !file.opens_with_a_doc)
        .map(|file| file.name.clone())
        .collect();
    assert_eq!(silent, Vec::<String>::new());
}

#[test]
fn every_crate_of_the_design_that_is_listed_does_work() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert_eq!(Source::read().idle_crates(&manifest), Vec::<String>::new());
}

/// One file of `src/`, without comments, literals and unit tests.
struct File {
    /// Path below `src/`.
    name: String,
    /// `["engine", "docker"]` for `engine/docker.rs` and `["engine"]` for `engine/mod.rs`.
    module: Vec<String>,
    tokens: Vec<String>,
    /// Every path named in full, `use` trees and `super` resolved: `["crate", "image", "digest"]`.
    paths: BTreeSet<Vec<String>>,
    lines: usize,
    opens_with_a_doc: bool,
}

struct Source {
    files: Vec<File>,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

impl Source {
    fn read() -> Self {
        let base = root().join("src");
        let mut files = Vec::new();
        let mut pending = vec![base.clone()];
        while let Some(directory) = pending.pop() {
            for entry in fs::read_dir(&directory).unwrap() {
                let path = entry.unwrap().path();
                let below = path.strip_prefix(&base).unwrap();
                if path.is_dir() {
                    pending.push(path);
                } else if path.extension().is_some_and(|e| e == "rs") && !is_test_file(below) {
                    let name = below.to_str().unwrap().to_owned();
                    files.push(File::parse(&name, &fs::read_to_string(&path).unwrap()));
                }
            }
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Self { files }
    }

    fn sample(files: &[(&str, &str)]) -> Self {
        Self {
            files: files
                .iter()
                .map(|(name, text)| File::parse(name, text))
                .collect(),
        }
    }

    fn forbidden_arrows(&self) -> Vec<String> {
        let arrows: BTreeMap<_, _> = ARROWS.iter().copied().collect();
        let mut out = Vec::new();
        for file in &self.files {
            let Some(allowed) = arrows.get(file.owner()) else {
                continue;
            };
            for target in file.targets() {
                let [_, module, rest @ ..] = target.as_slice() else {
                    continue;
                };
                let fine = allowed.contains(&module.as_str());
                let (from, to, part) = ONLY_FACTS;
                let facts = !(file.owner() == from && module == to)
                    || rest.first().is_some_and(|first| first == part);
                if !fine || !facts {
                    out.push(format!("{} names {}", file.name, target.join("::")));
                }
            }
        }
        out
    }

    fn impurities(&self) -> Vec<String> {
        let pure = PURE.iter().map(|m| (*m).to_owned()).collect();
        let mut out = self.mentions(&pure, IMPURE);
        for file in self.files.iter().filter(|f| PURE.contains(&f.owner())) {
            let clock = file.tokens.windows(3).any(|w| w == ["::", "now", "("]);
            if clock {
                out.push(format!("{} reads a clock", file.name));
            }
        }
        out
    }

    /// The modules that can be reached from `start` by the paths that are really written.
    fn reachable(&self, start: &str) -> BTreeSet<String> {
        let mut seen = BTreeSet::from([start.to_owned()]);
        let mut pending = vec![start.to_owned()];
        while let Some(module) = pending.pop() {
            for file in self.files.iter().filter(|f| f.owner() == module) {
                for target in file.targets() {
                    if seen.insert(target[1].clone()) {
                        pending.push(target[1].clone());
                    }
                }
            }
        }
        seen
    }

    fn mentions(&self, modules: &BTreeSet<String>, forbidden: &[&str]) -> Vec<String> {
        let mut out = Vec::new();
        for file in self.files.iter().filter(|f| modules.contains(f.owner())) {
            for path in &file.paths {
                let text = path.join("::");
                if forbidden
                    .iter()
                    .any(|bad| text == *bad || text.starts_with(&format!("{bad}::")))
                {
                    out.push(format!("{} names {text}", file.name));
                }
            }
        }
        out
    }

    fn unsafe_outside_sys(&self) -> Vec<String> {
        self.files
            .iter()
            .filter(|file| file.owner() != "sys")
            .filter(|file| {
                file.tokens
                    .iter()
                    .any(|t| t == "unsafe" || t == "unsafe_code")
            })
            .map(|file| file.name.clone())
            .collect()
    }

    fn too_long(&self) -> Vec<String> {
        self.files
            .iter()
            .filter(|file| file.lines > MAX_LINES)
            .map(|file| format!("{}: {} lines", file.name, file.lines))
            .collect()
    }

    fn idle_crates(&self, manifest: &str) -> Vec<String> {
        let listed = |name: &str| {
            manifest.lines().any(|line| {
                line.split(['=', '.'])
                    .next()
                    .is_some_and(|key| key.trim() == name)
            })
        };
        DESIGN_CARD
            .iter()
            .filter(|name| listed(name))
            .filter(|name| {
                let word = name.replace('-', "_");
                !self
                    .files
                    .iter()
                    .any(|f| f.paths.iter().any(|path| path[0] == word))
            })
            .map(|name| (*name).to_owned())
            .collect()
    }
}

/// Tests that outgrew the end of their file stand in a sibling: `tests.rs`, `note_tests.rs`.
fn is_test_file(path: &Path) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name == "tests.rs" || name.ends_with("_tests.rs"))
        || path.components().any(|part| part.as_os_str() == "tests")
}

impl File {
    fn parse(name: &str, text: &str) -> Self {
        let code = without_unit_tests(text);
        let mut module: Vec<String> = name
            .trim_end_matches(".rs")
            .split('/')
            .map(str::to_owned)
            .collect();
        if module.last().is_some_and(|last| last == "mod") {
            module.pop();
        }
        let tokens = tokenize(code);
        let paths = paths_in(&tokens, &module);
        Self {
            name: name.to_owned(),
            module,
            paths,
            tokens,
            lines: code.lines().count(),
            opens_with_a_doc: text.starts_with("//! "),
        }
    }

    fn owner(&self) -> &str {
        &self.module[0]
    }

    /// Paths into other top-level modules of this crate.
    fn targets(&self) -> Vec<Vec<String>> {
        self.paths
            .iter()
            .filter(|path| path.len() > 1 && (path[0] == "crate" || path[0] == "vcn_hook"))
            .filter(|path| path[1] != self.owner())
            .cloned()
            .collect()
    }
}

/// Cuts a file where its unit tests begin: they stand last, and may build what they need.
fn without_unit_tests(text: &str) -> &str {
    let begin = text
        .match_indices("#[cfg(test)]\n")
        .find(|(at, found)| {
            let rest = text[at + found.len()..].trim_start();
            rest.lines()
                .find(|line| !line.trim_start().starts_with("#["))
                .is_some_and(|line| {
                    line.trim_end().starts_with("mod ") && line.trim_end().ends_with('{')
                })
        })
        .map_or(text.len(), |(at, _)| at);
    &text[..begin]
}

/// Identifiers and punctuation; comments, strings, characters and lifetimes are left out.
fn tokenize(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let c = chars[at];
        let next = chars.get(at + 1).copied().unwrap_or(' ');
        if c == '/' && next == '/' {
            at += chars[at..].iter().take_while(|c| **c != '\n').count();
        } else if c == '/' && next == '*' {
            at = end_of_block_comment(&chars, at);
        } else if let Some(end) = end_of_string(&chars, at) {
            at = end;
            tokens.push("\"\"".to_owned());
        } else if c == '\'' {
            at = end_of_quote(&chars, at);
        } else if c.is_alphanumeric() || c == '_' {
            let end = at
                + chars[at..]
                    .iter()
                    .take_while(|c| c.is_alphanumeric() || **c == '_')
                    .count();
            tokens.push(chars[at..end].iter().collect());
            at = end;
        } else if c == ':' && next == ':' {
            tokens.push("::".to_owned());
            at += 2;
        } else {
            if !c.is_whitespace() {
                tokens.push(c.to_string());
            }
            at += 1;
        }
    }
    tokens
}

fn end_of_block_comment(chars: &[char], start: usize) -> usize {
    let mut depth = 0;
    let mut at = start;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => {
                depth += 1;
                at += 2;
            }
            ('*', Some('/')) => {
                depth -= 1;
                at += 2;
            }
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// Where a string literal that starts here ends: plain, byte, C and raw ones.
fn end_of_string(chars: &[char], start: usize) -> Option<usize> {
    let word_before = start > 0 && (chars[start - 1].is_alphanumeric() || chars[start - 1] == '_');
    let mut at = start;
    if !word_before {
        at += chars[at..]
            .iter()
            .take(2)
            .take_while(|c| matches!(c, 'b' | 'c' | 'r'))
            .count();
    }
    let raw = at > start && chars[at - 1] == 'r';
    let hashes = if raw {
        chars[at..].iter().take_while(|c| **c == '#').count()
    } else {
        0
    };
    at += hashes;
    if chars.get(at) != Some(&'"') {
        return None;
    }
    at += 1;
    while at < chars.len() {
        let closes =
            chars[at] == '"' && chars[at + 1..].iter().take_while(|c| **c == '#').count() >= hashes;
        if closes {
            return Some(at + 1 + hashes);
        }
        at += if chars[at] == '\\' && !raw { 2 } else { 1 };
    }
    Some(chars.len())
}

/// Where a character literal ends; of a lifetime, only the quote is skipped.
fn end_of_quote(chars: &[char], start: usize) -> usize {
    match (chars.get(start + 1), chars.get(start + 2)) {
        (Some('\\'), Some(_)) => {
            start
                + 3
                + chars[start + 3..]
                    .iter()
                    .take_while(|c| **c != '\'')
                    .count()
                + 1
        }
        (Some(_), Some('\'')) => start + 3,
        _ => start + 1,
    }
}

/// All paths, with `use a::{b, c::d}` flattened, and `self` and `super` resolved.
fn paths_in(tokens: &[String], module: &[String]) -> BTreeSet<Vec<String>> {
    let mut out = BTreeSet::new();
    let mut at = 0;
    while at < tokens.len() {
        let starts = is_word(&tokens[at]) && (at == 0 || tokens[at - 1] != "::");
        if starts {
            at = collect_path(tokens, at, &[], &mut out);
        } else {
            at += 1;
        }
    }
    out.into_iter().map(|path| resolve(path, module)).collect()
}

/// Collects the path, or the tree of paths, that begins at `at`; returns where it ends.
fn collect_path(
    tokens: &[String],
    mut at: usize,
    prefix: &[String],
    out: &mut BTreeSet<Vec<String>>,
) -> usize {
    let mut path = prefix.to_vec();
    loop {
        match tokens.get(at).map(String::as_str) {
            Some("{") if !path.is_empty() => {
                at += 1;
                while tokens.get(at).is_some_and(|t| t != "}") {
                    let before = at;
                    if is_word(&tokens[at]) {
                        at = collect_path(tokens, at, &path, out);
                        if tokens.get(at).is_some_and(|t| t == "as") {
                            at += 2;
                        }
                    }
                    if at == before || tokens.get(at).is_some_and(|t| t == ",") {
                        at += 1;
                    }
                }
                return at + 1;
            }
            Some(word) if is_word(word) => {
                path.push(word.to_owned());
                at += 1;
            }
            _ => {
                out.insert(path);
                return at;
            }
        }
        if tokens.get(at).is_some_and(|t| t == "::") {
            at += 1;
        } else {
            out.insert(path);
            return at;
        }
    }
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn resolve(path: Vec<String>, module: &[String]) -> Vec<String> {
    let mut here: Vec<String> = vec!["crate".to_owned()];
    here.extend(module.iter().cloned());
    let mut rest = path.as_slice();
    let mut relative = false;
    while let Some((first, tail)) = rest.split_first() {
        match first.as_str() {
            "self" => relative = true,
            "super" => {
                relative = true;
                if here.len() > 1 {
                    here.pop();
                }
            }
            _ => break,
        }
        rest = tail;
    }
    if !relative {
        return path;
    }
    here.extend(rest.iter().cloned());
    here
}

/// The checker itself, on samples: a rule that cannot fail proves nothing.
mod checker {
    use super::Source;

    #[test]
    fn sees_a_forbidden_arrow_however_it_is_written() {
        let ways = [
            "use crate::store::Store;",
            "use crate::{image::digest::Digest, store};",
            "use crate::{\n    image::digest::{Digest, hex},\n    store::{Store as S},\n};",
            "fn f() { crate::store::open() }",
            "use super::super::store;",
            "const Q: char = '\\''; type T = crate::store::Store;",
            "fn f<'a>(s: &'a crate::store::Store) {}",
        ];
        for text in ways {
            let found = Source::sample(&[("policy/quorum.rs", text)]).forbidden_arrows();
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert!(
                found[0].starts_with("policy/quorum.rs names crate::store"),
                "{found:?}"
            );
        }
    }

    #[test]
    fn sees_none_where_there_is_none() {
        let ways = [
            "use crate::image::digest::Digest;",
            "// use crate::store::Store;",
            "/* use /* crate::store */ crate::store; */",
            "const S: &str = \"crate::store::Store \\\" crate::store\";",
            "const S: &str = r#\"crate::store \" crate::store\"#;",
            "use super::facts; use self::inner; use crate::policy::facts as crate_store;",
            "fn f() {}\n#[cfg(test)]\nmod tests {\n    use crate::store::Store;\n}\n",
        ];
        for text in ways {
            let found = Source::sample(&[("policy/quorum.rs", text)]).forbidden_arrows();
            assert_eq!(found, Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn sees_an_engine_that_knows_a_rule() {
        let facts = Source::sample(&[("engine/mounts.rs", "use crate::policy::facts::Mounts;")]);
        let rule = Source::sample(&[("engine/mounts.rs", "use crate::policy::decide;")]);
        assert_eq!(facts.forbidden_arrows(), Vec::<String>::new());
        assert_eq!(
            rule.forbidden_arrows(),
            ["engine/mounts.rs names crate::policy::decide"]
        );
    }

    #[test]
    fn sees_what_a_pure_module_touches() {
        let texts = [
            "use std::fs;",
            "use std::{fmt, io::Read};",
            "fn f() { std::env::var(x) }",
            "fn f() { T::now() }",
        ];
        for text in texts {
            assert_eq!(
                Source::sample(&[("image/digest.rs", text)])
                    .impurities()
                    .len(),
                1,
                "{text}"
            );
        }
        let fine = Source::sample(&[(
            "image/digest.rs",
            "use std::fmt; /// like std::fs\nfn now() {}",
        )]);
        assert_eq!(fine.impurities(), Vec::<String>::new());
    }

    #[test]
    fn follows_the_gate_through_the_modules_it_names() {
        let source = Source::sample(&[
            ("gate/runtime.rs", "use crate::pipeline::judge;"),
            ("pipeline.rs", "use crate::store;"),
            ("store.rs", "use std::net::TcpStream;"),
            ("sync.rs", "use ureq::Agent;"),
        ]);
        let reachable = source.reachable("gate");
        let modules: Vec<_> = reachable.iter().map(String::as_str).collect();
        assert_eq!(modules, ["gate", "pipeline", "store"]);
        assert_eq!(
            source.mentions(&reachable, super::NETWORK),
            ["store.rs names std::net::TcpStream"]
        );
    }

    #[test]
    fn sees_unsafe_code_outside_sys() {
        let source = Source::sample(&[
            ("sys/file.rs", "unsafe { f() }"),
            ("gate/runtime.rs", "// unsafe\nfn f() { unsafe { g() } }"),
        ]);
        assert_eq!(source.unsafe_outside_sys(), ["gate/runtime.rs"]);
    }

    #[test]
    fn sees_a_file_that_grew_too_long_but_not_its_tests() {
        let code = "fn f() {}\n".repeat(super::MAX_LINES + 1);
        let tests = format!("fn f() {{}}\n#[cfg(test)]\nmod tests {{\n{code}}}\n");
        let source = Source::sample(&[("a.rs", &code), ("b.rs", &tests)]);
        assert_eq!(source.too_long(), ["a.rs: 401 lines"]);
    }

    #[test]
    fn sees_a_listed_crate_that_does_no_work() {
        let manifest = "[dependencies]\nlibc = \"0.2\"\noci-spec = { version = \"0.8\" }\n";
        let source =
            Source::sample(&[("sys/mod.rs", "// libc::c_int\nuse oci_spec::runtime::Spec;")]);
        assert_eq!(source.idle_crates(manifest), ["libc"]);
    }
}
