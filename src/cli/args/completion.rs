//! Options of `completion`.
//!
//! Owns which shells there are. What they are told is in `cli::completion`.

use clap::{Args, ValueEnum};

/// Options of `completion`.
#[derive(Debug, Args)]
pub struct Completion {
    /// The shell: bash, zsh or fish
    #[arg(value_name = "SHELL", value_enum, hide_possible_values = true)]
    pub shell: Shell,
}

/// A shell, as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU's.
    Bash,
    /// The Z shell.
    Zsh,
    /// The friendly interactive shell.
    Fish,
}
