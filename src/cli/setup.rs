//! `setup`: from an installed package to a node that refuses, one step after the other.
//!
//! Owns the order of the steps, the plain command of each, and what is said where one stops. Each step
//! is a verb's own function: whatever it can do alone, it does here. A step that is done is said to be
//! done, so that whoever was stopped begins again with the same command.

mod step;

use serde_json::{Value, json};

use super::args::{self, Skippable};
use super::ask;
use super::baseline;
use super::configure;
use super::context::Context;
use super::enroll;
use super::failure::Failure;
use super::ledgers::Place;
use super::mode;
use super::output::Format;
use super::self_test;
use super::setting;
use crate::config::Config;
use crate::configure::State;
use crate::policy::gatebin::Mode;
use crate::verdict::exit;
use step::{Step, quoted};

/// How a step came out.
#[derive(Debug)]
enum Outcome {
    /// It was done before.
    Already(String),
    /// It was done now.
    Done(Value, String),
    /// It was left out, and why.
    Skipped(String),
}

/// Walks the steps.
///
/// # Errors
/// The first step's that cannot be done, with what to do next. What was done before it stays.
pub fn run(context: &mut Context, args: &args::Setup) -> Result<u8, Failure> {
    let steps: Vec<_> = Step::ALL
        .into_iter()
        .filter(|step| !(args.audit && *step == Step::Enforce))
        .collect();
    if args.ledger.is_none() && context.config()?.ledger.is_none() {
        let text = "name the ledger that this machine is to follow: 'vcn-hook setup DIR|URL'";
        return Err(Failure::usage(text));
    }
    if !args.yes && !args.dry_run && !ask::somebody() {
        return Err(unasked(args, &steps));
    }
    let mut told = Vec::new();
    for (place, step) in steps.iter().enumerate() {
        let title = format!("{}/{} {}", place + 1, steps.len(), step.as_str());
        head(context, args, *step, &title)?;
        let outcome = match args.dry_run {
            true => rehearse(context, args, *step),
            false => perform(context, args, *step),
        };
        let outcome = outcome.map_err(|failure| stopped(args, *step, &title, failure))?;
        tell(context, &outcome)?;
        told.push(outcome.value(*step, args));
    }
    let config = context.config()?;
    let value = json!({
        "schema": "vcn-hook/setup/v1",
        "dryRun": args.dry_run,
        "mode": mode::applied(&config),
        "steps": told,
    });
    let text = ending(args, &config);
    context.out.answer(&value, |_| text)?;
    Ok(exit::OK)
}

/// Scripts are never asked: they are told what would be.
fn unasked(args: &args::Setup, steps: &[Step]) -> Failure {
    let questions: Vec<_> = steps
        .iter()
        .map(|step| step.commands(args).join(" && "))
        .collect();
    Failure::configuration(format!(
        "nobody is here to be asked before each of these: {}; pass --yes for all, or --dry-run to see them",
        questions.join("; ")
    ))
}

fn head(context: &mut Context, args: &args::Setup, step: Step, title: &str) -> Result<(), Failure> {
    if context.out.format != Format::Text {
        return Ok(());
    }
    let commands: String = step
        .commands(args)
        .iter()
        .map(|command| format!("    $ {command}\n"))
        .collect();
    let text = format!("\n== {title}: {}\n{commands}", step.purpose());
    context.out.answer("", |_| text)
}

fn tell(context: &mut Context, outcome: &Outcome) -> Result<(), Failure> {
    if context.out.format != Format::Text {
        return Ok(());
    }
    let text = match outcome {
        Outcome::Already(why) => format!("done before: {why}\n"),
        Outcome::Done(_, text) => text.clone(),
        Outcome::Skipped(why) => format!("left out: {why}\n"),
    };
    context.out.answer("", |_| text)
}

impl Outcome {
    fn value(&self, step: Step, args: &args::Setup) -> Value {
        let (state, why, result) = match self {
            Self::Already(why) => ("already", Some(why), None),
            Self::Done(value, _) => ("done", None, Some(value)),
            Self::Skipped(why) => ("skipped", Some(why), None),
        };
        let state = match args.dry_run && state == "done" {
            true => "would-do",
            false => state,
        };
        json!({
            "step": step.as_str(),
            "commands": step.commands(args),
            "state": state,
            "why": why,
            "result": result,
        })
    }
}

