//! Reading a part of the log in order, at the speed at which the cores verify signatures.
//!
//! Owns the hand-over between one reader, many verifiers and one consumer, and
//! its bounds. Refuses to decide what is read from where, whether the leaf
//! hashes make the right root, and what a claim changes: its caller does.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::ledger::claim::Roster;
use crate::ledger::range::leaf_hash;
use crate::ledger::state::{Claim, Ignored};
use crate::ledger::tiles::{Row, TILE_WIDTH, TileError, TileName, parse_bundle};

/// More verifiers than this would wait for the consumer.
const MAX_WORKERS: usize = 16;

/// Bytes of bundles that are read and not yet consumed; one more bundle may come on top.
const MAX_AHEAD: usize = 32 << 20;

/// One bundle, with everything about its entries that can be known without their predecessors.
#[derive(Debug)]
pub struct Bundle {
    /// Which bundle.
    pub name: TileName,
    /// Its bytes, as they were read.
    pub bytes: Vec<u8>,
    /// The leaf hashes of the older entries that the first bundle begins with. They came with the
    /// rest, so they are as little believed.
    pub older: Vec<[u8; 32]>,
    /// The entries that were asked for.
    pub entries: Vec<Entry>,
}

/// One entry of the log.
#[derive(Debug)]
pub struct Entry {
    /// Its place in the log.
    pub index: u64,
    /// Its leaf hash.
    pub leaf: [u8; 32],
    /// What it says, or why that does not count.
    pub claim: Result<Claim, Ignored>,
}

/// Which entries to read, and by whose keys to judge them.
#[derive(Debug, Clone, Copy)]
pub struct Stretch<'a> {
    /// The signers.
    pub roster: &'a Roster,
    /// The first entry.
    pub from: u64,
    /// The log size to read up to; its last bundle is asked for at this size's width.
    pub until: u64,
}

/// Reads the entries of `stretch` and hands their bundles to `consume` in order.
///
/// Verifies on all cores; holds at most four bundles for each of them, and no more than 32 MiB of
/// bundles and one more, whatever the log's size and whatever it serves.
///
/// # Errors
/// The first error of `fetch` or `consume`, or that a bundle is malformed. Some bundles may have been consumed.
pub fn follow<E>(
    stretch: Stretch<'_>,
    fetch: &mut (dyn FnMut(TileName) -> Result<Vec<u8>, E> + Send),
    consume: &mut dyn FnMut(Bundle) -> Result<(), E>,
) -> Result<(), E>
where
    E: From<TileError> + Send,
{
    let width = u64::from(TILE_WIDTH);
    let bundles = stretch.from / width..stretch.until.div_ceil(width);
    if stretch.from >= stretch.until {
        return Ok(());
    }
    let mut names = bundles
        .clone()
        .filter_map(|index| TileName::in_tree(Row::Entries, index, stretch.until));
    if bundles.end - bundles.start == 1 {
        return names.try_for_each(|name| {
            let bytes = fetch(name)?;
            consume(examine(stretch, name, bytes)?)
        });
    }
    let workers = thread::available_parallelism().map_or(1, |cores| cores.get().min(MAX_WORKERS));
    thread::scope(|scope| {
        let (jobs_in, jobs) = sync_channel(workers);
        let (done_in, done) = sync_channel(workers);
        // Shared by the workers alone: when the last of them ends, the reader's next send fails.
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..workers {
            let (jobs, done_in) = (Arc::clone(&jobs), done_in.clone());
            scope.spawn(move || work(stretch, &jobs, &done_in));
        }
        drop(jobs);
        let (consumed_in, consumed) = channel();
        scope.spawn(move || {
            let mut ahead = Ahead::default();
            for name in names {
                if !ahead.wait(workers * 4, &consumed) {
                    return;
                }
                let sent = match fetch(name) {
                    Ok(bytes) => {
                        ahead.add(bytes.len());
                        jobs_in.send((name, bytes)).is_ok()
                    }
                    Err(error) => {
                        // Nobody listens only when an earlier error is on its way out already.
                        let _ = done_in.send(Err(error));
                        false
                    }
                };
                if !sent {
                    return;
                }
            }
        });
        consume_in_order(bundles.start, &done, &consumed_in, consume)
    })
}

/// What the reader is ahead of the consumer.
#[derive(Debug, Default)]
struct Ahead {
    bundles: usize,
    bytes: usize,
}

impl Ahead {
    const fn add(&mut self, bytes: usize) {
        self.bundles += 1;
        self.bytes += bytes;
    }

    /// Waits until one more bundle may be read. False when nobody consumes any more.
    fn wait(&mut self, most: usize, consumed: &Receiver<usize>) -> bool {
        while self.bundles >= most || self.bytes >= MAX_AHEAD {
            let Ok(bytes) = consumed.recv() else {
                return false;
            };
            self.bundles -= 1;
            self.bytes -= bytes;
        }
        true
    }
}

/// Examines bundles until there are no more, or nobody wants them.
fn work<E: From<TileError>>(
    stretch: Stretch<'_>,
    jobs: &Mutex<Receiver<(TileName, Vec<u8>)>>,
    done: &SyncSender<Result<Bundle, E>>,
) {
    loop {
        let job = match jobs.lock() {
            Ok(jobs) => jobs.recv(),
            Err(_) => return,
        };
        let Ok((name, bytes)) = job else { return };
        let bundle = examine(stretch, name, bytes).map_err(E::from);
        if done.send(bundle).is_err() {
            return;
        }
    }
}

