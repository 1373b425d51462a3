//! A node follows a ledger, honest or not, and keeps the allowlist it has whenever something is wrong.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a test that cannot go on has failed"
)]

mod ledger;
mod nginx;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use ledger::{
    DAY, Ledger, NOW, Node, config, copy_tree, key, log_key, read, sign_note, signer, statement,
};
use nginx::Nginx;
use vcn_hook::allowlist::note::SignedNote;
use vcn_hook::allowlist::record::Status;
use vcn_hook::image::digest::Digest;
use vcn_hook::ledger::checkpoint::Checkpoint;
use vcn_hook::ledger::index::{IndexError, Outcome, check};
use vcn_hook::ledger::state::Ignored;
use vcn_hook::sync::{Fault, Mirror, SyncError, history};

const TRUSTED: Status = Status::Trusted;

/// A ledger whose index says that `a` and `b` are trusted, and a node that follows it.
fn followed() -> (Ledger, Node) {
    let mut ledger = Ledger::new();
    ledger.trust(&["a", "b"]);
    ledger.index(NOW);
    let node = Node::of(&ledger);
    node.sync(ledger.path(), NOW).unwrap();
    (ledger, node)
}

#[test]
fn a_node_follows_what_is_said_and_unsaid() {
    let (mut ledger, node) = followed();
    assert_eq!(node.says(&ledger.root, "a"), [(0, TRUSTED)]);
    assert_eq!(node.says(&ledger.root, "other"), []);
    ledger.append([
        statement("acme-ci", Status::Untrusted, 2, &["a"]),
        statement("beta-ci", TRUSTED, 2, &["a", "c"]),
        b"not a statement".to_vec(),
    ]);
    assert_eq!(ledger.index(NOW + 1).outcome, Outcome::Delta);
    let report = node.sync(ledger.path(), NOW + 2).unwrap();
    assert!(report.changed && !report.replayed && !report.expired);
    assert_eq!((report.entries, report.tally.applied), (3, 2));
    assert_eq!(report.tally.ignored, [(Ignored::Malformed, 1)].into());
    let both = [(0, Status::Untrusted), (1, TRUSTED)];
    assert_eq!(node.says(&ledger.root, "a"), both);
    assert_eq!(node.says(&ledger.root, "b"), [(0, TRUSTED)]);
    assert_eq!(node.says(&ledger.root, "c"), [(1, TRUSTED)]);
    let again = node.sync(ledger.path(), NOW + 3).unwrap();
    assert_eq!((again.changed, again.entries), (false, 0));
    check(ledger.path(), tempfile::tempdir().unwrap().path()).unwrap();
}

#[test]
fn an_empty_ledger_is_followed_too() {
    let ledger = Ledger::new();
    assert_eq!(ledger.index(NOW).outcome, Outcome::Base);
    let node = Node::of(&ledger);
    let report = node.sync(ledger.path(), NOW).unwrap();
    assert_eq!((report.note.log_size, report.entries), (0, 0));
    assert_eq!(node.says(&ledger.root, "a"), []);
    check(ledger.path(), tempfile::tempdir().unwrap().path()).unwrap();
}

#[test]
fn a_note_is_signed_again_before_it_expires_and_not_earlier() {
    let (ledger, node) = followed();
    let first = ledger.read("index/note");
    assert_eq!(ledger.index(NOW + DAY / 2).outcome, Outcome::Unchanged);
    assert_eq!(ledger.read("index/note"), first);
    assert_eq!(ledger.index(NOW + DAY / 2 + 1).outcome, Outcome::Renewed);
    let report = node.sync(ledger.path(), NOW + DAY / 2 + 2).unwrap();
    assert_eq!(report.note.expires, NOW + DAY + DAY / 2 + 1);
    assert_eq!(node.note(), ledger.read("index/note"));
    let late = node.sync(ledger.path(), NOW + 3 * DAY).unwrap();
    assert!(late.expired);
}

