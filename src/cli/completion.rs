//! `completion`: what a shell needs to know to complete a command line.
//!
//! Owns that both names of the program are completed alike. The scripts are made of the grammar in `args`
//! by clap's own generators, so that nothing in them can be out of date.

use clap::CommandFactory as _;
use clap_complete::{Generator, generate, shells};
use serde_json::json;

use super::args::{CommandLine, Completion, Shell};
use super::context::Context;
use super::failure::Failure;

/// Prints the script for a shell.
///
/// # Errors
/// When it cannot be written.
pub fn run(context: &mut Context, args: &Completion) -> Result<u8, Failure> {
    let script = script(args.shell);
    let value = json!({ "script": script });
    context.out.answer(&value, |_| script)?;
    Ok(0)
}

fn script(shell: Shell) -> String {
    // The link that is named `vcn` has the same grammar. For bash it is the name: clap_complete takes the
    // hyphen of the other for two words (4.6).
    match shell {
        Shell::Bash => {
            let script = generated(shells::Bash, "vcn");
            script.replace("-o default vcn\n", "-o default vcn vcn-hook\n")
        }
        Shell::Zsh => {
            let script = generated(shells::Zsh, "vcn-hook");
            script.replacen("#compdef vcn-hook", "#compdef vcn-hook vcn", 1)
        }
        Shell::Fish => generated(shells::Fish, "vcn-hook") + "complete -c vcn -w vcn-hook\n",
    }
}

fn generated(generator: impl Generator, name: &str) -> String {
    let mut bytes = Vec::new();
    generate(generator, &mut CommandLine::command(), name, &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}
