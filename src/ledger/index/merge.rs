//! Sorted records over sorted records.
//!
//! Owns the order in which tables keep records. Pure: where records come from
//! and go to is `draft`'s.

use crate::allowlist::record::Record;

/// Puts the records of each key, which come together, into the order of their signers.
pub(super) fn by_signer<'a>(
    records: impl Iterator<Item = &'a Record>,
) -> impl Iterator<Item = Record> {
    let mut records = records.copied().peekable();
    let mut group = Vec::new();
    std::iter::from_fn(move || {
        if group.is_empty() {
            let first = records.next()?;
            group.push(first);
            while let Some(record) = records.next_if(|record| record.key == first.key) {
                group.push(record);
            }
            group.sort_by_key(|record| std::cmp::Reverse(record.signer));
        }
        group.pop()
    })
}

/// Lays `newer` over `older`: a key of `newer` replaces all records of that key.
///
/// Both are sorted by key and signer, and so is the result.
pub(super) fn overlay<E>(
    older: impl Iterator<Item = Result<Record, E>>,
    newer: impl Iterator<Item = Record>,
) -> impl Iterator<Item = Result<Record, E>> {
    let mut older = older.peekable();
    let mut newer = newer.peekable();
    let mut replaced = None;
    std::iter::from_fn(move || {
        while older
            .next_if(|record| matches!(record, Ok(record) if Some(record.key) == replaced))
            .is_some()
        {}
        let take_newer = match (older.peek(), newer.peek()) {
            (Some(Ok(old)), Some(new)) => new.key <= old.key,
            (Some(_), _) => false,
            (None, _) => true,
        };
        if !take_newer {
            return older.next();
        }
        let record = newer.next()?;
        replaced = Some(record.key);
        // The older records of this key are skipped on the next call, before anything is compared.
        Some(Ok(record))
    })
}

#[cfg(test)]
mod tests {
    use super::{by_signer, overlay};
    use crate::allowlist::record::{Key, Record, Status};

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

    #[test]
    fn sorts_the_signers_of_each_key_alone() {
        let records = [
            record(1, 7, 0),
            record(1, 3, 0),
            record(2, 5, 0),
            record(2, 1, 0),
        ];
        let sorted: Vec<_> = by_signer(records.iter()).collect();
        let expected = [
            record(1, 3, 0),
            record(1, 7, 0),
            record(2, 1, 0),
            record(2, 5, 0),
        ];
        assert_eq!(sorted, expected);
    }

    #[test]
    fn a_newer_key_replaces_all_of_its_older_records_and_no_others() {
        let older = [
            record(1, 0, 0),
            record(3, 0, 0),
            record(3, 9, 0),
            record(5, 0, 0),
        ];
        for (newer, expected) in [
            (vec![], older.to_vec()),
            (
                vec![record(3, 4, 9)],
                vec![older[0], record(3, 4, 9), older[3]],
            ),
            (
                vec![
                    record(0, 0, 9),
                    record(1, 1, 9),
                    record(1, 2, 9),
                    record(4, 0, 9),
                    record(6, 0, 9),
                ],
                vec![
                    record(0, 0, 9),
                    record(1, 1, 9),
                    record(1, 2, 9),
                    older[1],
                    older[2],
                    record(4, 0, 9),
                    older[3],
                    record(6, 0, 9),
                ],
            ),
        ] {
            let older = older.iter().map(|record| Ok::<_, ()>(*record));
            let merged: Result<Vec<_>, ()> = overlay(older, newer.into_iter()).collect();
            assert_eq!(merged, Ok(expected));
        }
    }

    #[test]
    fn an_error_below_is_an_error_above() {
        let older = [Ok(record(1, 0, 0)), Err("page")];
        let merged: Result<Vec<_>, _> =
            overlay(older.into_iter(), [record(2, 0, 0)].into_iter()).collect();
        assert_eq!(merged, Err("page"));
    }
}
