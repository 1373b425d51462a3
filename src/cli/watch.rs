//! `watch`: what runs, judged again and again, and said.
//!
//! Owns when the next look is due, and what is said of each. What is looked at, told and done belongs
//! to the module `watch`.

pub(super) mod lines;
mod signs;
pub(super) mod statements;

use std::collections::HashMap;
use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::args;
use super::context::{Context, is_root};
use super::failure::{Failure, OrFail as _};
use super::output::{Format, is_closed};
use crate::config::Config;
use crate::config::watch::{Log, Secret};
use crate::sys::file::read_small;
use crate::sys::signal::{Asked, Requests};
use crate::sys::user::sees_trusted_attributes;
use crate::sys::{clock, notify};
use crate::verdict::{ReasonCode, exit};
use crate::watch::act::Actor;
use crate::watch::deliver::{Delivery, Shared};
use crate::watch::heart::Heart;
use crate::watch::incidents;
use crate::watch::look::Lookout;
use crate::watch::outbox::Outbox;
use crate::watch::outputs::Outputs;
use crate::watch::picture::Telling;
use crate::watch::receiver::Receiver;
use crate::watch::slow::Slow;
use crate::watch::sweep::Sweep;
use signs::Signs;
use statements::Copied;

/// How often the signs that a look is due are looked for.
const TICK: Duration = Duration::from_secs(1);

/// How long `--once` tries to tell somebody who fails, and how long it waits for the limit per minute.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(600));

/// How long the end waits for what is being told.
const PARTING: Duration = Duration::from_secs(5);

/// Watches what runs, until it is asked to end.
///
/// # Errors
/// `configuration` when there is none to begin with; the watch goes on with the last one when a later
/// one is broken.
pub fn run(context: &mut Context, args: &args::Watch) -> Result<u8, Failure> {
    if args.once {
        return Watching::begin(context, args)?.once(context);
    }
    // Held back before there are threads that would be ended by them.
    let requests = Requests::hold()?;
    Watching::begin(context, args)?.go_on(context, &requests)?;
    Ok(exit::OK)
}

/// A watch, and all that it remembers.
struct Watching {
    config: Config,
    typed: Option<u64>,
    /// Whether there is one look only.
    once: bool,
    only_changes: bool,
    /// The watch's own directory.
    directory: PathBuf,
    /// Whether layers are read again, and not only what was found of them counts.
    reads_layers: bool,
    lookout: Lookout,
    statements: Copied,
    actor: Actor,
    delivery: Delivery,
    shared: Arc<Shared>,
    heart: Heart,
    outputs: Option<Outputs>,
    manager: Option<OsString>,
    /// The matter of what was said of each container, by the key of its incident.
    said: HashMap<String, String>,
}

