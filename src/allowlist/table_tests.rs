use super::{Table, TableError, TableKind};
use crate::allowlist::build::{BuildError, Builder};
use crate::allowlist::index_note::TableRef;
use crate::allowlist::record::{Key, Record, Status};
use crate::image::digest::Digest;

const ORIGIN: &str = "ledger.example/vcn";

/// `SplitMix64`: the same records in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn bytes(&mut self) -> [u8; 32] {
        let words = [self.next(), self.next(), self.next(), self.next()];
        let mut bytes = words.into_iter().flat_map(u64::to_be_bytes);
        std::array::from_fn(|_| bytes.next().unwrap())
    }

    fn record(&mut self, key: Key, signer: u16) -> Record {
        let status = [
            Status::Trusted,
            Status::Untrusted,
            Status::Unsupported,
            Status::Revoked,
        ];
        Record {
            key,
            signer,
            status: status[usize::from(self.bytes()[0] % 4)],
            not_after: u32::from_be_bytes([self.bytes()[0]; 4]),
            log_index: self.next(),
            target: Some(Digest::from_bytes(self.bytes())),
        }
    }

    /// So many records, sorted; some keys have several, up to `crowd`.
    fn records(&mut self, count: usize, crowd: u64) -> Vec<Record> {
        let mut keys: Vec<_> = (0..count).map(|_| self.bytes()).collect();
        keys.sort_unstable();
        let mut records = Vec::new();
        for key in keys.into_iter().map(Key::from_bytes) {
            let group = if self.next().is_multiple_of(4) {
                self.next() % crowd + 1
            } else {
                1
            };
            for signer in 0..u16::try_from(group).unwrap() {
                records.push(self.record(key, signer * 3));
            }
        }
        records.truncate(count);
        records
    }
}

fn build(records: &[Record], kind: TableKind) -> (Vec<u8>, TableRef) {
    let mut file = Vec::new();
    let mut builder = Builder::new(&mut file, kind, ORIGIN, 77);
    for record in records {
        builder.push(record).unwrap();
    }
    let built = builder.finish().unwrap();
    (file, built)
}

fn open(file: &[u8], built: &TableRef) -> Result<Table<Vec<u8>>, TableError> {
    Table::open(file.to_vec(), &built.id, TableKind::Base, ORIGIN)
}

/// One more or one less, as a 256-bit number.
fn neighbour(key: &Key, up: bool) -> Key {
    let mut bytes = *key.as_bytes();
    for byte in bytes.iter_mut().rev() {
        let (next, carry) = if up {
            byte.overflowing_add(1)
        } else {
            byte.overflowing_sub(1)
        };
        *byte = next;
        if !carry {
            break;
        }
    }
    Key::from_bytes(bytes)
}

fn check_answers(table: &Table<Vec<u8>>, records: &[Record]) {
    for (n, group) in records.chunk_by(|a, b| a.key == b.key).enumerate() {
        let key = group[0].key;
        assert_eq!(table.lookup(&key).as_deref(), Ok(group));
        if n > 100 && n % 50 != 0 {
            continue;
        }
        for up in [true, false] {
            assert_eq!(table.lookup(&neighbour(&key, up)), Ok(Vec::new()));
        }
    }
    for key in [[0; 32], [0xff; 32]] {
        assert_eq!(table.lookup(&Key::from_bytes(key)), Ok(Vec::new()));
    }
}

#[test]
fn finds_every_key_and_proves_every_absence() {
    let mut random = Random(1);
    for (count, crowd, levels) in [
        (0, 1, 1),
        (1, 1, 1),
        (51, 1, 1),
        (52, 1, 2),
        (300, 48, 2),
        (3213, 1, 2),
        (3214, 1, 3),
        (3300, 48, 3),
    ] {
        let records = random.records(count, crowd);
        let (file, built) = build(&records, TableKind::Base);
        assert_eq!((built.records, built.log_size), (count as u64, 77));
        let table = open(&file, &built).unwrap();
        assert_eq!(table.header.layout.levels(), levels, "{count} records");
        assert_eq!(table.size(), file.len() as u64);
        assert_eq!((table.len(), table.log_size()), (count as u64, 77));
        assert_eq!(table.is_empty(), count == 0);
        check_answers(&table, &records);
        let walked: Result<Vec<_>, _> = table.records().collect();
        assert_eq!(walked.as_ref(), Ok(&records));
        assert_eq!(table.verify(), Ok(()));
    }
}

#[test]
fn four_levels_are_as_good_as_one() {
    // Two keys of 26 records do not fit on one leaf, so that few records make many leaves.
    let mut random = Random(2);
    let mut keys: Vec<_> = (0..3970).map(|_| Key::from_bytes(random.bytes())).collect();
    keys.sort_unstable();
    let records: Vec<_> = keys
        .iter()
        .flat_map(|key| (0..26).map(|signer| (*key, signer)))
        .map(|(key, signer)| random.record(key, signer))
        .collect();
    let (file, built) = build(&records, TableKind::Base);
    let table = open(&file, &built).unwrap();
    assert_eq!(table.header.layout.levels(), 4);
    for group in records
        .chunks(26)
        .step_by(97)
        .chain(records.chunks(26).last())
    {
        assert_eq!(table.lookup(&group[0].key).as_deref(), Ok(group));
        let absent = neighbour(&group[0].key, true);
        assert_eq!(table.lookup(&absent), Ok(Vec::new()));
    }
    assert_eq!(table.verify(), Ok(()));
}

