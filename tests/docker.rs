//! The product on a real Docker daemon.
//!
//! One private daemon serves the whole file; each case has its own node and
//! ledger, and says by which of them its starts are judged.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test file"
)]

mod support;

use std::sync::{Mutex, MutexGuard, OnceLock};
use support::daemon::Daemon;
use support::image::{EVIL, Image, SAYS};
use support::registry::Registry;
use support::scratch::Scratch;

/// What all cases share; only one of them uses the daemon at a time.
struct Stage {
    scratch: Scratch,
    daemon: Daemon,
}

fn stage() -> MutexGuard<'static, Stage> {
    static STAGE: OnceLock<Mutex<Stage>> = OnceLock::new();
    let stage = STAGE.get_or_init(|| {
        let scratch = Scratch::new("docker");
        let daemon = Daemon::start(&scratch);
        Mutex::new(Stage { scratch, daemon })
    });
    // A case that failed says nothing about the next one.
    let stage = stage
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    stage.daemon.ungated();
    stage.daemon.clear();
    stage
}

#[test]
fn without_a_gate_everything_starts() {
    let stage = stage();
    let app = Image::app("plain:1");
    app.load(&stage.daemon);
    let other = app.with_other_config("plain:other");
    other.load(&stage.daemon);
    assert_eq!(app.chain(), other.chain());
    assert_eq!(stage.daemon.run(&["plain:1"]).ok(), SAYS);
    assert_eq!(stage.daemon.run(&["plain:other"]).ok(), EVIL);

    let registry = Registry::start(&stage.scratch);
    let name = format!("{}/plain:1", registry.address);
    stage.daemon.docker(&["tag", "plain:1", &name]).ok();
    stage.daemon.docker(&["push", "-q", &name]).ok();
    stage.daemon.docker(&["rmi", &name, "plain:1"]).ok();
    stage.daemon.docker(&["pull", "-q", &name]).ok();
    assert_eq!(
        stage
            .daemon
            .docker(&["image", "inspect", "--format", "{{.Id}}", &name])
            .ok(),
        app.id()
    );
    assert_eq!(stage.daemon.run(&["--init", &name]).ok(), SAYS);
}