impl Watching {
    fn begin(context: &mut Context, args: &args::Watch) -> Result<Self, Failure> {
        let config = context.config()?;
        if !is_root() {
            context.out.note(
                "not root: only what this user may look into is seen, and nobody can be told of it",
            );
        }
        let own = own_directory(&config);
        let outbox = match args.dry_run || !is_root() {
            true => Outbox::default(),
            false => Outbox::open(&own).map_err(|error| unopened(&own, error))?,
        };
        let delivery = Delivery::of(outbox);
        let mut watch = Self {
            typed: args.interval,
            once: args.once,
            only_changes: args.changes,
            reads_layers: !args.once && !args.dry_run && is_root(),
            lookout: Lookout::new(node()?, &config),
            statements: Copied::new(),
            actor: Actor::default(),
            shared: delivery.shared(),
            delivery,
            heart: Heart::default(),
            // Whoever only tries it out writes nothing, and serves nobody.
            outputs: (!args.dry_run).then(|| Outputs::new(&config, &own, args.once)),
            manager: env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()),
            said: HashMap::new(),
            directory: own,
            config,
        };
        watch.actor.dry_run = args.dry_run;
        watch.interval()?;
        watch.configured(context);
        watch.layers(context);
        Ok(watch)
    }

    /// Looks once, and ends when everybody was told.
    fn once(&mut self, context: &mut Context) -> Result<u8, Failure> {
        let sweep = self.look(context)?;
        let (failing, all) = PATIENCE;
        self.delivery.flush(failing, all);
        self.remarks(context);
        self.heart.rest(PARTING);
        self.part(context, failing);
        Ok(match sweep.is_clean() {
            true => exit::OK,
            false => exit::FAILURE,
        })
    }

    fn go_on(&mut self, context: &mut Context, requests: &Requests) -> Result<(), Failure> {
        let mut signs = Signs::of(&self.config);
        self.tell_manager("READY=1");
        loop {
            let begun = Instant::now();
            let sweep = self.look(context)?;
            self.tell_manager(&format!("STATUS={}\nWATCHDOG=1", lines::summary(&sweep)));
            let mut is_due = false;
            while !is_due && begun.elapsed() < self.interval()? {
                let asked = requests.within(TICK.min(self.interval()?));
                if asked == Some(Asked::End) {
                    self.tell_manager("STOPPING=1");
                    self.delivery.end(PARTING);
                    self.remarks(context);
                    self.part(context, PARTING);
                    return Ok(());
                }
                self.remarks(context);
                self.tell_manager("WATCHDOG=1");
                let seen = signs.look(&self.config);
                if asked == Some(Asked::Reload) || seen.configuration {
                    // What changes while it is read is seen next time: the signs are from before.
                    self.reload(context);
                    is_due = true;
                }
                is_due |= seen.allowlist || self.lookout.has_news();
            }
        }
    }

    /// One look, and all that follows from it.
    fn look(&mut self, context: &mut Context) -> Result<Sweep, Failure> {
        self.statements.renew(&self.config);
        let now = clock::now();
        let sweep = self.lookout.sweep(&self.config, &mut self.statements, now);
        let deeds = self.actor.act(&sweep, &self.config);
        let (alerts, kept) = self.shared.outbox(|outbox| outbox.learn(&sweep, &deeds));
        if let Err(error) = kept {
            let warning = format!("cannot keep alerts, which may come twice: {error}");
            context.out.warn(&warning);
        }
        let said = self.say(context, &sweep);
        self.show(context, &sweep)?;
        for alert in &alerts {
            // Whose failure has a line of its own is told of there.
            if let Some(deed) = &alert.deed {
                let headline = alert.headline();
                context.out.warn(&format!("{headline}; it {deed}"));
            }
        }
        if let Some(heartbeat) = &self.config.watch.heartbeat
            && !self.actor.dry_run
        {
            self.heart.beat(heartbeat);
        }
        self.remarks(context);
        match said {
            // A disk that is full below its log ends no watch; somebody who has read enough does.
            Err(failure) if !self.once && !is_closed(&failure) => {
                context.out.warn(&failure.to_string());
                Ok(sweep)
            }
            said => said.map(|()| sweep),
        }
    }

    /// Shows what a look found wherever the settings say.
    fn show(&mut self, context: &mut Context, sweep: &Sweep) -> Result<(), Failure> {
        let interval = self.interval()?;
        let told = self.shared.outbox(|outbox| Telling::all_of(outbox));
        if let Some(outputs) = &mut self.outputs {
            for remark in outputs.show(&self.config, sweep, interval, told) {
                context.out.warn(&remark);
            }
        }
        Ok(())
    }

    fn part(&mut self, context: &mut Context, within: Duration) {
        let remarks = self.outputs.as_mut().map(|outputs| outputs.end(within));
        for remark in remarks.into_iter().flatten() {
            context.out.warn(&remark);
        }
    }

    /// Says what a look found.
    fn say(&mut self, context: &mut Context, sweep: &Sweep) -> Result<(), Failure> {
        if context.out.format != Format::Text {
            return context.out.answer(&lines::json(sweep), |_| String::new());
        }
        let only_changes = self.only_changes || self.config.watch.log == Log::Changes;
        let mut said = HashMap::with_capacity(sweep.containers.len());
        let (mut good, mut bad) = (String::new(), String::new());
        let matter = lines::matter_of_node(sweep);
        if !only_changes || self.said.get("") != Some(&matter) {
            bad.push_str(&lines::of_node(sweep));
        }
        said.insert(String::new(), matter);
        for watched in &sweep.containers {
            let (key, matter) = (incidents::key(watched), lines::matter(watched));
            if !only_changes || self.said.get(&key) != Some(&matter) {
                match watched.passes() {
                    true => good.push_str(&lines::of(watched)),
                    false => bad.push_str(&lines::of(watched)),
                }
            }
            said.insert(key, matter);
        }
        self.said = said;
        context.out.show(&bad);
        match good.is_empty() {
            true => Ok(()),
            false => context.out.answer("", |_| good),
        }
    }

    /// Reads the configuration again; a broken one changes nothing.
    fn reload(&mut self, context: &mut Context) {
        match context.config() {
            Ok(config) => {
                let deep = self.config.watch.deep;
                self.config = config;
                self.configured(context);
                if self.config.watch.deep != deep {
                    self.layers(context);
                }
            }
            Err(failure) => context
                .out
                .warn(&format!("{failure}; the last configuration stays")),
        }
    }

    /// Has the layers of what runs read again, as often as the settings say.
    fn layers(&mut self, context: &mut Context) {
        let slow = self.config.watch.deep.map(|every| {
            let slow = Slow::of(&self.directory);
            if self.reads_layers && !sees_trusted_attributes() {
                context
                    .out
                    .note("no layers are read again: that needs CAP_SYS_ADMIN (docs/watch.md)");
            } else if self.reads_layers
                && let Err(error) = slow.begin(every)
            {
                context
                    .out
                    .warn(&format!("no layers are read again: {error}"));
            }
            slow
        });
        self.lookout.count_layers(slow);
    }

    /// Follows from a configuration that was read.
    fn configured(&mut self, context: &mut Context) {
        let receivers = match self.actor.dry_run || !is_root() {
            true => Vec::new(),
            false => Receiver::of(&self.config.watch),
        };
        let limit = self.config.watch.alerts_per_minute;
        self.delivery.tell(receivers, limit);
        for remark in signs::exposed(&self.config) {
            context.out.note(remark);
        }
    }

    /// The interval in force: what was typed, else `CHECK_INTERVAL`, else the configuration's.
    fn interval(&self) -> Result<Duration, Failure> {
        if let Some(seconds) = self.typed {
            return Ok(Duration::from_secs(seconds));
        }
        match env::var_os("CHECK_INTERVAL").filter(|value| !value.is_empty()) {
            None => Ok(self.config.watch.interval),
            Some(value) => {
                let seconds = value.to_str().and_then(|text| text.trim().parse().ok());
                match seconds {
                    Some(seconds @ 1..=86_400) => Ok(Duration::from_secs(seconds)),
                    _ => Err(Failure::configuration(format!(
                        "CHECK_INTERVAL: '{}' is not between 1 and 86400 seconds",
                        value.to_string_lossy()
                    ))),
                }
            }
        }
    }

    fn remarks(&self, context: &mut Context) {
        for remark in self.shared.remarks().into_iter().chain(self.heart.remark()) {
            context.out.warn(&remark);
        }
    }

    fn tell_manager(&self, lines: &str) {
        if let Some(manager) = &self.manager {
            // A manager that does not listen ends us when it wants to.
            let _ = notify::send(manager, lines);
        }
    }
}

