//! Confirming a published index: once more from the first entry.

use std::io::{self, BufRead as _, BufReader};
use std::path::Path;

use super::draft::{Draft, DraftError, Limit, table_path};
use super::error::IndexError;
use super::publish::{checkpoint, roots};
use crate::allowlist::index_note::IndexNote;
use crate::allowlist::note::SignedNote;
use crate::ledger::bundles;
use crate::ledger::claim::Roster;
use crate::ledger::client::{self, Dir, Fresh};
use crate::ledger::follow::{Entry, Stretch, follow};
use crate::ledger::range::CompactRange;
use crate::ledger::state::Tally;
use crate::sys::file::open_regular;

/// What a check found to be so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// What the note says, all of it confirmed.
    pub note: IndexNote,
    /// Entries of the log, all of them hashed.
    pub log_size: u64,
    /// What the entries that the note covers did.
    pub tally: Tally,
}

/// Folds the whole log of the ledger `directory` again, with scratch files in `scratch`, and compares.
///
/// # Errors
/// [`IndexError::Differs`] or [`IndexError::Log`] for an index or a log that is not what was signed.
pub fn check(directory: &Path, scratch: &Path) -> Result<Checked, IndexError> {
    let ledger = Dir::open(directory)?;
    let roots = roots(&ledger)?;
    let checkpoint = checkpoint(&ledger, roots.latest())?;
    let Some(Fresh::New { bytes, .. }) = client::index_note(&ledger, None)? else {
        return Err(IndexError::NoNote);
    };
    let signed = SignedNote::parse(&bytes).map_err(IndexError::Note)?;
    let note = IndexNote::parse(&signed.text).map_err(|_| IndexError::NoNote)?;
    let version = roots.version(note.root_version).ok_or(IndexError::NoNote)?;
    let indexers = &version.root.indexers;
    indexers.verify(&signed).map_err(IndexError::Note)?;
    if note.origin != version.root.origin || note.root_digest != version.digest {
        return Err(IndexError::NoNote);
    }
    if note.log_size > checkpoint.size {
        return Err(IndexError::Shrunk {
            published: note.log_size,
            log: checkpoint.size,
        });
    }
    let roster = Roster::of(&version.root);
    let mut draft = Draft::empty(scratch, &note.origin, roster.clone());
    let mut range = CompactRange::default();
    let stretch = Stretch {
        roster: &roster,
        from: 0,
        until: checkpoint.size,
    };
    if note.log_size == 0 && note.log_root != range.root() {
        return Err(IndexError::Log);
    }
    compare_base(&mut draft, &note)?;
    follow(
        stretch,
        &mut |name| bundles::read(&ledger, name, &[]).map_err(IndexError::from),
        &mut |bundle| {
            for entry in &bundle.entries {
                range.append(entry.leaf);
                if entry.index < note.log_size {
                    apply(&mut draft, entry)?;
                    compare_base(&mut draft, &note)?;
                }
                if range.size() == note.log_size && range.root() != note.log_root {
                    return Err(IndexError::Log);
                }
            }
            Ok(())
        },
    )?;
    if range.root() != checkpoint.root {
        return Err(IndexError::Log);
    }
    if draft.delta()? != note.delta {
        return Err(IndexError::Differs("delta"));
    }
    let published = directory.join("index");
    for (name, table) in [("base", &note.base), ("delta", &note.delta)] {
        // The id is the hash of the first page only: whoever reads on would find another table.
        if !same(
            &table_path(&published, &table.id),
            &table_path(scratch, &table.id),
        )? {
            return Err(IndexError::Differs(name));
        }
    }
    Ok(Checked {
        log_size: checkpoint.size,
        tally: draft.tally().clone(),
        note,
    })
}

fn apply(draft: &mut Draft, entry: &Entry) -> Result<(), IndexError> {
    draft.apply(entry).map_err(|error| match error {
        DraftError::TooManyChanges => IndexError::Differs("delta"),
        other => other.into(),
    })
}

/// Says whether a published file has the bytes of one that was made here.
fn same(published: &Path, made: &Path) -> Result<bool, IndexError> {
    let disk = |path: &Path| {
        let path = path.to_owned();
        move |error| IndexError::Draft(DraftError::Disk(path, error))
    };
    let found = match open_regular(published) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        opened => opened.map_err(disk(published))?,
    };
    let made_file = open_regular(made).map_err(disk(made))?;
    let (mut found, mut expected) = (BufReader::new(found), BufReader::new(made_file));
    loop {
        let left = found.fill_buf().map_err(disk(published))?;
        let right = expected.fill_buf().map_err(disk(made))?;
        let length = left.len().min(right.len());
        if left.get(..length) != right.get(..length) || left.is_empty() != right.is_empty() {
            return Ok(false);
        }
        if length == 0 {
            return Ok(true);
        }
        found.consume(length);
        expected.consume(length);
    }
}

/// Makes the base when its place in the log is reached.
fn compare_base(draft: &mut Draft, note: &IndexNote) -> Result<(), IndexError> {
    if draft.size() != note.base.log_size {
        return Ok(());
    }
    if draft.rebase()? != note.base {
        return Err(IndexError::Differs("base"));
    }
    draft.limit(Limit::Refuse(note.delta.records));
    Ok(())
}