#[test]
fn every_size_around_a_bundles_edge_is_followed_step_by_step_and_at_once() {
    let mut ledger = Ledger::new();
    ledger.index(NOW);
    let node = Node::of(&ledger);
    let mut now = NOW;
    for count in [255, 1, 1, 256] {
        let size = ledger.entries.len();
        let names: Vec<_> = (size..size + count)
            .map(|at| format!("image-{at}"))
            .collect();
        ledger.trust(&names.iter().map(String::as_str).collect::<Vec<_>>());
        now += 1;
        ledger.index(now);
        let report = node.sync(ledger.path(), now).unwrap();
        assert_eq!(report.entries, count as u64);
        let fresh = Node::of(&ledger);
        assert_eq!(fresh.sync(ledger.path(), now).unwrap().note, report.note);
    }
    let last = format!("image-{}", ledger.entries.len() - 1);
    assert_eq!(node.says(&ledger.root, &last), [(0, TRUSTED)]);
    let replayed = node.sync_from(
        &[ledger.path().display().to_string()],
        true,
        now,
        &mut |_| Ok(()),
    );
    assert!(replayed.unwrap().replayed);
}

#[test]
fn a_large_delta_makes_a_new_base_that_nodes_make_too() {
    let (mut ledger, node) = followed();
    let names: Vec<_> = (0..4200).map(|at| format!("image-{at}")).collect();
    let entries: Vec<_> = names
        .chunks(40)
        .map(|names| {
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            statement("acme-ci", TRUSTED, 2, &names)
        })
        .collect();
    ledger.append(entries);
    let published = ledger.index(NOW + 1);
    assert_eq!(published.outcome, Outcome::Base);
    assert_eq!(
        (published.note.base.records, published.note.delta.records),
        (4202, 0)
    );
    ledger.trust(&["last"]);
    ledger.index(NOW + 2);
    // One node sees each index, one only the last: both find the same tables.
    let fresh = Node::of(&ledger);
    for node in [&node, &fresh] {
        node.sync(ledger.path(), NOW + 3).unwrap();
        assert_eq!(node.says(&ledger.root, "last"), [(0, TRUSTED)]);
        assert_eq!(node.says(&ledger.root, "image-4199"), [(0, TRUSTED)]);
    }
    check(ledger.path(), tempfile::tempdir().unwrap().path()).unwrap();
}

#[test]
fn a_revocation_reaches_back_to_its_index() {
    let (mut ledger, node) = followed();
    ledger.trust(&["stolen"]);
    ledger.index(NOW + 1);
    node.sync(ledger.path(), NOW + 1).unwrap();
    assert_eq!(node.says(&ledger.root, "stolen"), [(0, TRUSTED)]);
    ledger.next_root(|root| root.signers[0].revoked_from = Some(2));
    assert_eq!(ledger.index(NOW + 2).outcome, Outcome::Base);
    let report = node.sync(ledger.path(), NOW + 2).unwrap();
    assert_eq!((report.root_version, report.note.root_version), (2, 2));
    assert!(report.replayed);
    assert_eq!(node.says(&ledger.root, "stolen"), [(0, Status::Revoked)]);
    assert_eq!(node.says(&ledger.root, "a"), [(0, TRUSTED)]);
}

#[test]
fn a_new_signer_that_counts_from_now_on_needs_no_replay() {
    let (mut ledger, node) = followed();
    ledger.next_root(|root| {
        root.signers.push(vcn_hook::trust::root::TrustSigner {
            from_index: 2,
            ..signer("acme-new", 0)
        });
    });
    ledger.append([statement("acme-new", Status::Unsupported, 2, &["a"])]);
    assert_eq!(ledger.index(NOW + 1).outcome, Outcome::Base);
    let report = node.sync(ledger.path(), NOW + 1).unwrap();
    assert!(!report.replayed);
    assert_eq!(node.says(&ledger.root, "a"), [(2, Status::Unsupported)]);
    check(ledger.path(), tempfile::tempdir().unwrap().path()).unwrap();
}

/// Runs a sync that must fail, and checks that the old allowlist still answers.
fn refused(ledger: &Ledger, node: &Node, now: u64) -> SyncError {
    let before = node.note();
    let error = node.sync(ledger.path(), now).unwrap_err();
    assert_eq!(node.note(), before, "{error}");
    assert_eq!(
        node.says(&ledger::first_root(), "a"),
        [(0, TRUSTED)],
        "{error}"
    );
    error
}

