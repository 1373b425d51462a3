//! What a ledger's keeper can do that no verb does yet, with the keeper's own keys.

use std::path::{Path, PathBuf};

use vcn_hook::allowlist::index_note::IndexNote;
use vcn_hook::allowlist::note::SignedNote;
use vcn_hook::ledger::index::{self, Publish, table_path};
use vcn_hook::trust::keys::{self, SecretKey, Signer};
use vcn_hook::trust::root::{TrustRoot, TrustSigner};

/// Publishes an index whose note was signed at `time` and was good for an hour.
pub(crate) fn publish(ledger: &Path, time: u64) {
    let key = open(ledger, "indexer");
    let signers: [&dyn Signer; 1] = [&key];
    let what = Publish {
        directory: ledger,
        indexers: &signers,
        validity: 3_600,
        force: true,
    };
    index::publish(&what, time).expect("the ledger is sound");
}

/// The tables that the index note names.
pub(crate) fn tables(ledger: &Path) -> [PathBuf; 2] {
    let signed = std::fs::read(ledger.join("index/note")).expect("there is a note");
    let signed = SignedNote::parse(&signed).expect("it is sound");
    let note = IndexNote::parse(&signed.text).expect("it is sound");
    [note.base, note.delta].map(|table| table_path(&ledger.join("index"), &table.id))
}

/// Signs an index note that says something else.
pub(crate) fn forge_note(ledger: &Path, change: impl FnOnce(&mut IndexNote)) {
    let path = ledger.join("index/note");
    let signed = std::fs::read(&path).expect("there is a note");
    let signed = SignedNote::parse(&signed).expect("it is sound");
    let mut said = IndexNote::parse(&signed.text).expect("it is sound");
    change(&mut said);
    let key = open(ledger, "indexer");
    let mut note = SignedNote::new(said.format()).expect("it is text");
    let signature = key.sign(note.text.as_bytes()).expect("it signs");
    note.sign(key.verifier(), &signature).expect("it is new");
    std::fs::write(path, note.to_bytes()).expect("it is writable");
}

/// Signs version 2 of the trust root, in which something is different about the first signer.
pub(crate) fn change_first_signer(ledger: &Path, change: impl FnOnce(&mut TrustSigner)) {
    let note = std::fs::read(ledger.join("root/1.note")).expect("version 1 is there");
    let mut root = TrustRoot::verify_initial(&note).expect("it is sound");
    root.version = 2;
    change(&mut root.signers[0]);
    let key = open(ledger, "root");
    let mut note = SignedNote::new(root.format().expect("it is sound")).expect("it is text");
    let signature = key.sign(note.text.as_bytes()).expect("it signs");
    note.sign(key.verifier(), &signature).expect("it is new");
    std::fs::write(ledger.join("root/2.note"), note.to_bytes()).expect("it is writable");
}

fn open(ledger: &Path, name: &str) -> SecretKey {
    let path = ledger.join(".state/keys").join(name);
    keys::open(&path, &mut |_: &Path| None).expect("it has no passphrase")
}
