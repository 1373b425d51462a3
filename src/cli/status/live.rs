//! `status --watch`: what runs, and what is wrong, on a terminal, again and again.
//!
//! Owns the loop between a look and a key. It looks by itself, whether a watch runs or not, and changes
//! nothing.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::args;
use super::super::context::Context;
use super::super::failure::Failure;
use super::super::output::{Format, Paint};
use super::super::watch::{self, statements::Copied};
use super::frame::frame;
use crate::config::Config;
use crate::sys::clock;
use crate::sys::signal::Requests;
use crate::sys::terminal::Screen;
use crate::watch::decisions::Record;
use crate::watch::directory;
use crate::watch::look::Lookout;
use crate::watch::node;
use crate::watch::outbox::Outbox;
use crate::watch::picture::{Picture, Telling};

/// Where there is no terminal, all there is to say fits.
const UNBOUNDED: (usize, usize) = (1000, 10_000);

/// Ctrl-C, where the terminal does not make a signal of it.
const INTERRUPT: u8 = 3;

/// Shows what runs until somebody has seen enough.
///
/// # Errors
/// `configuration` for one that cannot be read; the terminal's.
pub(super) fn run(context: &mut Context, args: &args::Status) -> Result<u8, Failure> {
    let config = context.config()?;
    let mut eye = Eye {
        lookout: Lookout::new(watch::node()?, &config),
        statements: Copied::new(),
        record: Record::of(&config.decisions),
        interval: args.interval,
        config,
    };
    let somebody = io::stdin().is_terminal() && io::stdout().is_terminal();
    if !somebody || context.out.format != Format::Text {
        return once(context, &mut eye);
    }
    let paint = context.out.paint();
    let requests = Requests::hold()?;
    let screen = Screen::take()?;
    loop {
        let begun = Instant::now();
        let picture = eye.look();
        let mut size = (0, 0);
        while begun.elapsed() < Duration::from_secs(args.interval) {
            let now = screen.size();
            if now != size {
                size = now;
                screen.show(&frame(&picture, size.0, size.1, paint))?;
            }
            let key = screen.key()?;
            let asked = requests.within(Duration::ZERO).is_some();
            if asked || matches!(key, Some(b'q' | b'Q' | INTERRUPT)) {
                return Ok(0);
            }
        }
    }
}

fn once(context: &mut Context, eye: &mut Eye) -> Result<u8, Failure> {
    let picture = eye.look();
    let (columns, lines) = UNBOUNDED;
    let mut shown = frame(&picture, columns, lines, Paint::PLAIN);
    // The frame fills a screen; a file or a pipe has no end to fill up to.
    shown.retain(|line| !line.is_empty());
    let text = shown.join("\n") + "\n";
    match picture.sweep.as_deref() {
        Some(sweep) => context.out.answer(&watch::lines::json(sweep), |_| text)?,
        None => context.out.answer("", |_| text)?,
    }
    Ok(0)
}

/// Who looks, and what is remembered between two looks.
struct Eye {
    config: Config,
    lookout: Lookout,
    statements: Copied,
    record: Record,
    interval: u64,
}

impl Eye {
    fn look(&mut self) -> Picture {
        self.statements.renew(&self.config);
        let now = clock::now();
        let sweep = self.lookout.sweep(&self.config, &mut self.statements, now);
        // What cannot be read is not counted; the sweep says that it cannot.
        let _ = self.record.read_on();
        let outbox = Outbox::read(&directory(&self.config.state_dir)).ok();
        Picture {
            now,
            interval: self.interval,
            sweep: Some(Arc::new(sweep)),
            decisions: self.record.decisions.clone(),
            node: node::read(&self.config, now),
            told: outbox.iter().flat_map(Telling::all_of).collect(),
        }
    }
}