/// Hands bundles over as their turn comes, and tells the reader of each one.
fn consume_in_order<E>(
    first: u64,
    done: &Receiver<Result<Bundle, E>>,
    consumed: &Sender<usize>,
    consume: &mut dyn FnMut(Bundle) -> Result<(), E>,
) -> Result<(), E> {
    let mut next = first;
    let mut early = BTreeMap::new();
    for bundle in done {
        let bundle = bundle?;
        early.insert(bundle.name.index, bundle);
        while let Some(bundle) = early.remove(&next) {
            let bytes = bundle.bytes.len();
            consume(bundle)?;
            // Nobody listens once everything has been read.
            let _ = consumed.send(bytes);
            next += 1;
        }
    }
    Ok(())
}

fn examine(stretch: Stretch<'_>, name: TileName, bytes: Vec<u8>) -> Result<Bundle, TileError> {
    let first = name.index * u64::from(TILE_WIDTH);
    let (mut older, mut entries) = (Vec::new(), Vec::new());
    for (index, entry) in (first..).zip(parse_bundle(&bytes, name.width)?) {
        let leaf = leaf_hash(entry);
        if index < stretch.from {
            older.push(leaf);
        } else {
            let claim = stretch.roster.claim(index, entry);
            entries.push(Entry { index, leaf, claim });
        }
    }
    Ok(Bundle {
        name,
        bytes,
        older,
        entries,
    })
}

#[cfg(test)]
mod tests {
    use super::{Stretch, follow};
    use crate::ledger::claim::Roster;
    use crate::ledger::range::CompactRange;
    use crate::ledger::tiles::{TileError, TileName, push_entry};

    fn bundle(name: TileName) -> Vec<u8> {
        let mut bytes = Vec::new();
        for at in 0..u64::from(name.width) {
            push_entry(&mut bytes, &(name.index * 256 + at).to_be_bytes()).unwrap();
        }
        bytes
    }

    #[test]
    fn hands_over_every_entry_once_and_in_order() {
        let roster = Roster::default();
        for (from, until) in [
            (0, 0),
            (5, 5),
            (0, 1),
            (3, 256),
            (0, 257),
            (255, 5000),
            (256, 512),
        ] {
            let (roster, stretch) = (
                &roster,
                Stretch {
                    roster: &roster,
                    from,
                    until,
                },
            );
            let mut places = Vec::new();
            follow::<TileError>(stretch, &mut |name| Ok(bundle(name)), &mut |bundle| {
                places.extend(bundle.entries.iter().map(|entry| entry.index));
                Ok(())
            })
            .unwrap();
            assert_eq!(
                places,
                (from..until).collect::<Vec<_>>(),
                "{from}..{until} {roster:?}"
            );
        }
    }

    #[test]
    fn reads_no_more_than_a_window_ahead() {
        use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
        let roster = Roster::default();
        let stretch = Stretch {
            roster: &roster,
            from: 0,
            until: 256 * 5,
        };
        // The longest bundles there are: two of them reach 32 MiB.
        let mut longest = Vec::new();
        for _ in 0..256 {
            push_entry(&mut longest, &[0; 65_535]).unwrap();
        }
        let read = AtomicU64::new(0);
        let mut most = 0;
        let mut fetch = |_| {
            read.fetch_add(1, SeqCst);
            Ok(longest.clone())
        };
        follow::<TileError>(stretch, &mut fetch, &mut |bundle| {
            most = most.max(read.load(SeqCst) - bundle.name.index);
            Ok(())
        })
        .unwrap();
        assert!((1..=2).contains(&most), "{most}");
    }

    #[test]
    fn the_leaves_make_the_logs_root() {
        let roster = Roster::default();
        let stretch = Stretch {
            roster: &roster,
            from: 0,
            until: 1000,
        };
        let (mut found, mut expected) = (CompactRange::default(), CompactRange::default());
        follow::<TileError>(stretch, &mut |name| Ok(bundle(name)), &mut |bundle| {
            bundle
                .entries
                .iter()
                .for_each(|entry| found.append(entry.leaf));
            Ok(())
        })
        .unwrap();
        for at in 0..1000_u64 {
            expected.append(crate::ledger::range::leaf_hash(&at.to_be_bytes()));
        }
        assert_eq!(found.root(), expected.root());
    }

    #[test]
    fn an_error_on_either_side_ends_both() {
        let roster = Roster::default();
        let stretch = Stretch {
            roster: &roster,
            from: 0,
            until: 20_000,
        };
        let mut asked = 0;
        let mut fetch = |name: TileName| {
            asked += 1;
            if name.index == 30 {
                Err(TileError::Truncated)
            } else {
                Ok(bundle(name))
            }
        };
        assert_eq!(
            follow(stretch, &mut fetch, &mut |_| Ok(())),
            Err(TileError::Truncated)
        );
        let mut consume = |bundle: super::Bundle| {
            if bundle.name.index == 7 {
                Err(TileError::Path)
            } else {
                Ok(())
            }
        };
        assert_eq!(
            follow(stretch, &mut |name| Ok(bundle(name)), &mut consume),
            Err(TileError::Path)
        );
        let mut short = |name: TileName| Ok(bundle(TileName { width: 3, ..name }));
        let found = follow::<TileError>(stretch, &mut short, &mut |_| Ok(()));
        assert_eq!(
            found,
            Err(TileError::Width {
                expected: 256,
                found: 3
            })
        );
    }
}
