//! The people's verbs.
//!
//! Owns the command line, and every word and column that people and scripts
//! read: one file for each verb, and nothing below `cli` formats an answer.
//! Refuses to decide: a verb asks the module that owns the question.

pub mod applying;
pub mod args;
pub mod ask;
pub mod baseline;
pub mod completion;
pub mod config;
pub mod configure;
pub mod context;
pub mod decisions;
pub mod deep;
pub mod doctor;
pub mod draft;
pub mod enroll;
pub mod entries;
pub mod exempt;
pub mod explain;
pub mod failure;
mod help;
pub mod history;
pub mod images;
pub mod keygen;
pub mod ledger;
pub mod ledgers;
pub mod mode;
pub mod moment;
pub mod node;
pub mod notarize;
pub mod output;
pub mod patch;
pub mod progress;
pub mod replaced;
pub mod report;
pub mod self_test;
pub mod setting;
pub mod setup;
pub mod signing;
pub mod status;
pub mod target;
pub mod trust;
pub mod trusted;
pub mod verification;
pub mod verify;
pub mod version;
pub mod view;
pub mod vouching;
pub mod watch;
pub mod yaml;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;

use args::{CommandLine, Verb};
use context::Context;
use failure::Failure;
use output::{Format, Output};

use crate::allowlist::record::Status;
pub use crate::escape;
use crate::sys::clock;
use crate::verdict::exit;

/// Runs one command line, the program's own name first, and says with which code to exit.
#[must_use]
pub fn run(words: &[OsString]) -> ExitCode {
    let parsed = match CommandLine::try_parse_from(words) {
        Ok(parsed) => parsed,
        Err(error) => return misunderstood(&error, words),
    };
    let out = Output::of_process(parsed.global.output, parsed.global.silent);
    let mut context = Context::new(out, parsed.global.config, clock::now());
    match dispatch(&mut context, parsed.verb) {
        Ok(code) => ExitCode::from(code),
        // Whoever closed the pipe has read what was wanted, and the verb has done what it was
        // asked; `verify` never comes here, since its exit code is an answer too.
        Err(failure) if output::is_closed(&failure) => ExitCode::from(exit::OK),
        Err(failure) => {
            context.out.fail(&failure);
            ExitCode::from(failure.code)
        }
    }
}

fn dispatch(context: &mut Context, verb: Verb) -> Result<u8, Failure> {
    match verb {
        Verb::Notarize(args) => notarize::run(context, Status::Trusted, &args),
        Verb::Untrust(args) => notarize::run(context, Status::Untrusted, &args),
        Verb::Unsupport(args) => notarize::run(context, Status::Unsupported, &args),
        Verb::Baseline(args) => baseline::run(context, &args),
        Verb::Verify(args) => verify::run(context, &args),
        Verb::List(args) => entries::list(context, &args),
        Verb::Inspect(args) => entries::inspect(context, &args),
        Verb::Keygen(args) => keygen::run(context, &args),
        Verb::Explain(args) => explain::explain(context, &args),
        Verb::Status(args) => status::run(context, &args),
        Verb::Doctor => doctor::run(context),
        Verb::Watch(args) => watch::run(context, &args),
        Verb::Report(args) => report::run(context, &args),
        Verb::SelfTest(args) => self_test::run(context, &args),
        Verb::Setup(args) => setup::run(context, &args),
        Verb::Mode(args) => mode::run(context, &args),
        Verb::Enroll(args) => enroll::run(context, &args),
        Verb::Sync => node::run(context),
        Verb::Apply(args) => applying::run(context, &args),
        Verb::Exempt(args) => exempt::run(context, &args),
        Verb::Configure(args) => configure::run(context, &args),
        Verb::Unconfigure(args) => configure::undo(context, &args),
        Verb::Ledger(verb) => ledger::run(context, &verb),
        Verb::Trust(verb) => trust::run(context, &verb),
        Verb::Config(verb) => config::run(context, &verb),
        Verb::Login(_) => Err(replaced::login()),
        Verb::Dashboard(_) => Err(replaced::dashboard()),
        Verb::Completion(args) => completion::run(context, &args),
        Verb::Version => version::run(context),
    }
}

/// Help and version are answers; anything else that the grammar refuses is wrong usage.
fn misunderstood(error: &clap::Error, words: &[OsString]) -> ExitCode {
    let text = error.render().to_string();
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        let mut out = Output::of_process(Format::Text, false);
        // A closed pipe is no failure, and nothing else is left to tell.
        let _ = out.answer("", |_| text);
        return ExitCode::from(exit::OK);
    }
    let mut out = Output::of_process(wanted_format(words), false);
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        out.refuse_usage(&format!("name a verb\n\n{}", text.trim_end()));
        return ExitCode::from(exit::USAGE);
    }
    let text = text.trim_end();
    out.refuse_usage(text.strip_prefix("error: ").unwrap_or(text));
    ExitCode::from(exit::USAGE)
}

/// The format that a command line asks for which could not be understood as a whole.
fn wanted_format(words: &[OsString]) -> Format {
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let asks = |format: &str| {
        words.iter().enumerate().any(|(at, word)| {
            let before = at.checked_sub(1).and_then(|at| words.get(at));
            let value = ["--output=", "-o=", "-o"]
                .iter()
                .find_map(|p| word.strip_prefix(p));
            value == Some(format)
                || word == format && before.is_some_and(|b| b == "-o" || b == "--output")
        })
    };
    match (asks("json"), asks("yaml")) {
        (true, _) => Format::Json,
        (false, true) => Format::Yaml,
        (false, false) => Format::Text,
    }
}