#[test]
fn a_note_that_was_damaged_on_its_way_is_refused() {
    let (mut ledger, node) = followed();
    ledger.trust(&["c"]);
    ledger.index(NOW + 1);
    let note = ledger.read("index/note");
    let mut flipped = note.clone();
    flipped[40] ^= 1;
    let damaged: [Vec<u8>; 6] = [
        note[..note.len() / 2].to_vec(),
        Vec::new(),
        [note.clone(), vec![b'x'; 20_000]].concat(),
        vec![0; 1 << 20],
        flipped,
        sign_note(&SignedNote::parse(&note).unwrap().text, &[&key("nobody")]),
    ];
    for bytes in damaged {
        ledger.write("index/note", &bytes);
        let error = refused(&ledger, &node, NOW + 2);
        assert_eq!(error.fault(), Fault::Tampered, "{error}");
    }
    ledger.write("index/note", &note);
    node.sync(ledger.path(), NOW + 2).unwrap();
}

#[test]
fn a_lying_indexer_is_caught_and_kept_as_evidence() {
    let lies: [fn(&mut vcn_hook::allowlist::index_note::IndexNote); 6] = [
        |note| note.delta.id = Digest::of(b"lie"),
        |note| note.delta.records += 1,
        |note| note.delta.records = 0,
        |note| note.base.id = Digest::of(b"lie"),
        |note| note.base.records += 1,
        |note| note.base.log_size = 1,
    ];
    for lie in lies {
        let (mut ledger, node) = followed();
        ledger.trust(&["c"]);
        ledger.index(NOW + 1);
        ledger.forge_note(lie);
        let error = refused(&ledger, &node, NOW + 2);
        assert!(matches!(error, SyncError::LyingIndexer(_)), "{error:?}");
        assert_eq!(error.fault(), Fault::Tampered);
        assert_eq!(node.evidence().len(), 3);
        // The honest note is taken afterwards.
        fs::remove_file(ledger.path().join("index/note")).unwrap();
        ledger.index(NOW + 3);
        node.sync(ledger.path(), NOW + 3).unwrap();
        assert_eq!(node.says(&ledger.root, "c"), [(0, TRUSTED)]);
    }
}

#[test]
fn flipped_tables_of_the_ledger_do_no_harm_to_a_node_that_makes_its_own() {
    let (mut ledger, node) = followed();
    ledger.trust(&["c"]);
    let note = ledger.index(NOW + 1).note;
    for id in [note.base.id, note.delta.id] {
        let path = format!("index/{}.idx", id.hex());
        let mut bytes = ledger.read(&path);
        bytes[5000] ^= 1;
        ledger.write(&path, &bytes);
    }
    node.sync(ledger.path(), NOW + 2).unwrap();
    assert_eq!(node.says(&ledger.root, "c"), [(0, TRUSTED)]);
}

#[test]
fn a_broken_table_of_the_node_is_made_again() {
    let (ledger, node) = followed();
    for file in fs::read_dir(node.state.path().join("allowlist")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "idx") {
            fs::write(path, b"rot").unwrap();
        }
    }
    let report = node.sync(ledger.path(), NOW + 1).unwrap();
    assert!(report.changed && report.replayed);
    assert_eq!(node.says(&ledger.root, "a"), [(0, TRUSTED)]);
}

#[test]
fn two_truths_about_the_same_entries_are_refused_and_both_kept() {
    let (ledger, node) = followed();
    ledger.forge_note(|note| note.delta.id = Digest::of(b"lie"));
    let error = refused(&ledger, &node, NOW + 1);
    assert!(
        matches!(error, SyncError::Equivocation { log_size: 2 }),
        "{error:?}"
    );
    let mut kept: Vec<_> = node.evidence().iter().map(|path| read(path)).collect();
    let mut told = [node.note(), ledger.read("index/note")];
    kept.sort();
    told.sort();
    assert_eq!(kept, told);
}

#[test]
fn a_forked_log_is_refused() {
    let (mut ledger, node) = followed();
    ledger.entries[0] = statement("acme-ci", Status::Untrusted, 0, &["a"]);
    fs::remove_dir_all(ledger.path().join("index")).unwrap();
    fs::remove_dir_all(ledger.path().join(".state")).unwrap();
    ledger.trust(&["c"]);
    ledger.index(NOW + 1);
    let error = refused(&ledger, &node, NOW + 2);
    assert!(matches!(error, SyncError::Forked { .. }), "{error:?}");
    assert_eq!(error.fault(), Fault::Tampered);
}

