//! Signed notes: what a key signed is believed, and nothing else.

use vcn_hook::allowlist::index_note::IndexNote;
use vcn_hook::allowlist::note::{SignedNote, VerifierKey};
use vcn_hook::ledger::checkpoint::Checkpoint;
use vcn_hook::store::HighWater;
use vcn_hook::trust::exemption::{Exemption, MAX_SPAN};
use vcn_hook::trust::keys::Signer as _;
use vcn_hook::trust::node_id::NodeId;
use vcn_hook::trust::root::{TrustRoot, fingerprint};

use super::made::{self, ORIGIN};
use super::{MEMORY, Target};

pub const NOTE: Target = Target {
    words: &["\n\n", "\u{2014} ", "one ", "two ", "+", "=", "\n"],
    made: Some(made::notes),
    ..Target::new("note", "signed notes and verifier keys", note)
};

pub const CHECKPOINT: Target = Target {
    words: &["\n\n", "\u{2014} ", ORIGIN, "\n0\n", "18446744073709551615"],
    made: Some(made::checkpoints),
    ..Target::new(
        "checkpoint",
        "checkpoints, signed or not, and the high-water mark",
        checkpoint,
    )
};

pub const INDEX_NOTE: Target = Target {
    words: &[
        "vcn-index/v1",
        "log ",
        "base ",
        "delta ",
        "root ",
        "time ",
        "/index\n",
        " 0 ",
    ],
    made: Some(made::index_notes),
    ..Target::new("index-note", "the note that names the tables", index_note)
};

pub const TRUST_ROOT: Target = Target {
    words: &[
        "vcn-root/v1\n",
        "version ",
        "origin ",
        "expires ",
        "rootkey ",
        "rootthreshold ",
        "log ",
        "indexer ",
        "indexthreshold ",
        "exemptkey ",
        "exemptthreshold ",
        "org ",
        " company=",
        " website=",
        "signer ",
        " level=",
        " org=",
        " key=",
        " from-index=",
        " until-index=",
        "revoke ",
        "allow ",
        " min-level=",
        "veto ",
        "unsupported ",
        "deny",
        "allow\n",
        "%00",
        "%",
    ],
    made: Some(made::roots),
    memory: 2 * MEMORY,
    ..Target::new(
        "trust-root",
        "trust roots, pinned and following",
        trust_root,
    )
};

pub const EXEMPTION: Target = Target {
    words: &[
        "vcn-exempt/v1\n",
        "origin ",
        "node ",
        "config sha256:",
        "from ",
        "until ",
        "reason ",
        "00",
        "18446744073709551615",
    ],
    made: Some(made::exemptions),
    ..Target::new(
        "exemption",
        "exemptions, and the machine id that a node's name follows from",
        exemption,
    )
};

fn keys(names: &[&str]) -> Vec<VerifierKey> {
    names
        .iter()
        .map(|name| made::key(name).verifier().clone())
        .collect()
}

fn note(bytes: &[u8]) -> bool {
    if let Some(key) = text(bytes).and_then(|text| text.parse::<VerifierKey>().ok()) {
        assert_eq!(
            key.to_string().as_bytes(),
            bytes,
            "a second spelling of a key"
        );
    }
    let Ok(note) = SignedNote::parse(bytes) else {
        return false;
    };
    let again = SignedNote::parse(&note.to_bytes());
    assert_eq!(again.as_ref(), Ok(&note), "a note reads back as another");
    let known = keys(&["one", "two"]);
    for threshold in [1, 2] {
        if let Ok(found) = note.verify(&known, threshold) {
            assert!((threshold..=2).contains(&found), "{found} signatures");
            assert_eq!(
                note.text,
                made::TEXT,
                "a text that nobody signed is believed"
            );
        }
    }
    assert!(note.verify(&known, 0).is_err() && note.verify(&known, 3).is_err());
    assert!(note.verify(&[], 1).is_err());
    true
}

