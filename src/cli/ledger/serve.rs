//! `ledger serve`: the ledger over HTTP, on one machine.
//!
//! Owns where it listens, whose keys it has, and its end by a signal. What is
//! answered is `ledger::serve`'s.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use serde_json::json;

use super::super::args::LedgerServe;
use super::super::context::Context;
use super::super::failure::{Failure, OrFail as _};
use super::super::output;
use super::index::{VALIDITY, key_path};
use crate::http::Stop;
use crate::ledger::serve::{Serve, ServeError};
use crate::sys::clock;
use crate::sys::signal::Termination;
use crate::trust::keys::{self, SecretKey, Signer as _};
use crate::verdict::exit;

/// Serves until it is asked to end.
pub(super) fn run(context: &mut Context, args: &LedgerServe) -> Result<u8, Failure> {
    let directory = std::path::absolute(&args.directory)?;
    let what = || format!("cannot serve the ledger '{}'", directory.display());
    std::fs::metadata(directory.join("checkpoint")).or_fail(exit::UNREACHABLE, what)?;
    let log = key(&directory.join(".state/keys/log")).or_fail(exit::FAILURE, what)?;
    // Where the indexers' keys are elsewhere, whoever has them publishes the index.
    let path = key_path(&directory);
    let indexer = if path.exists() {
        Some(key(&path).or_fail(exit::FAILURE, what)?)
    } else {
        None
    };
    let listener = TcpListener::bind(args.listen).or_fail(exit::FAILURE, || {
        format!("cannot listen on {}", args.listen)
    })?;
    // Before any thread is started, so that it is held back in all of them.
    let termination = Termination::hold()?;
    let stop = Stop::new(listener);
    let address = stop.address()?;
    let asked = stop.clone();
    thread::spawn(move || {
        // Whatever ends the wait ends the service: it must not go on deaf to signals.
        let _ = termination.wait();
        asked.stop();
    });
    let serve = Serve {
        directory: &directory,
        log: &log,
        indexer: indexer.as_ref(),
        validity: VALIDITY,
        now: clock::now,
    };
    let out = Mutex::new(context);
    let say = |change: &dyn Fn(&mut Context) -> Result<(), Failure>| match out.lock() {
        Ok(mut context) => change(&mut context),
        Err(_) => Ok(()),
    };
    serve
        .run(
            &stop,
            &|| {
                // Whoever started it and does not listen to this has decided so.
                let _ = say(&|context| ready(context, &directory, log.name(), address));
            },
            &|message| {
                let _ = say(&|context| {
                    context.out.warn(message);
                    Ok(())
                });
            },
        )
        .map_err(|error| failure(error, &directory))?;
    Ok(0)
}

fn ready(
    context: &mut Context,
    directory: &Path,
    origin: &str,
    address: SocketAddr,
) -> Result<(), Failure> {
    let url = format!("http://{address}");
    let value = json!({
        "ledger": directory.display().to_string(),
        "origin": origin,
        "url": url,
    });
    context.out.answer(&value, |_| {
        output::rows(&[
            ("Ledger", directory.display().to_string()),
            ("Origin", origin.to_owned()),
            ("URL", url.clone()),
        ])
    })
}

fn key(path: &Path) -> Result<SecretKey, keys::KeyError> {
    keys::open(path, &mut |_: &Path| None)
}

fn failure(error: ServeError, directory: &Path) -> Failure {
    match error {
        ServeError::Index(error) => super::index::failure(error, directory),
        error => Failure {
            code: exit::FAILURE,
            error: anyhow::Error::from(error),
        },
    }
}

/// Where a ledger listens when nothing is said: on this machine only.
pub(crate) const LISTEN: &str = "127.0.0.1:9580";

/// Understands ADDRESS:PORT.
///
/// # Errors
/// What cannot be listened on.
pub(crate) fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    use std::net::ToSocketAddrs as _;
    let found = text.to_socket_addrs().and_then(|mut found| {
        found
            .next()
            .ok_or_else(|| io::Error::other("it names no address"))
    });
    found.map_err(|error| format!("'{text}' is no ADDRESS:PORT: {error}"))
}