#[test]
fn entries_that_are_not_the_signed_ones_are_refused() {
    let (mut ledger, node) = followed();
    ledger.trust(&["c"]);
    ledger.index(NOW + 1);
    let bundle = ledger.read("tile/entries/000.p/3");
    let mut flipped = bundle.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for bytes in [flipped, bundle[..bundle.len() - 1].to_vec(), Vec::new()] {
        ledger.write("tile/entries/000.p/3", &bytes);
        let error = refused(&ledger, &node, NOW + 2);
        assert_eq!(error.fault(), Fault::Tampered, "{error:?}");
    }
    fs::remove_file(ledger.path().join("tile/entries/000.p/3")).unwrap();
    assert_eq!(refused(&ledger, &node, NOW + 2).fault(), Fault::Tampered);
    ledger.write("tile/entries/000.p/3", &bundle);
    node.sync(ledger.path(), NOW + 2).unwrap();
}

/// Every file of the node's copy of the entries, with its bytes.
fn copied(node: &Node) -> Vec<(String, Vec<u8>)> {
    let log = node.state.path().join("log");
    assert!(!log.join("incoming").exists());
    let mut files = Vec::new();
    let mut left = vec![log.join("tile/entries")];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else {
                let name = path.strip_prefix(&log).unwrap().display().to_string();
                files.push((name, read(&path)));
            }
        }
    }
    files.sort();
    files
}

#[test]
fn what_is_lost_of_the_nodes_copy_is_read_again() {
    let (ledger, node) = followed();
    let (log, copy) = (node.state.path().join("log"), copied(&node));
    let lose: [fn(&std::path::Path); 4] = [
        |log| fs::remove_dir_all(log.join("tile")).unwrap(),
        |log| fs::write(log.join("tile/entries/000.p/2"), "").unwrap(),
        |log| fs::remove_file(log.join("checkpoint")).unwrap(),
        |log| fs::write(log.join("checkpoint"), "junk").unwrap(),
    ];
    for lose in lose {
        lose(&log);
        assert!(node.sync(ledger.path(), NOW + 1).unwrap().changed);
        assert_eq!(copied(&node), copy);
        assert_eq!(read(&log.join("checkpoint")), ledger.read("checkpoint"));
        assert!(!node.sync(ledger.path(), NOW + 1).unwrap().changed);
    }
}

#[test]
fn a_mirror_cannot_alter_what_is_known_already() {
    let (mut ledger, node) = followed();
    let copy = copied(&node);
    ledger.trust(&["c"]);
    ledger.index(NOW + 1);
    let bundle = ledger.read("tile/entries/000.p/3");
    // An entry that nobody reads again, so that only its hash can tell.
    let mut altered = bundle.clone();
    altered[40] ^= 1;
    // What is right here is not asked for again. What is not is asked for, and compared.
    let kept = node.state.path().join("log/tile/entries/000.p/2");
    fs::write(&kept, &altered[..copy[0].1.len()]).unwrap();
    let copy = copied(&node);
    ledger.write("tile/entries/000.p/3", &altered);
    let error = refused(&ledger, &node, NOW + 2);
    assert!(
        matches!(error, SyncError::Forked { log_size: 2 }),
        "{error:?}"
    );
    assert_eq!(copied(&node), copy);
    ledger.write("tile/entries/000.p/3", &bundle);
    node.sync(ledger.path(), NOW + 2).unwrap();
    assert_eq!(copied(&node), [("tile/entries/000.p/3".to_owned(), bundle)]);
}