#[test]
fn the_same_records_give_the_same_bytes() {
    let records = Random(3).records(2000, 48);
    assert_eq!(
        build(&records, TableKind::Base),
        build(&records, TableKind::Base)
    );
    let (delta, _) = build(&records, TableKind::Delta);
    assert_ne!(build(&records, TableKind::Base).0, delta);
}

#[test]
fn a_key_never_straddles_two_pages() {
    let mut random = Random(4);
    let mut keys: Vec<_> = (0..4).map(|_| Key::from_bytes(random.bytes())).collect();
    keys.sort();
    let mut records = Vec::new();
    for (key, group) in keys.iter().zip([1, 48, 4, 47]) {
        records.extend((0..group).map(|signer| random.record(*key, signer)));
    }
    let (file, built) = build(&records, TableKind::Base);
    let table = open(&file, &built).unwrap();
    // 1 + 48 fit, 4 more do not; 4 + 47 do again.
    assert_eq!(table.header.layout.pages(0), 2);
    check_answers(&table, &records);
}

#[test]
fn refuses_records_that_no_table_may_hold() {
    let mut random = Random(5);
    let [low, high] = [[1; 32], [2; 32]].map(Key::from_bytes);
    let mut file = Vec::new();
    let mut builder = Builder::new(&mut file, TableKind::Base, ORIGIN, 0);
    builder.push(&random.record(high, 5)).unwrap();
    for (key, signer) in [(low, 9), (high, 4), (high, 5)] {
        let pushed = builder.push(&random.record(key, signer));
        assert_eq!(pushed, Err(BuildError::Order));
    }
    for signer in 6..53 {
        builder.push(&random.record(high, signer)).unwrap();
    }
    let pushed = builder.push(&random.record(high, 53));
    assert_eq!(pushed, Err(BuildError::Crowded));
}

#[test]
fn a_flip_of_any_byte_is_refused_or_changes_no_answer() {
    let records = Random(6).records(60, 3);
    let (file, built) = build(&records, TableKind::Base);
    let keys: Vec<_> = records
        .iter()
        .step_by(59)
        .flat_map(|record| [record.key, neighbour(&record.key, true)])
        .collect();
    let answers = |file: &[u8]| -> Vec<_> {
        let table = open(file, &built);
        keys.iter()
            .map(|key| table.as_ref().map_err(Clone::clone)?.lookup(key))
            .collect()
    };
    let right = answers(&file);
    let mut changed = file.clone();
    for at in 0..file.len() {
        changed[at] ^= 0x10;
        let verified = open(&changed, &built).and_then(|table| table.verify());
        assert!(
            matches!(verified, Err(TableError::Tampered { .. })),
            "byte {at}"
        );
        if at % 4096 < 96 || at % 11 == 0 {
            for (found, right) in answers(&changed).iter().zip(&right) {
                let refused = matches!(found, Err(TableError::Tampered { .. }));
                assert!(refused || found == right, "byte {at}");
            }
        }
        changed[at] ^= 0x10;
    }
}

#[test]
fn refuses_a_table_that_is_cut_short_at_any_page() {
    let records = Random(7).records(120, 1);
    let (file, built) = build(&records, TableKind::Base);
    for pages in 0..file.len() / 4096 {
        for length in [pages * 4096, pages * 4096 + 4095] {
            let cut = file[..length].to_vec();
            let verified = open(&cut, &built).and_then(|table| table.verify());
            assert!(
                matches!(verified, Err(TableError::Tampered { .. })),
                "{length}"
            );
        }
    }
}

#[test]
fn refuses_another_id_kind_or_origin() {
    let (file, built) = build(&Random(8).records(60, 1), TableKind::Base);
    let (_, other) = build(&Random(9).records(60, 1), TableKind::Base);
    for (id, kind, origin, what) in [
        (
            other.id,
            TableKind::Base,
            ORIGIN,
            "another header than the index note names",
        ),
        (
            built.id,
            TableKind::Delta,
            ORIGIN,
            "a base where a delta should be, or a delta for a base",
        ),
        (
            built.id,
            TableKind::Base,
            "ledger.example/other",
            "a table of another ledger",
        ),
    ] {
        let opened = Table::open(&file, &id, kind, origin).map(|_| ());
        assert_eq!(opened, Err(TableError::Tampered { offset: 0, what }));
    }
}

#[test]
fn refuses_another_number_of_records_than_was_signed() {
    let (file, built) = build(&Random(11).records(120, 1), TableKind::Base);
    for records in [118, 119, 121, 122] {
        let mut header = open(&file, &built).unwrap().header;
        header.records = records;
        let mut file = file.clone();
        file[..4096].copy_from_slice(&header.encode());
        let id = Digest::of(&file[..4096]);
        let table = Table::open(file, &id, TableKind::Base, ORIGIN).unwrap();
        assert!(
            matches!(table.verify(), Err(TableError::Tampered { .. })),
            "{records}"
        );
    }
}

#[test]
fn a_walk_that_ended_stays_ended() {
    let (mut file, built) = build(&Random(10).records(3, 1), TableKind::Base);
    let table = open(&file, &built).unwrap();
    let mut records = table.records();
    assert_eq!(records.by_ref().count(), 3);
    assert_eq!(records.next(), None);
    file[4096 + 20] ^= 1;
    let table = open(&file, &built).unwrap();
    let mut records = table.records();
    assert!(matches!(records.next(), Some(Err(_))));
    assert_eq!(records.next(), None);
}
