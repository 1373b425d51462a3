//! `self-test`: proves through the node's own engine that the gate is on, and that it lets start what may.
//!
//! Owns what counts as proof: a decision record of that very container, for that very image. A canary
//! that did not start proves nothing by itself, for engines fail for other reasons too.

pub mod canary;
mod docker;
pub mod outcome;
mod podman;
pub mod published;
mod trial;

use std::fs::File;

use nix::fcntl::{Flock, FlockArg};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::Deserialize;
use serde_json::{Value, json};

use super::args::{self, EngineWord};
use super::context::{Context, is_root};
use super::failure::{Failure, OrFail as _};
use super::moment;
use super::output;
use super::view::View;
use crate::allowlist::record::{Key, Kind};
use crate::config::Config;
use crate::image::digest::Digest;
use crate::policy::gatebin::Mode;
use crate::policy::standing::{Standing, standing};
use crate::sys::file;
use crate::verdict::{ReasonCode, exit};
use canary::{Architecture, Canary};
use outcome::Outcome;
use published::publish;
use trial::{Engine, Run};

/// Seconds that one request to an engine may take: a busy machine's first start takes some of them.
const PATIENCE: u64 = 60;

/// The file in the state directory that remembers the last result.
pub const RECORD: &str = "self-test.json";

/// How many canaries are remembered: a week's, at several a day.
const REMEMBERED: usize = 64;

/// The result, with those.
const MAX_RECORD: u64 = 64 << 10;

/// What engines call the canaries' containers, before something random.
const CONTAINER: &str = "vcn-hook-canary-";

/// What came of a self-test.
#[derive(Debug, Clone)]
pub struct SelfTest {
    time: u64,
    engine: &'static str,
    mode: Mode,
    unknown: Outcome,
    trusted: Outcome,
    left_behind: Vec<String>,
    /// The canaries that nobody can have notarized, the newest first: what was decided about them is
    /// no news of this node.
    canaries: Vec<Digest>,
}

/// Tests, or notarizes what the tests of a fleet need.
///
/// # Errors
/// When it cannot be tested at all. That a canary was not treated as it must is the answer, and its
/// exit code.
pub fn run(context: &mut Context, args: &args::SelfTest) -> Result<u8, Failure> {
    if args.publish {
        let published = publish(context, args)?;
        context
            .out
            .answer(&published.value(), |_| published.text())?;
        return Ok(exit::OK);
    }
    if args.dry_run {
        return announce(context, args);
    }
    let tested = test(context, args)?;
    tested.cry(context);
    context.out.answer(&tested.value(), |_| tested.text())?;
    Ok(tested.code())
}

/// Says what would be done.
fn announce(context: &mut Context, args: &args::SelfTest) -> Result<u8, Failure> {
    let config = context.config()?;
    let engine = engine(&config, args.engine)?;
    let canary = known()?;
    let word = word(context, &canary)?;
    let value = json!({
        "engine": engine.name(),
        "trustedCanary": canary.config,
        "notarized": word.reason.code == ReasonCode::Trusted,
        "record": config.state_dir.join(RECORD).display().to_string(),
    });
    context.out.answer(&value, |_| {
        output::rows(&[
            ("Engine", engine.name().to_owned()),
            (
                "Unknown canary",
                "would be started, and must be refused".to_owned(),
            ),
            (
                "Trusted canary",
                format!("{}: {}", canary.config, word.reason),
            ),
            ("Left behind", "nothing but the result".to_owned()),
            (
                "Record",
                config.state_dir.join(RECORD).display().to_string(),
            ),
        ])
    })?;
    Ok(exit::OK)
}

/// Starts both canaries, and remembers what came of it.
///
/// # Errors
/// As [`run`].
pub fn test(context: &mut Context, args: &args::SelfTest) -> Result<SelfTest, Failure> {
    if !is_root() {
        let text = "only root may start canaries and read this node's decisions";
        return Err(Failure::configuration(text));
    }
    let config = context.config()?;
    let mode = View::open(context)?.gate.mode;
    let _lock = lock(&config)?;
    let engine = engine(&config, args.engine)?;
    let known = known()?;
    let word = word(context, &known)?;
    let mut random = [0; 32];
    SystemRandom::new()
        .fill(&mut random)
        .map_err(|_| Failure::new(exit::FAILURE, "the system has no random bytes"))?;
    let unknown = canary::unknown(architecture()?, &random)?;
    let name = unknown.config.hex();
    let name = format!("{CONTAINER}{}", name.get(..16).unwrap_or_default());
    let mut run = Run::new(engine.as_ref(), &config.decisions, name);
    let mut canaries = vec![unknown.config];
    canaries.extend(canaries_of(&config).into_iter().take(REMEMBERED - 1));
    let trial = run.trial(&unknown, "unknown");
    let unknown = outcome::of_unknown(mode, &unknown.config, trial);
    let trusted = match word.reason.code {
        // Whoever lets it be refused once more learns nothing.
        ReasonCode::Unknown | ReasonCode::Lapsed => outcome::not_notarized(&word.reason),
        _ => outcome::of_trusted(&known.config, run.trial(&known, "trusted")),
    };
    let tested = SelfTest {
        time: context.now,
        engine: engine.name(),
        mode,
        unknown,
        trusted,
        left_behind: run.left_behind,
        canaries,
    };
    let path = config.state_dir.join(RECORD);
    let text = tested.value().to_string() + "\n";
    file::replace(&path, text.as_bytes(), 0o644).or_fail(exit::FAILURE, || {
        format!("cannot remember the result in '{}'", path.display())
    })?;
    Ok(tested)
}

