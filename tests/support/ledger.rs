//! What a ledger's keeper can do to its files with its keys, and with a clock of his own.

use super::node::Node;
use std::fs;
use std::path::Path;
use vcn_hook::allowlist::index_note::IndexNote;
use vcn_hook::allowlist::note::SignedNote;
use vcn_hook::trust::keys::{self, SecretKey, Signer as _};

/// A key of the ledger's private state: `log`, `indexer` or `root`.
pub fn key(node: &Node, name: &str) -> SecretKey {
    keys::open(
        &node.ledger().join(".state/keys").join(name),
        &mut |_: &Path| None,
    )
    .unwrap()
}

/// A note of this text, signed.
pub fn signed(text: String, key: &SecretKey) -> Vec<u8> {
    let mut note = SignedNote::new(text).unwrap();
    let signature = key.sign(note.text.as_bytes()).unwrap();
    note.sign(key.verifier(), &signature).unwrap();
    note.to_bytes()
}

/// Changes an index note and has the ledger's own indexer sign it.
pub fn resign(path: &Path, node: &Node, change: impl FnOnce(&mut IndexNote)) {
    let bytes = fs::read(path).unwrap();
    let mut note = IndexNote::parse(&SignedNote::parse(&bytes).unwrap().text).unwrap();
    change(&mut note);
    fs::write(path, signed(note.format(), &key(node, "indexer"))).unwrap();
}

/// Makes an index note what it would be had it been signed so many hours earlier, and the node
/// forget that it has seen a later one. This stands in for a clock that runs on: the gate's cannot
/// be moved without moving the machine's.
pub fn age(path: &Path, node: &Node, hours: u64) {
    resign(path, node, |note| {
        note.time -= hours * 3_600;
        note.expires -= hours * 3_600;
    });
    if let Err(error) = fs::remove_file(node.state().join("high-water")) {
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    }
}