/// Says where it stopped, and how to go on.
fn stopped(args: &args::Setup, step: Step, title: &str, failure: Failure) -> Failure {
    let next = match step {
        Step::Enroll => "mend that",
        Step::Configure => "mend that, or choose another way in with --runtime",
        Step::Baseline => "mend that, or leave it to who has a key with --skip baseline",
        Step::SelfTest => "look with 'vcn-hook doctor', or leave it out with --skip self-test",
        Step::Enforce => {
            "everything starts as before unless it says otherwise; look with 'vcn-hook doctor'"
        }
    };
    let ledger = args
        .ledger
        .as_ref()
        .map(|ledger| format!(" {}", quoted(ledger)));
    let again = format!("vcn-hook setup{}", ledger.unwrap_or_default());
    let Failure { code, error } = failure;
    Failure::new(
        code,
        format!("step {title} stopped: {error:#}; {next}, and go on with '{again}'"),
    )
}

fn ending(args: &args::Setup, config: &Config) -> String {
    if args.dry_run {
        return "\nthis was a dry run: nothing was changed\n".to_owned();
    }
    match mode::applied(config) {
        Some(Mode::Enforce) => {
            "\nthis node starts what the ledger vouches for, and refuses everything else\n"
                .to_owned()
        }
        _ => "\nthis node is in audit mode: see 'vcn-hook report', then 'vcn-hook mode enforce'\n"
            .to_owned(),
    }
}

/// Asks, unless everything was agreed to beforehand.
fn agreed(args: &args::Setup, step: Step) -> Result<(), Failure> {
    if args.yes || ask::yes(&format!("Go on with {}?", step.as_str()))? {
        return Ok(());
    }
    Err(Failure::configuration("nobody agreed to it"))
}

fn perform(context: &mut Context, args: &args::Setup, step: Step) -> Result<Outcome, Failure> {
    if let Some(why) = done(context, args, step)? {
        return Ok(Outcome::Already(why));
    }
    if let Some(why) = left_out(context, args, step)? {
        return Ok(Outcome::Skipped(why));
    }
    agreed(args, step)?;
    match step {
        Step::Enroll => enrol(context, args),
        Step::Configure => put_in(context, args),
        Step::Baseline => notarize(context, args),
        Step::SelfTest => prove(context, args),
        Step::Enforce => enforce(context, args),
    }
}

/// Why there is nothing left to do.
fn done(context: &Context, args: &args::Setup, step: Step) -> Result<Option<String>, Failure> {
    let config = context.config()?;
    Ok(match step {
        Step::Enroll => follows(&config, args)?,
        Step::Configure => {
            let wanted = args.runtime.and_then(args::Way::target);
            let on = crate::configure::status(&configure::places()?);
            let mut on = on.into_iter().filter(|way| way.state == State::On);
            on.find(|way| wanted.is_none_or(|wanted| wanted == way.target))
                .map(|way| format!("the gate is in the way of {}", way.target))
        }
        // What is new since the last time is found by looking.
        Step::Baseline | Step::SelfTest => None,
        Step::Enforce => (mode::applied(&config) == Some(Mode::Enforce))
            .then(|| "this node refuses already".to_owned()),
    })
}

/// Says which ledger is followed, if it is the one that was named.
fn follows(config: &Config, args: &args::Setup) -> Result<Option<String>, Failure> {
    let Some(followed) = &config.ledger else {
        return Ok(None);
    };
    let is_it = match &args.ledger {
        None => true,
        Some(named) => Place::parse(named)?.to_string() == *followed,
    };
    // A pinned root that was never applied is no node that follows.
    let applied = mode::applied(config).is_some();
    Ok((is_it && applied && args.root.is_none())
        .then(|| format!("this machine follows {followed}")))
}

/// Why a step is not for this machine.
fn left_out(context: &Context, args: &args::Setup, step: Step) -> Result<Option<String>, Failure> {
    let skipped = match step {
        Step::Baseline => args.skip.contains(&Skippable::Baseline),
        Step::SelfTest => args.skip.contains(&Skippable::SelfTest),
        Step::Enroll | Step::Configure | Step::Enforce => false,
    };
    if skipped {
        return Ok(Some("as --skip says".to_owned()));
    }
    let config = context.config()?;
    let without_engine = step == Step::SelfTest && !self_test::has_engine(&config);
    Ok(without_engine.then(|| NO_ENGINE.to_owned()))
}

