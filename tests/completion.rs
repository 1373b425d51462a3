//! Completion, in the shells themselves: what `make install` puts where they look for it completes both names
//! of the program.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::path::Path;

use support::command::{command, run};
use support::package;
use support::scratch::Scratch;

/// What is typed, and what it becomes or is offered.
const LINES: [[&str; 3]; 4] = [
    ["vcn-hook", "nota", "notarize"],
    ["vcn", "verify --min", "--min-level"],
    ["vcn-hook", "configure --runtime d", "docker"],
    ["vcn", "self-test --en", "--engine"],
];

fn shell(name: &str, words: &[&str], home: &Path) -> String {
    let mut shell = command(name, words);
    // Nobody's own settings.
    shell.env("HOME", home).env("XDG_CONFIG_HOME", home);
    run(shell).ok()
}

fn path(stage: &Path, below: &str) -> String {
    let path = stage.join("usr/share").join(below);
    path.to_str().unwrap().to_owned()
}

#[test]
fn bash_completes_it() {
    let scratch = Scratch::new("completion-bash");
    let stage = package::staged(&scratch, "/usr");
    for [name, typed, offered] in LINES {
        let script = path(&stage, &format!("bash-completion/completions/{name}"));
        let script = format!(
            "source {script}; COMP_WORDS=({name} {typed}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
            [[ $(complete -p {name}) == *' -F _vcn '* ]] || exit 9
            _vcn {name} \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        let said = shell("bash", &["--norc", "-c", &script], scratch.path());
        assert_eq!(
            said.lines().collect::<Vec<_>>(),
            [offered],
            "{name} {typed}"
        );
    }
}

#[test]
fn fish_completes_it() {
    let scratch = Scratch::new("completion-fish");
    let stage = package::staged(&scratch, "/usr");
    for [name, typed, offered] in LINES {
        let script = path(&stage, &format!("fish/vendor_completions.d/{name}.fish"));
        let script = format!("source {script}; complete -C '{name} {typed}'");
        let said = shell("fish", &["--no-config", "-c", &script], scratch.path());
        // Beside each word is what it is for.
        let words = said.lines().filter_map(|line| line.split('\t').next());
        assert_eq!(words.collect::<Vec<_>>(), [offered], "{name} {typed}");
    }
}

#[test]
fn zsh_completes_it() {
    let scratch = Scratch::new("completion-zsh");
    let stage = package::staged(&scratch, "/usr");
    let folder = path(&stage, "zsh/site-functions");
    for [name, typed, offered] in LINES {
        // A terminal of its own, in which the key is pressed; 'timeout' ends a wait for what does not come.
        let script = format!(
            "zmodload zsh/zpty; zpty shell 'stty cols 200; exec zsh -f -i'
            zpty -w shell 'PS1=; unsetopt beep; fpath=({folder} $fpath); autoload -U compinit; compinit -u -D; print be''gin'
            zpty -r shell said '*begin*'
            zpty -w -n shell $'{name} {typed}\\t'; zpty -r shell said '*{offered}*'; print -r -- $said"
        );
        let said = shell(
            "timeout",
            &["60", "zsh", "-f", "-c", &script],
            scratch.path(),
        );
        assert!(said.contains(offered), "{name} {typed}: {said:?}");
    }
}