#[test]
fn no_bundle_of_a_refused_log_replaces_one_that_is_kept() {
    let (mut ledger, node) = followed();
    let names: Vec<_> = (0..300).map(|at| format!("image-{at}")).collect();
    ledger.trust(&names.iter().map(String::as_str).collect::<Vec<_>>());
    ledger.index(NOW + 1);
    node.sync(ledger.path(), NOW + 1).unwrap();
    let copy = copied(&node);
    assert_eq!(copy.len(), 2);
    let bundle = ledger.read("tile/entries/000");
    let mut altered = bundle.clone();
    altered[40] ^= 1;
    ledger.write("tile/entries/000", &altered);
    // The copy of the checkpoint is gone: everything is read from the mirror, the altered bundle too.
    fs::remove_file(node.state.path().join("log/checkpoint")).unwrap();
    let sources = [ledger.path().display().to_string()];
    let error = node
        .sync_from(&sources, true, NOW + 2, &mut |_| Ok(()))
        .unwrap_err();
    assert!(matches!(error, SyncError::Forked { .. }), "{error:?}");
    assert_eq!(copied(&node), copy);
    ledger.write("tile/entries/000", &bundle);
    node.sync_from(&sources, true, NOW + 2, &mut |_| Ok(()))
        .unwrap();
    assert_eq!(copied(&node), copy);
}

#[test]
fn a_ledger_that_was_put_back_is_refused_and_signs_no_smaller_index() {
    let (mut ledger, node) = followed();
    let old = ledger.backup();
    ledger.trust(&["c"]);
    ledger.index(NOW + 1);
    node.sync(ledger.path(), NOW + 1).unwrap();
    let new_note = ledger.read("index/note");
    copy_tree(old.path(), ledger.path());
    let error = refused(&ledger, &node, NOW + 2);
    assert!(matches!(error, SyncError::RolledBack(_)), "{error:?}");
    assert_eq!(error.fault(), Fault::RolledBack);
    ledger.write("index/note", &new_note);
    let shrunk = ledger.try_index(NOW + 2, &mut |_| Ok(())).unwrap_err();
    assert!(
        matches!(
            shrunk,
            IndexError::Shrunk {
                published: 3,
                log: 2
            }
        ),
        "{shrunk:?}"
    );
}

#[test]
fn roots_mark_stands_although_the_installed_note_is_gone() {
    let (mut ledger, node) = followed();
    let old = ledger.backup();
    ledger.trust(&["c"]);
    let note = ledger.index(NOW + 1).note;
    node.store().advance_high_water(&note).unwrap();
    copy_tree(old.path(), ledger.path());
    fs::remove_file(node.state.path().join("allowlist/note")).unwrap();
    let error = node.sync(ledger.path(), NOW + 2).unwrap_err();
    assert!(matches!(error, SyncError::RolledBack(_)), "{error:?}");
}

#[test]
fn a_checkpoint_shorter_than_the_note_or_of_another_key_is_refused() {
    let (mut ledger, node) = followed();
    ledger.trust(&["c"]);
    ledger.index(NOW + 1);
    let good = ledger.read("checkpoint");
    let short = Checkpoint {
        origin: ledger::ORIGIN.to_owned(),
        size: 2,
        root: [7; 32],
    };
    for (keys, shows) in [
        (log_key(), "short"),
        (ledger::seeded(ledger::ORIGIN, "thief"), "key"),
    ] {
        ledger.write("checkpoint", &sign_note(&short.to_string(), &[&keys]));
        let error = refused(&ledger, &node, NOW + 2);
        match shows {
            "short" => assert!(matches!(error, SyncError::ShortLog { note: 3, log: 2 })),
            _ => assert!(matches!(error, SyncError::Checkpoint(_))),
        }
    }
    ledger.write("checkpoint", &good);
    node.sync(ledger.path(), NOW + 2).unwrap();
}

#[test]
fn an_expired_or_foreign_trust_root_stops_the_sync() {
    let (mut ledger, node) = followed();
    let error = refused(&ledger, &node, NOW + 366 * DAY);
    assert!(matches!(error, SyncError::RootExpired(_)), "{error:?}");
    assert_eq!(error.fault(), Fault::Configuration);
    let text = {
        ledger.root.version = 2;
        ledger.root.format().unwrap()
    };
    ledger.write("root/2.note", &sign_note(&text, &[&key("thief")]));
    let error = refused(&ledger, &node, NOW + 1);
    assert!(matches!(error, SyncError::Roots(_)), "{error:?}");
}

