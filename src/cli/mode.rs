//! `mode`: whether a refusal refuses on this node.
//!
//! Owns what is shown before a node begins to refuse, and who must agree to it. What the modes do
//! is the policy's; where the setting is written is `setting`'s.

use serde_json::{Value, json};

use super::applying;
use super::args;
use super::ask;
use super::context::{Context, is_root};
use super::failure::{Failure, OrFail as _};
use super::output::{self, Format};
use super::report::{self, Group, Refusals};
use super::setting;
use super::trusted;
use crate::apply::{self, ApplyError, Lapses};
use crate::config::Config;
use crate::policy::gatebin::{GateBin, MAX_GATEBIN_SIZE, Mode};
use crate::sys::file;
use crate::verdict::{ReasonCode, exit};

/// How far back refusals are looked for: a week has every timer job of most nodes in it.
const LATELY: u64 = 7 * 86_400;

/// Says the mode, or sets it.
///
/// # Errors
/// `configuration` when it cannot be set, or nobody agrees to what would be refused.
pub fn run(context: &mut Context, args: &args::Mode) -> Result<u8, Failure> {
    match args.mode {
        None => show(context),
        Some(word) => {
            let change = set(context, word.into(), args)?;
            context.out.answer(&change.value(), |_| change.text())?;
            Ok(exit::OK)
        }
    }
}

fn show(context: &mut Context) -> Result<u8, Failure> {
    let config = context.config()?;
    let origin = setting::origin(&config.files, "mode")?;
    let applied = applied(&config);
    let origin = origin.map(|path| path.display().to_string());
    let value = json!({ "mode": config.mode, "applied": applied, "origin": origin });
    context.out.answer(&value, |_| {
        let said = origin.unwrap_or_else(|| "no file, so it is the default".to_owned());
        let gate = match applied {
            None => "nothing is applied: run 'vcn-hook enroll DIR|URL'".to_owned(),
            Some(mode) if mode == config.mode => mode.as_str().to_owned(),
            Some(mode) => format!("{}: run 'vcn-hook apply'", mode.as_str()),
        };
        output::rows(&[
            ("Mode", config.mode.as_str().to_owned()),
            ("Set by", said),
            ("At the gate", gate),
        ])
    })?;
    Ok(0)
}

/// What setting the mode came to.
#[derive(Debug)]
pub struct Change {
    mode: Mode,
    before: Mode,
    /// The file that has it now; `None` after a dry run.
    written: Option<String>,
    applied: bool,
    refusals: Refusals,
}

/// Sets the mode, after showing what would be refused, and has the gate learn it.
///
/// # Errors
/// As [`run`].
pub fn set(context: &mut Context, mode: Mode, args: &args::Mode) -> Result<Change, Failure> {
    let config = context.config()?;
    let refusals = match mode {
        Mode::Audit => Refusals::default(),
        Mode::Enforce => would_be(context, &config)?,
    };
    let open = refusals.open().count();
    if open > 0 && context.out.format == Format::Text {
        context.out.show(&refusals.text());
    }
    if open > 0 && !args.dry_run {
        consent(args, open)?;
    }
    let mut change = Change {
        mode,
        before: config.mode,
        written: None,
        applied: false,
        refusals,
    };
    if !args.dry_run {
        let written = setting::set(&context.config_path, "mode", mode.as_str())?;
        change.applied = apply_now(context, mode)?;
        change.written = Some(written.display().to_string());
    }
    Ok(change)
}

impl Change {
    /// As scripts read it.
    #[must_use]
    pub fn value(&self) -> Value {
        json!({
            "mode": self.mode,
            "before": self.before,
            "written": self.written,
            "applied": self.applied,
            "refusals": self.refusals.open().map(Group::value).collect::<Vec<Value>>(),
        })
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let applied = match (&self.written, self.applied) {
            (None, _) => "no: this was a dry run",
            (Some(_), true) => "at once",
            (Some(_), false) => "not yet: run 'vcn-hook enroll DIR|URL'",
        };
        output::rows(&[
            ("Mode", self.mode.as_str().to_owned()),
            ("Written to", self.written.clone().unwrap_or_default()),
            ("Applied", applied.to_owned()),
        ])
    }
}

/// What would be refused from now on, by what was recorded lately and by what runs.
fn would_be(context: &mut Context, config: &Config) -> Result<Refusals, Failure> {
    if !apply::pin_path(config).exists() {
        return Err(trusted::not_enrolled());
    }
    let mut refusals = report::since_then(context, context.now.saturating_sub(LATELY))?;
    refusals.add_running(context)?;
    Ok(refusals)
}

/// Finds somebody who wants the refusals that were shown.
fn consent(args: &args::Mode, open: usize) -> Result<(), Failure> {
    if args.yes {
        return Ok(());
    }
    let what = format!("{open} of these would be refused from now on");
    if !ask::somebody() {
        return Err(Failure::configuration(format!(
            "{what}, and nobody is here to agree: pass --yes"
        )));
    }
    if ask::yes(&format!("{what}. Enforce?"))? {
        return Ok(());
    }
    Err(Failure::configuration("the mode is what it was"))
}

/// Has the gate learn it now. Before a machine is enrolled there is nothing to apply, and the
/// setting waits: packages set it first.
fn apply_now(context: &Context, wanted: Mode) -> Result<bool, Failure> {
    let code = ReasonCode::Configuration.exit_code();
    let config = context.config()?;
    if config.mode != wanted {
        let path = setting::origin(&config.files, "mode")?.unwrap_or_default();
        return Err(Failure::configuration(format!(
            "'{}' has the last word, and says {}",
            path.display(),
            config.mode.as_str()
        )));
    }
    if !is_root() {
        // Where all files are somebody's own, no gate reads them.
        return Ok(false);
    }
    match applying::compiled(&config, Lapses::Hold, context.now) {
        Ok(_) => Ok(true),
        Err(ApplyError::NotEnrolled(_)) => Ok(false),
        Err(error) => Err(error).or_fail(
            code,
            || "it is written, and the gate goes on as before: nothing was applied",
        ),
    }
}

/// The mode that the gate has.
#[must_use]
pub fn applied(config: &Config) -> Option<Mode> {
    let path = apply::gatebin_path(&config.state_dir);
    let bytes = file::read_capped(&path, MAX_GATEBIN_SIZE).ok()?;
    Some(GateBin::decode(&bytes).ok()?.mode)
}
