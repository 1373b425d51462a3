//! Whether a layer on disk is what was unpacked: every byte, every path, every attribute.
//!
//! Owns the comparison of a layer's directory with the archive whose digest the image's config names.
//! The archive is put together again and hashed, so neither the engine's word for it nor the files' is
//! taken; then everything that is on disk must have been in it. What a difference is worth is not for
//! this module to say, and no start waits for it: it reads every byte.

mod archive;
mod compare;
mod difference;
mod memory;
mod seen;
pub mod tar;
pub mod tar_split;
mod walk;

use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Mutex;

use self::archive::{Archive, Checksums, Found, Reading};
use self::compare::Comparison;
use self::tar::Members;
use crate::engine::unpacked::{self, Layer};

pub use self::difference::{Difference, Differences, What};
pub use self::memory::{Fingerprint, Memory};

/// What a comparison has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The layer is what was unpacked.
    Intact,
    /// It is not.
    Differs(Differences),
    /// Nothing can be said, and why.
    Undecidable(String),
}

/// One layer's outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Checked {
    /// What it is.
    pub outcome: Outcome,
    /// Whether it was not read again, because nothing has changed since it was found intact.
    pub remembered: bool,
    /// By what an intact layer can be remembered. One that has just been changed cannot be.
    pub fingerprint: Option<Fingerprint>,
}

/// Told how many more bytes were dealt with; it may wait, and says whether to go on. Called often.
pub type Progress<'a> = &'a (dyn Fn(u64) -> ControlFlow<()> + Sync);

/// What a check goes by besides the layer.
#[derive(Clone, Copy)]
pub struct Check<'a> {
    /// The layers that were found intact before; `None` reads all of them again.
    pub memory: Option<&'a Memory>,
    /// The clock, in Unix seconds.
    pub now: u64,
    /// Told how it goes on.
    pub progress: Progress<'a>,
}

/// The check was given up because its caller asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cancelled;

/// Why a comparison ends early.
#[derive(Debug)]
enum Stop {
    Cancelled,
    Undecidable(String),
}

/// Checks layers, the largest first, each on a core of its own. Answers in their order.
///
/// # Errors
/// [`Cancelled`].
pub fn check_layers(layers: &[Layer], check: Check<'_>) -> Result<Vec<Checked>, Cancelled> {
    let mut order: Vec<(usize, &Layer)> = layers.iter().enumerate().collect();
    order.sort_by_key(|(_, layer)| layer.size);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (waiting, done) = (Mutex::new(order), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let next = waiting.lock().map_or(None, |mut waiting| waiting.pop());
            let Some((place, layer)) = next else {
                return Ok(());
            };
            let checked = check_layer(layer, check)?;
            if let Ok(mut done) = done.lock() {
                done.push((place, checked));
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores.min(layers.len()))
            .map(|_| scope.spawn(work))
            .collect();
        let ends = threads.into_iter().map(|thread| match thread.join() {
            Ok(end) => end,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        ends.collect::<Result<(), Cancelled>>()
    })?;
    let mut done = done.into_inner().unwrap_or_default();
    done.sort_by_key(|(place, _)| *place);
    Ok(done.into_iter().map(|(_, checked)| checked).collect())
}

/// Checks one layer on the caller's own thread, which may be one of low priority.
///
/// # Errors
/// [`Cancelled`].
pub fn check_layer(layer: &Layer, check: Check<'_>) -> Result<Checked, Cancelled> {
    let checked = look(layer, check);
    let outcome = match checked {
        Ok(checked) => return Ok(checked),
        Err(Stop::Cancelled) => return Err(Cancelled),
        Err(Stop::Undecidable(why)) => Outcome::Undecidable(why),
    };
    Ok(Checked {
        outcome,
        remembered: false,
        fingerprint: None,
    })
}

fn look(layer: &Layer, check: Check<'_>) -> Result<Checked, Stop> {
    let mut reading = Reading::new(check.progress);
    if let Some(memory) = check.memory.filter(|memory| memory.has(layer)) {
        let fingerprint = Fingerprint::of(layer, &reading)?;
        if memory.knows(layer, &fingerprint) {
            reading.tell(layer.size)?;
            return Ok(Checked {
                outcome: Outcome::Intact,
                remembered: true,
                fingerprint: Some(fingerprint),
            });
        }
    }
    let (differences, fingerprint) = compare(layer, &mut reading)?;
    let is_intact = differences.count == 0;
    Ok(Checked {
        outcome: match is_intact {
            true => Outcome::Intact,
            false => Outcome::Differs(differences),
        },
        remembered: false,
        fingerprint: Some(fingerprint)
            .filter(|fingerprint| is_intact && fingerprint.is_settled(check.now)),
    })
}

/// What differs, and by what the layer is known again: taken path by path before it is read.
fn compare(layer: &Layer, reading: &mut Reading<'_>) -> Result<(Differences, Fingerprint), Stop> {
    let archive = match &layer.archive {
        unpacked::Archive::TarSplit(path) => Archive::of_tar_split(path)?,
        unpacked::Archive::Blob { path, digest } => Archive::of_blob(path, *digest)?,
        unpacked::Archive::Gone(why) => return Err(Stop::Undecidable(why.clone())),
    };
    let is_whole = matches!(archive, Archive::Blob(_));
    let mut comparison =
        Comparison::new(layer).map_err(|error| Stop::reading(&layer.directory, &error))?;
    let mut members = Members::new(archive);
    // What is kept of an archive gives it back only as long as every file is there.
    let mut is_hashed = true;
    while let Some(member) = members.member()? {
        reading.tell(0)?;
        let file = comparison.member(&member)?;
        if member.size == 0 {
            continue;
        }
        let is_there = file.is_some();
        is_hashed &= is_there || is_whole;
        let found = members.archive.content(member.size, file, reading)?;
        if is_whole && is_there && found == Found::Other {
            comparison.other_content(&member)?;
        }
    }
    members.finish()?;
    let digest = members.archive.finish()?;
    if is_whole && digest != layer.diff_id {
        let text = format!("its blob unpacks to {digest}, not to {}", layer.diff_id);
        return Err(Stop::Undecidable(text));
    }
    if !is_whole && (!is_hashed || digest != layer.diff_id) {
        find_content(layer, &mut comparison, reading)?;
        if comparison.differences.count == 0 {
            comparison.differences.add(
                b"",
                What::Archive,
                layer.diff_id.to_string(),
                digest.to_string(),
            );
        }
    }
    comparison.added(reading)?;
    let fingerprint = comparison.stamps.fingerprint();
    Ok((comparison.differences, fingerprint))
}

/// The digest says that something differs; the checksums that are kept say which file it is.
fn find_content(
    layer: &Layer,
    comparison: &mut Comparison<'_>,
    reading: &mut Reading<'_>,
) -> Result<(), Stop> {
    let unpacked::Archive::TarSplit(path) = &layer.archive else {
        return Ok(());
    };
    let mut again = Comparison::new(layer)?;
    let mut members = Members::new(Checksums::of(path)?);
    while let Some(member) = members.member()? {
        let file = again.member(&member)?;
        let found = match member.size {
            0 => Found::Same,
            size => members.archive.content(size, file, reading)?,
        };
        if found == Found::Other {
            comparison.other_content(&member)?;
        }
    }
    Ok(())
}

impl Stop {
    fn reading(path: &Path, error: &io::Error) -> Self {
        Self::Undecidable(format!("cannot read '{}': {error}", path.display()))
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Undecidable(error.to_string())
    }
}

impl fmt::Debug for Check<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check")
            .field("memory", &self.memory)
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
