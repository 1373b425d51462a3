//! The whole allowlist: a note and the two tables that it names.
//!
//! Owns the order in which the tables answer. Verifying the note's signatures
//! comes before (`store`), judging the records after (`policy`).

use super::index_note::{IndexNote, TableRef};
use super::record::{Key, Record};
use super::table::{Pages, Table, TableError, TableKind};

/// A verified note with its two opened tables.
#[derive(Debug)]
pub struct Allowlist<P> {
    note: IndexNote,
    base: Table<P>,
    delta: Table<P>,
}

impl<P: Pages> Allowlist<P> {
    /// Opens the tables that `note` names.
    ///
    /// # Errors
    /// [`TableError`] when a table is not the one that the note names, or cannot be read.
    pub fn open(note: IndexNote, base: P, delta: P) -> Result<Self, TableError> {
        let base = open(base, &note.base, TableKind::Base, &note.origin)?;
        let delta = open(delta, &note.delta, TableKind::Delta, &note.origin)?;
        Ok(Self { note, base, delta })
    }

    /// Finds what every organisation last said of `key`; none is a proof that nobody said anything.
    ///
    /// A key that the delta has at all, it has completely, so the base is asked only for the others.
    ///
    /// # Errors
    /// [`TableError`] when a page on the way cannot be read or is not the one that was signed.
    pub fn lookup(&self, key: &Key) -> Result<Vec<Record>, TableError> {
        let records = self.delta.lookup(key)?;
        if records.is_empty() {
            return self.base.lookup(key);
        }
        Ok(records)
    }

    /// The note.
    #[must_use]
    pub const fn note(&self) -> &IndexNote {
        &self.note
    }

    /// The big table.
    #[must_use]
    pub const fn base(&self) -> &Table<P> {
        &self.base
    }

    /// The small table over it.
    #[must_use]
    pub const fn delta(&self) -> &Table<P> {
        &self.delta
    }
}

fn open<P: Pages>(
    pages: P,
    named: &TableRef,
    kind: TableKind,
    origin: &str,
) -> Result<Table<P>, TableError> {
    let table = Table::open(pages, &named.id, kind, origin)?;
    if (table.len(), table.log_size()) != (named.records, named.log_size) {
        return Err(TableError::Tampered {
            offset: 0,
            what: "a table of other size than the index note says",
        });
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::Allowlist;
    use crate::allowlist::build::Builder;
    use crate::allowlist::index_note::{IndexNote, TableRef};
    use crate::allowlist::record::{Key, Record, Status};
    use crate::allowlist::table::{TableError, TableKind};
    use crate::image::digest::Digest;

    fn record(key: u8, signer: u16, log_index: u64) -> Record {
        Record {
            key: Key::from_bytes([key; 32]),
            signer,
            status: Status::Trusted,
            not_after: 0,
            log_index,
            target: None,
        }
    }

    fn build(kind: TableKind, log_size: u64, records: &[Record]) -> (Vec<u8>, TableRef) {
        let mut file = Vec::new();
        let mut builder = Builder::new(&mut file, kind, "o", log_size);
        for record in records {
            builder.push(record).unwrap();
        }
        let built = builder.finish().unwrap();
        (file, built)
    }

    fn note(base: TableRef, delta: TableRef) -> IndexNote {
        IndexNote {
            origin: "o".into(),
            log_size: 9,
            log_root: [0; 32],
            base,
            delta,
            root_version: 1,
            root_digest: Digest::of(b"root"),
            time: 1,
            expires: 2,
        }
    }

    #[test]
    fn a_key_in_the_delta_is_complete_there() {
        let (base, base_ref) = build(
            TableKind::Base,
            5,
            &[record(1, 0, 1), record(2, 0, 2), record(2, 1, 3)],
        );
        let (delta, delta_ref) = build(TableKind::Delta, 9, &[record(2, 0, 7), record(3, 0, 8)]);
        let allowlist = Allowlist::open(note(base_ref, delta_ref), base, delta).unwrap();
        for (key, expected) in [
            (1, vec![record(1, 0, 1)]),
            (2, vec![record(2, 0, 7)]),
            (3, vec![record(3, 0, 8)]),
            (4, vec![]),
        ] {
            assert_eq!(allowlist.lookup(&Key::from_bytes([key; 32])), Ok(expected));
        }
    }

    #[test]
    fn refuses_swapped_tables_and_other_sizes() {
        let (base, base_ref) = build(TableKind::Base, 5, &[record(1, 0, 1)]);
        let (delta, delta_ref) = build(TableKind::Delta, 9, &[]);
        let mut fewer = base_ref;
        fewer.records = 0;
        let mut later = base_ref;
        later.log_size = 6;
        for (note, base, delta) in [
            (note(base_ref, delta_ref), &delta, &base),
            (note(delta_ref, base_ref), &delta, &base),
            (note(fewer, delta_ref), &base, &delta),
            (note(later, delta_ref), &base, &delta),
        ] {
            let opened = Allowlist::open(note, base, delta);
            assert!(matches!(opened, Err(TableError::Tampered { .. })));
        }
    }
}