#[test]
fn a_kept_trust_root_that_does_not_verify_is_fetched_again() {
    let (mut ledger, node) = followed();
    ledger.next_root(|root| root.expires += DAY);
    ledger.index(NOW + 1);
    let kept = node.state.path().join("log/root/2.note");
    for junk in ["junk\n", ""] {
        fs::write(&kept, junk).unwrap();
        let report = node.sync(ledger.path(), NOW + 2).unwrap();
        assert_eq!(report.root_version, 2);
        assert_eq!(read(&kept), ledger.read("root/2.note"));
    }
    // The ledger's own answer is held to its signatures.
    fs::write(&kept, "junk").unwrap();
    ledger.write("root/2.note", b"junk");
    let error = refused(&ledger, &node, NOW + 3);
    assert!(matches!(error, SyncError::Roots(_)), "{error:?}");
}

#[test]
fn a_note_from_the_future_names_both_clocks() {
    let (ledger, node) = followed();
    ledger.forge_note(|note| {
        note.time = NOW + 700;
        note.expires = NOW + DAY;
    });
    let error = refused(&ledger, &node, NOW + 1);
    let expected = format!(
        "the index note was signed at {} and it is {} here: set the clock of whichever is wrong",
        NOW + 700,
        NOW + 1
    );
    assert_eq!(error.to_string(), expected);
    node.sync(ledger.path(), NOW + 100).unwrap();
}

#[test]
fn a_ledger_that_cannot_be_reached_is_asked_elsewhere() {
    let (mut ledger, node) = followed();
    let gone = ledger.path().join("gone").display().to_string();
    let error = refused_from(&node, std::slice::from_ref(&gone));
    assert_eq!(error.fault(), Fault::Unreachable, "{error:?}");
    ledger.trust(&["c"]);
    ledger.index(NOW + 1);
    let here = ledger.path().display().to_string();
    let report = node
        .sync_from(&[gone, here.clone()], false, NOW + 1, &mut |_| Ok(()))
        .unwrap();
    assert_eq!(report.source, here);
}

#[test]
fn a_mirror_that_is_wrong_in_any_way_is_passed_over_and_the_first_error_told() {
    let (mut ledger, node) = followed();
    let old = ledger.backup();
    ledger.trust(&["c"]);
    ledger.index(NOW + 1);
    let note = ledger.index(NOW + 1).note;
    node.store().advance_high_water(&note).unwrap();
    let forked = ledger.backup();
    fs::write(forked.path().join("tile/entries/000.p/3"), "junk").unwrap();
    let empty = tempfile::tempdir().unwrap();
    let place = |path: &std::path::Path| path.display().to_string();
    let bad = [old.path(), forked.path(), empty.path()].map(place);
    let faults = bad.clone().map(|bad| refused_from(&node, &[bad]).fault());
    assert_eq!(
        faults,
        [Fault::RolledBack, Fault::Tampered, Fault::NoAllowlist]
    );
    let error = refused_from(&node, &bad);
    assert!(matches!(error, SyncError::RolledBack(_)), "{error:?}");
    let here = place(ledger.path());
    let sources = [bad.as_slice(), std::slice::from_ref(&here)].concat();
    let report = node
        .sync_from(&sources, false, NOW + 1, &mut |_| Ok(()))
        .unwrap();
    assert_eq!(report.source, here);
}

fn refused_from(node: &Node, sources: &[String]) -> SyncError {
    node.sync_from(sources, false, NOW + 1, &mut |_| Ok(()))
        .unwrap_err()
}

#[test]
fn one_sync_at_a_time() {
    let (ledger, node) = followed();
    let mut inner = None;
    let mut step = |_: &str| {
        inner = Some(node.sync(ledger.path(), NOW + 1).unwrap_err().to_string());
        Ok(())
    };
    let sources = [ledger.path().display().to_string()];
    node.sync_from(&sources, true, NOW + 1, &mut step).unwrap();
    assert_eq!(inner.as_deref(), Some("another sync is running"));
}

/// Stops after `count` steps, as a power cut would; `None` once there are no more.
fn stopping(count: usize) -> impl FnMut(&'static str) -> std::io::Result<()> {
    let mut left = count;
    move |_| {
        left = left
            .checked_sub(1)
            .ok_or_else(|| std::io::Error::other("stopped"))?;
        Ok(())
    }
}