/// The node's name: `NODENAME`, as vcn-watchdog had it, else the host's.
pub(super) fn node() -> Result<String, Failure> {
    if let Some(name) = env::var_os("NODENAME").filter(|name| !name.is_empty()) {
        return Ok(name.to_string_lossy().into_owned());
    }
    let name = read_small::<256>("/proc/sys/kernel/hostname".as_ref())?;
    Ok(String::from_utf8_lossy(&name).trim().to_owned())
}

/// The watch's own directory: `STATE_DIRECTORY` in a container that may not write to the node's, where
/// systemd has it too; else the one in the state directory.
fn own_directory(config: &Config) -> PathBuf {
    let said = env::var_os("STATE_DIRECTORY").map(PathBuf::from);
    said.filter(|directory| directory.is_absolute())
        .unwrap_or_else(|| crate::watch::directory(&config.state_dir))
}

fn unopened(directory: &Path, error: io::Error) -> Failure {
    let what = match error.kind() {
        io::ErrorKind::WouldBlock => format!(
            "another watch keeps '{}': end it first, or look with --dry-run",
            directory.display()
        ),
        _ => format!("cannot use '{}'", directory.display()),
    };
    let code = ReasonCode::Configuration.exit_code();
    let kept: Result<(), _> = Err(error);
    match kept.or_fail(code, || what) {
        Err(failure) => failure,
        Ok(()) => Failure::configuration("the state of the watch"),
    }
}

/// The files that have secrets of their own.
fn secrets(config: &Config) -> impl Iterator<Item = &Secret> {
    let watch = &config.watch;
    let secrets = [&watch.slack_webhook, &watch.webhook, &watch.heartbeat];
    secrets.into_iter().flatten()
}