/// The canaries of the last self-tests that nobody can have notarized, by root's own record.
#[must_use]
pub fn canaries_of(config: &Config) -> Vec<Digest> {
    #[derive(Deserialize)]
    struct Record {
        #[serde(default)]
        canaries: Vec<Digest>,
    }
    let bytes = file::read_capped(&config.state_dir.join(RECORD), MAX_RECORD).ok();
    let record: Option<Record> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    record.map(|record| record.canaries).unwrap_or_default()
}

/// One self-test at a time: the canary that must start has one name.
fn lock(config: &Config) -> Result<Flock<File>, Failure> {
    let path = config.run_dir.join("self-test.lock");
    let what = || format!("cannot lock '{}'", path.display());
    let file = File::create(&path).or_fail(exit::FAILURE, what)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| match error {
        nix::errno::Errno::EWOULDBLOCK => Failure::new(
            exit::FAILURE,
            "another self-test is running: wait for its end",
        ),
        other => Failure::new(exit::FAILURE, format!("{}: {other}", what())),
    })
}

fn engine(config: &Config, wanted: Option<EngineWord>) -> Result<Box<dyn Engine>, Failure> {
    let docker = || docker::Docker::find(&config.docker_socket);
    let none = |why: String| Failure::configuration(format!("no engine to test with: {why}"));
    match wanted {
        Some(EngineWord::Docker) => match docker() {
            Ok(docker) => Ok(Box::new(docker)),
            Err(error) => Err(none(format!("{error:#}; is Docker running?"))),
        },
        Some(EngineWord::Podman) => match podman::Podman::find() {
            Some(podman) => Ok(Box::new(podman)),
            None => Err(none("there is no podman".to_owned())),
        },
        None => match (docker(), podman::Podman::find()) {
            (Ok(docker), _) => Ok(Box::new(docker)),
            (Err(_), Some(podman)) => Ok(Box::new(podman)),
            (Err(error), None) => Err(none(format!(
                "{error:#}, and there is no podman; start the engine, and test again"
            ))),
        },
    }
}

/// Whether there is an engine to test with.
#[must_use]
pub fn has_engine(config: &Config) -> bool {
    engine(config, None).is_ok()
}

fn architecture() -> Result<Architecture, Failure> {
    Architecture::of_machine().ok_or_else(|| {
        let machine = std::env::consts::ARCH;
        Failure::new(exit::FAILURE, format!("there is no canary for {machine}"))
    })
}

fn known() -> Result<Canary, Failure> {
    Ok(canary::known(architecture()?)?)
}

/// What the ledger says of the canary that must start.
fn word(context: &Context, canary: &Canary) -> Result<Standing, Failure> {
    let view = View::open(context)?;
    let answer = view.consult(&Key::of(Kind::Config, &canary.config), context.now);
    let answer = answer.map_err(|reason| Failure::new(reason.code.exit_code(), reason))?;
    Ok(standing(
        &view.gate.trust,
        &answer.records,
        Some(&canary.chain),
        context.now,
    ))
}

impl SelfTest {
    /// Whether both halves are proven.
    #[must_use]
    pub const fn is_proven(&self) -> bool {
        self.unknown.proven && self.trusted.proven
    }

    /// The exit code: 1 when the gate is not proven to be in the way or refused what may start, 2 when
    /// only the word for the trusted canary is missing.
    #[must_use]
    pub fn code(&self) -> u8 {
        match (self.unknown.proven, self.trusted.proven) {
            (true, true) => exit::OK,
            (true, false) if self.trusted.is_missing_word() => ReasonCode::Unknown.exit_code(),
            _ => exit::FAILURE,
        }
    }

    /// Says loudly that the gate is not in the way.
    pub fn cry(&self, context: &mut Context) {
        if self.unknown.is_open_gate() {
            context.out.warn(&format!(
                "THE GATE IS NOT ON: {} started a container of an image that nobody notarized, and \
                 nothing was decided about it; look with 'vcn-hook doctor'",
                self.engine
            ));
        }
        for left in &self.left_behind {
            context.out.warn(&format!("left behind: {left}"));
        }
    }

    /// As scripts read it, and as it is remembered.
    #[must_use]
    pub fn value(&self) -> Value {
        json!({
            "schema": "vcn-hook/self-test/v1",
            "time": moment::rfc3339(self.time),
            "engine": self.engine,
            "mode": self.mode,
            "proven": self.is_proven(),
            "unknown": self.unknown.value(),
            "trusted": self.trusted.value(),
            "leftBehind": self.left_behind,
            "canaries": self.canaries,
        })
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let verdict = match self.is_proven() {
            true => "proven: the gate is on",
            false => "NOT PROVEN",
        };
        output::rows(&[
            ("Self-test", verdict.to_owned()),
            ("Engine", self.engine.to_owned()),
            ("Mode", self.mode.as_str().to_owned()),
            ("Unknown canary", self.unknown.text()),
            ("Trusted canary", self.trusted.text()),
        ])
    }
}