#[test]
fn a_sync_that_is_stopped_between_any_two_writes_leaves_a_whole_allowlist() {
    for count in 0.. {
        let (mut ledger, node) = followed();
        ledger.trust(&["c"]);
        ledger.next_root(|root| root.expires += DAY);
        ledger.trust(&["d"]);
        ledger.index(NOW + 1);
        let done = node.sync_stepwise(ledger.path(), NOW + 2, &mut stopping(count));
        assert_eq!(
            node.says(&ledger.root, "a"),
            [(0, TRUSTED)],
            "after {count} steps"
        );
        node.sync(ledger.path(), NOW + 3).unwrap();
        assert_eq!(
            node.says(&ledger.root, "d"),
            [(0, TRUSTED)],
            "after {count} steps"
        );
        ledger.trust(&["e"]);
        ledger.index(NOW + 4);
        let next = node.sync(ledger.path(), NOW + 4).unwrap();
        assert!(!next.replayed, "after {count} steps");
        if done.is_ok() {
            assert!(count > 5, "only {count} steps");
            return;
        }
    }
}

#[test]
fn an_indexer_that_is_stopped_between_any_two_writes_leaves_a_whole_index() {
    for count in 0.. {
        let mut ledger = Ledger::new();
        ledger.trust(&["a"]);
        ledger.index(NOW);
        ledger.trust(&["b"]);
        let done = ledger.try_index(NOW + 1, &mut stopping(count));
        check(ledger.path(), tempfile::tempdir().unwrap().path()).unwrap();
        ledger.trust(&["c"]);
        assert_eq!(
            ledger.index(NOW + 2).outcome,
            Outcome::Delta,
            "after {count} steps"
        );
        let checked = check(ledger.path(), tempfile::tempdir().unwrap().path()).unwrap();
        assert_eq!(checked.note.log_size, 3);
        if done.is_ok() {
            assert!(count > 3, "only {count} steps");
            return;
        }
    }
}

#[test]
fn what_was_said_is_found_in_the_nodes_copy() {
    let (mut ledger, node) = followed();
    ledger.append([
        statement("beta-ci", TRUSTED, 2, &["c", "a"]),
        statement("stranger", TRUSTED, 2, &["a"]),
    ]);
    ledger.index(NOW + 1);
    node.sync(ledger.path(), NOW + 1).unwrap();
    let mirror = Mirror::open(node.state.path()).unwrap();
    let mut found = Vec::new();
    let keys = [config("a")].into();
    history(&mirror, 4, &keys, &mut |named| {
        found.push((named.log_index, named.keyid, named.statement.name));
        true
    })
    .unwrap();
    let places: Vec<_> = found.iter().map(|(at, _, _)| *at).collect();
    assert_eq!(places, [0, 2, 3]);
    assert_eq!(found[1].2, "docker://c");
    let one = mirror.statement(2).unwrap().unwrap();
    assert_eq!(one.keyid, found[1].1);
    assert_eq!(mirror.statement(4).unwrap(), None);
}

#[test]
fn a_plain_web_server_carries_a_ledger_as_a_directory_does() {
    let mut ledger = Ledger::new();
    ledger.trust(&["a", "b"]);
    ledger.index(NOW);
    // nginx's worker is no root; what is private stays so by its own mode.
    fs::set_permissions(ledger.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let server = Nginx::serve(ledger.path());
    let sources = [server.url.clone()];
    let node = Node::of(&ledger);
    let sync = |now| node.sync_from(&sources, false, now, &mut |_| Ok(()));

    let report = sync(NOW).unwrap();
    assert_eq!((report.changed, report.entries), (true, 2));
    assert_eq!(node.says(&ledger.root, "a"), [(0, TRUSTED)]);
    let again = sync(NOW + 1).unwrap();
    assert_eq!((again.changed, again.entries), (false, 0));

    ledger.append([statement("acme-ci", Status::Untrusted, 2, &["a"])]);
    ledger.index(NOW + 2);
    let report = sync(NOW + 3).unwrap();
    assert_eq!((report.changed, report.entries), (true, 1));
    assert_eq!(node.says(&ledger.root, "a"), [(0, Status::Untrusted)]);

    let before = node.note();
    drop(server);
    let gone = sync(NOW + 4).unwrap_err();
    assert_eq!(gone.fault(), Fault::Unreachable, "{gone}");
    assert_eq!(node.note(), before);
}