fn checkpoint(bytes: &[u8]) -> bool {
    if let Some(mark) = text(bytes).and_then(HighWater::parse) {
        assert_eq!(
            mark.format().as_bytes(),
            bytes,
            "a second spelling of a mark"
        );
    }
    let log = made::key(ORIGIN).verifier().clone();
    if let Ok(verified) = Checkpoint::verify(bytes, &log) {
        let seeds = made::checkpoints();
        let signed = seeds
            .iter()
            .filter_map(|(_, seed)| Checkpoint::verify(seed, &log).ok());
        assert!(
            signed.into_iter().any(|one| one == verified),
            "a checkpoint that nobody signed"
        );
    }
    let Ok(note) = SignedNote::parse(bytes) else {
        return false;
    };
    let Ok(checkpoint) = Checkpoint::parse(&note.text) else {
        return false;
    };
    let written = checkpoint.to_string();
    assert!(
        note.text.starts_with(&written),
        "a second spelling of a checkpoint"
    );
    assert_eq!(Checkpoint::parse(&written), Ok(checkpoint));
    true
}

fn index_note(bytes: &[u8]) -> bool {
    let Ok(note) = SignedNote::parse(bytes) else {
        return false;
    };
    let believed = note.verify(&keys(&["ledger.example/vcn/index"]), 1).is_ok();
    let Ok(index) = IndexNote::parse(&note.text) else {
        assert!(!believed, "a text that nobody signed is believed");
        return false;
    };
    assert_eq!(
        index.format(),
        note.text,
        "a second spelling of an index note"
    );
    assert!(
        !believed || index == made::index_note(),
        "an index note that nobody signed"
    );
    true
}

fn trust_root(bytes: &[u8]) -> bool {
    let known = [1, 2].map(made::root);
    if let Ok(root) = TrustRoot::verify_initial(bytes) {
        // A mutation has nobody's private key, so these are the only ones that can verify.
        assert!(known.contains(&root), "a root that its keys did not sign");
        assert!(fingerprint(bytes).is_ok());
    }
    if let Ok(next) = known[0].verify_successor(bytes) {
        assert_eq!(next, known[1], "a successor that nobody signed");
    }
    let Ok(note) = SignedNote::parse(bytes) else {
        return false;
    };
    let Ok(root) = TrustRoot::parse(&note.text) else {
        return false;
    };
    assert_eq!(
        root.format().as_ref(),
        Ok(&note.text),
        "a second spelling of a trust root"
    );
    assert!((1..=root.roots.keys.len()).contains(&root.roots.threshold));
    assert!((1..=root.indexers.keys.len()).contains(&root.indexers.threshold));
    assert!(root.allow.threshold >= 1, "a root that needs nobody's word");
    let organisations = root.signers.iter().map(|signer| signer.organisation);
    let named = organisations.chain(root.allow.organisations.iter().copied());
    assert!(
        named
            .into_iter()
            .all(|number| root.organisation(number).is_some())
    );
    // Whoever follows may append only.
    if known[0].check_succession(&root).is_ok() {
        for (old, new) in known[0].signers.iter().zip(&root.signers) {
            assert_eq!(old.key, new.key, "a signer was moved");
        }
        assert!(root.signers.len() >= known[0].signers.len() && root.version == 2);
    }
    true
}

fn exemption(bytes: &[u8]) -> bool {
    if let Ok(id) = NodeId::of_machine_id(bytes) {
        assert_eq!(
            id.to_string().parse(),
            Ok(id),
            "a second spelling of a node"
        );
    }
    let (root, node) = (made::root(1), made::node());
    if let Ok(granted) = Exemption::verify(bytes, &root, &node) {
        // A mutation has nobody's private key, so this is the only one that can verify.
        assert_eq!(granted.exemption, made::exemption(), "nobody signed that");
        assert_eq!(granted.by.len(), 2, "one signature is enough");
    }
    let Ok(note) = SignedNote::parse(bytes) else {
        return false;
    };
    let Ok(exemption) = Exemption::parse(&note.text) else {
        return false;
    };
    assert_eq!(
        exemption.format().as_ref(),
        Ok(&note.text),
        "a second spelling"
    );
    assert!(exemption.from < exemption.until && exemption.until - exemption.from <= MAX_SPAN);
    assert!(!exemption.reason.contains('\n') && exemption.check_end(exemption.until).is_err());
    true
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}