const NO_ENGINE: &str = "no engine answers; start one, and then run 'vcn-hook self-test'";

fn enrol(context: &mut Context, args: &args::Setup) -> Result<Outcome, Failure> {
    let config = context.config()?;
    let ledger = args.ledger.clone().or_else(|| config.ledger.clone());
    // Whoever has chosen a mode has it: this is for a node that would refuse everything at once.
    if setting::origin(&config.files, "mode")?.is_none() {
        setting::set(&context.config_path, "mode", Mode::Audit.as_str())?;
    }
    let args = args::Enroll {
        ledger: ledger.unwrap_or_default(),
        root: args.root.clone(),
    };
    let enrolled = enroll::enrol(context, &args)?;
    Ok(Outcome::Done(enrolled.value(), enrolled.text()))
}

fn put_in(context: &Context, args: &args::Setup) -> Result<Outcome, Failure> {
    let put = configure::put_in_way(context, args.runtime, args.dry_run)?;
    Ok(Outcome::Done(put.value(), put.text()))
}

fn notarize(context: &mut Context, args: &args::Setup) -> Result<Outcome, Failure> {
    let args = args::Baseline {
        key: args.key.clone(),
        reason: "baseline".to_owned(),
        yes: args.yes,
        dry_run: args.dry_run,
        ..args::Baseline::default()
    };
    let made = baseline::make(context, &args)?;
    if made.failed() > 0 {
        context.out.show(&made.text());
        let text = format!("{} images could not be notarized", made.failed());
        return Err(Failure::new(exit::FAILURE, text));
    }
    Ok(Outcome::Done(made.value(), made.text()))
}

/// Has the canary that must start notarized where it is not, and tests.
fn prove(context: &mut Context, args: &args::Setup) -> Result<Outcome, Failure> {
    let wanted = args::SelfTest {
        key: args.key.clone(),
        ..args::SelfTest::default()
    };
    let published = self_test::published::publish(context, &wanted).map_err(|failure| Failure {
        code: failure.code,
        error: failure.error.context(
            "the canary that must start is not notarized yet, and cannot be from here (a \
                 publisher runs 'vcn-hook self-test --publish' once)",
        ),
    })?;
    let tested = tested(context)?;
    let value = json!({ "published": published.value(), "selfTest": tested.value() });
    Ok(Outcome::Done(value, published.text() + &tested.text()))
}

/// Tests, and takes anything but a proof for an error.
fn tested(context: &mut Context) -> Result<self_test::SelfTest, Failure> {
    let tested = self_test::test(context, &args::SelfTest::default())?;
    if !tested.is_proven() {
        tested.cry(context);
        context.out.show(&tested.text());
        let text = "the gate is not proven to be in the way";
        return Err(Failure::new(tested.code(), text));
    }
    Ok(tested)
}

fn enforce(context: &mut Context, args: &args::Setup) -> Result<Outcome, Failure> {
    let wanted = args::Mode {
        mode: None,
        yes: args.yes,
        dry_run: args.dry_run,
    };
    let change = mode::set(context, Mode::Enforce, &wanted)?;
    let config = context.config()?;
    if args.dry_run || args.skip.contains(&Skippable::SelfTest) || !self_test::has_engine(&config) {
        let value = json!({ "mode": change.value(), "selfTest": null });
        return Ok(Outcome::Done(value, change.text()));
    }
    let tested = tested(context)?;
    let value = json!({ "mode": change.value(), "selfTest": tested.value() });
    Ok(Outcome::Done(value, change.text() + &tested.text()))
}

/// What a step would do, as far as that shows before those above it are done.
fn rehearse(context: &mut Context, args: &args::Setup, step: Step) -> Result<Outcome, Failure> {
    if let Some(why) = done(context, args, step)? {
        return Ok(Outcome::Already(why));
    }
    if let Some(why) = left_out(context, args, step)? {
        return Ok(Outcome::Skipped(why));
    }
    let config = context.config()?;
    let is_enrolled = follows(&config, args)?.is_some();
    match step {
        Step::Configure if is_enrolled => put_in(context, args),
        Step::Baseline if is_enrolled => notarize(context, args),
        Step::Enforce if is_enrolled => enforce(context, args),
        Step::Enroll | Step::Configure | Step::Baseline | Step::SelfTest | Step::Enforce => {
            Ok(Outcome::Done(Value::Null, "would be done\n".to_owned()))
        }
    }
}
