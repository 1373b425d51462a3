//! One canary on one engine: loaded, started, looked up in the record, removed.
//!
//! Owns that nothing is left behind, whatever went wrong. What it proves is `outcome`'s.

use std::path::Path;

use super::canary::Canary;
use crate::cli::decisions::{self, Decision};

/// An engine, as far as canaries need one.
pub(super) trait Engine {
    /// Its name.
    fn name(&self) -> &'static str;
    /// Takes the image in.
    fn load(&self, canary: &Canary) -> anyhow::Result<()>;
    /// Makes a container of it: its id.
    fn create(&self, canary: &Canary, name: &str) -> anyhow::Result<String>;
    /// Starts it, or says in the engine's words why not.
    fn start(&self, id: &str) -> anyhow::Result<Result<(), String>>;
    /// Its exit code, once it has ended.
    fn wait(&self, id: &str) -> anyhow::Result<i64>;
    /// Removes it.
    fn remove(&self, id: &str) -> anyhow::Result<()>;
    /// Removes the image.
    fn remove_image(&self, canary: &Canary) -> anyhow::Result<()>;
}

/// What was seen of one canary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trial {
    /// The container's id, where there was one.
    pub(super) container: String,
    /// Its exit code, or why it did not start in the engine's words.
    pub(super) ran: Result<i64, String>,
    /// The last decision about that container.
    pub(super) decision: Option<Decision>,
}

/// One run on one engine.
pub(super) struct Run<'a> {
    engine: &'a dyn Engine,
    decisions: &'a Path,
    name: String,
    /// What could not be removed, and why.
    pub(super) left_behind: Vec<String>,
}

impl Trial {
    /// There is no container to decide about.
    fn failed(error: &anyhow::Error) -> Self {
        Self {
            container: String::new(),
            ran: Err(format!("{error:#}")),
            decision: None,
        }
    }
}

impl<'a> Run<'a> {
    /// On this engine, whose gate records what it decides in `decisions`; containers' names begin with `name`.
    pub(super) const fn new(engine: &'a dyn Engine, decisions: &'a Path, name: String) -> Self {
        Self {
            engine,
            decisions,
            name,
            left_behind: Vec::new(),
        }
    }

    /// Starts a canary, looks for what was decided, and removes every trace of it.
    pub(super) fn trial(&mut self, canary: &Canary, which: &str) -> Trial {
        let trial = match self.engine.load(canary) {
            Ok(()) => self.start(canary, &format!("{}-{which}", self.name)),
            Err(error) => Trial::failed(&error),
        };
        self.cleaned(&canary.tag, self.engine.remove_image(canary));
        trial
    }

    fn start(&mut self, canary: &Canary, name: &str) -> Trial {
        let container = match self.engine.create(canary, name) {
            Ok(id) => id,
            Err(error) => return Trial::failed(&error),
        };
        let ran = match self.engine.start(&container) {
            Ok(Ok(())) => self
                .engine
                .wait(&container)
                .map_err(|error| format!("{error:#}")),
            Ok(Err(message)) => Err(message),
            Err(error) => Err(format!("{error:#}")),
        };
        self.cleaned(name, self.engine.remove(&container));
        let decision = decisions::tail(self.decisions).ok().and_then(|tail| {
            let about = |decision: &Decision| decision.container.id == container;
            tail.decisions.into_iter().rev().find(about)
        });
        Trial {
            container,
            ran,
            decision,
        }
    }

    fn cleaned(&mut self, what: &str, removed: anyhow::Result<()>) {
        if let Err(error) = removed {
            self.left_behind.push(format!("{what}: {error:#}"));
        }
    }
}
