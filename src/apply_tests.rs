//! gate.bin is replaced only by one that compiled, and only under roots that follow from the pinned one.

use std::path::Path;

use super::{ApplyError, Lapses, apply, gatebin_path};
use crate::allowlist::index_note::{IndexNote, TableRef};
use crate::allowlist::note::SignedNote;
use crate::config::Config;
use crate::image::digest::Digest;
use crate::policy::gatebin::{GateBin, Mode};
use crate::store::{HighWater, RolledBack, Store, StoreError};
use crate::sys::file;
use crate::trust::keys::{SecretKey, Signer as _};
use crate::trust::root::{
    Allow, KeySet, Organisation, RootError, TrustRoot, TrustSigner, Unsupported,
};

const NOW: u64 = 1_800_000_000;

fn secret(name: &str, seed: u8) -> SecretKey {
    SecretKey::from_seed(name, &[seed; 32]).expect("a name without white space")
}

fn one(name: &str, seed: u8) -> KeySet {
    KeySet {
        keys: vec![secret(name, seed).verifier().clone()],
        threshold: 1,
    }
}

fn root(version: u64, expires: u64) -> TrustRoot {
    let origin = "ledger.example/test";
    TrustRoot {
        version,
        origin: origin.to_owned(),
        expires,
        roots: one("root", 1),
        log: secret(origin, 2).verifier().clone(),
        indexers: one("ledger.example/test/index", 3),
        exempt: None,
        organisations: vec![Organisation {
            name: "default".to_owned(),
            company: String::new(),
            website: String::new(),
        }],
        signers: vec![TrustSigner {
            key: secret("default", 4).verifier().clone(),
            level: 2,
            organisation: 0,
            from_index: 0,
            until_index: None,
            revoked_from: None,
        }],
        allow: Allow {
            threshold: 1,
            min_level: 0,
            organisations: vec![0],
        },
        veto: None,
        unsupported: Unsupported::Deny,
    }
}

fn signed(root: &TrustRoot, seed: u8) -> Vec<u8> {
    let text = root.format().expect("it is a trust root");
    let key = secret("root", seed);
    let signature = key.sign(text.as_bytes()).expect("it is in memory");
    let mut note = SignedNote::new(text).expect("it is a note's text");
    note.sign(key.verifier(), &signature)
        .expect("it is its signature");
    note.to_bytes()
}

/// A node enrolled with root 1, its configuration being `text`.
struct Node {
    directory: tempfile::TempDir,
}

impl Node {
    fn new(text: &str) -> Self {
        let node = Self {
            directory: tempfile::tempdir().expect("a temporary directory"),
        };
        std::fs::create_dir_all(node.path("trust")).expect("it is new");
        std::fs::create_dir_all(node.path("state/log/root")).expect("it is new");
        node.write("config.toml", text.as_bytes());
        node.write("trust/root.note", &signed(&root(1, NOW + 1), 1));
        node
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).expect("it is writable");
    }

    fn config(&self) -> Result<Config, ApplyError> {
        let mut config = Config::load(&self.path("config.toml"))?;
        config.state_dir = self.path("state");
        config.run_dir = self.path("run");
        config.decisions = self.path("log/decisions.jsonl");
        Ok(config)
    }

    fn apply(&self) -> Result<super::Applied, ApplyError> {
        apply(&self.config()?, Lapses::Hold, NOW)
    }

    fn gatebin(&self) -> Option<GateBin> {
        let bytes = file::read_capped(&gatebin_path(&self.path("state")), 1 << 20).ok()?;
        GateBin::decode(&bytes).ok()
    }
}

/// The pinned root may only be root's; where these tests run as somebody else, it is not.
fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("not root: this case needs root-owned files and is checked by 'make test'");
    }
    root
}

#[test]
fn compiles_what_was_configured_and_says_whether_it_changed() {
    if !is_root() {
        let denied = Node::new("").apply();
        assert!(
            matches!(denied, Err(ApplyError::File(..))),
            "another user's root is refused"
        );
        return;
    }
    let node = Node::new("mode = \"audit\"");
    assert!(node.apply().expect("it is right").changed);
    assert!(!node.apply().expect("it is right").changed);
    let gate = node.gatebin().expect("it was written");
    assert_eq!((gate.mode, gate.trust.root_version), (Mode::Audit, 1));
    assert_eq!(gate.config_dir, node.directory.path());
}

#[test]
fn a_typo_leaves_the_last_gatebin() {
    if !is_root() {
        return;
    }
    let node = Node::new("mode = \"audit\"");
    node.apply().expect("it is right");
    let before = node.gatebin();
    node.write("config.toml", b"mod = \"enforce\"");
    assert!(matches!(node.apply(), Err(ApplyError::Config(_))));
    assert_eq!(node.gatebin(), before);
}

#[test]
fn follows_a_root_that_the_pinned_one_signed_and_pins_it() {
    if !is_root() {
        return;
    }
    let node = Node::new("");
    let second = signed(&root(2, NOW + 9), 1);
    node.write("state/log/root/2.note", &second);
    assert_eq!(
        node.apply().expect("it is right").gate.trust.root_version,
        2
    );
    // What sync brought may vanish; what root pinned stays.
    std::fs::remove_file(node.path("state/log/root/2.note")).expect("it is there");
    assert_eq!(
        node.apply().expect("it is right").gate.trust.root_version,
        2
    );
}

#[test]
fn stays_at_its_root_whatever_junk_the_sync_account_puts_in_the_next_ones_place() {
    if !is_root() {
        return;
    }
    let node = Node::new("");
    node.apply().expect("it is right");
    let mut other = root(2, NOW + 9);
    other.roots = one("root", 9);
    for junk in [signed(&other, 9), b"junk\n".to_vec(), vec![0; 2 << 20]] {
        node.write("state/log/root/2.note", &junk);
        let applied = node.apply().expect("root 1 goes on");
        assert_eq!(applied.gate.trust.root_version, 1);
    }
    std::fs::remove_file(node.path("state/log/root/2.note")).expect("it is there");
    std::fs::create_dir(node.path("state/log/root/2.note")).expect("it is free");
    assert_eq!(node.apply().expect("still").gate.trust.root_version, 1);
    assert_eq!(node.gatebin().map(|gate| gate.trust.root_version), Some(1));
}

#[test]
fn refuses_an_expired_root_and_a_node_without_one() {
    if !is_root() {
        return;
    }
    let node = Node::new("");
    node.write("trust/root.note", &signed(&root(1, NOW), 1));
    assert!(matches!(
        node.apply(),
        Err(ApplyError::Root(_, RootError::Expired { .. }))
    ));
    std::fs::remove_file(node.path("trust/root.note")).expect("it is there");
    assert!(matches!(node.apply(), Err(ApplyError::NotEnrolled(_))));
    assert!(!Path::new(&gatebin_path(&node.path("state"))).exists());
}

#[test]
fn refuses_settings_that_others_can_change() {
    if !is_root() {
        return;
    }
    use std::os::unix::fs::PermissionsExt as _;
    let node = Node::new("");
    std::fs::create_dir(node.path("conf.d")).expect("it is new");
    node.write("conf.d/10-more.toml", b"mode = \"audit\"");
    let everybody = std::fs::Permissions::from_mode(0o666);
    std::fs::set_permissions(node.path("conf.d/10-more.toml"), everybody).expect("it is ours");
    let refused = node.apply();
    assert!(matches!(refused, Err(ApplyError::File(path, _)) if path.ends_with("10-more.toml")));
    assert_eq!(node.gatebin(), None);
}

/// An index note of log size `size`, as an indexer with this key signs it.
fn index_note(size: u64, root_version: u64, seed: u8) -> Vec<u8> {
    let table = |name: &[u8]| TableRef {
        log_size: size,
        records: 0,
        id: Digest::of(name),
    };
    let root = root(root_version, NOW + 1)
        .format()
        .expect("it is a trust root");
    let note = IndexNote {
        origin: "ledger.example/test".to_owned(),
        log_size: size,
        log_root: [0; 32],
        base: table(b"base"),
        delta: table(b"delta"),
        root_version,
        root_digest: Digest::of(root.as_bytes()),
        time: NOW + size,
        expires: NOW + 86_400,
    };
    let key = secret("ledger.example/test/index", seed);
    let mut signed = SignedNote::new(note.format()).expect("it is text");
    let signature = key.sign(signed.text.as_bytes()).expect("it is in memory");
    signed.sign(key.verifier(), &signature).expect("its own");
    signed.to_bytes()
}

#[test]
fn an_allowlist_that_somebody_else_installed_cannot_be_rolled_back_after_it() {
    if !is_root() {
        return;
    }
    let node = Node::new("");
    let seen = |node: &Node| node.apply().expect("it is right").high_water;
    let mark = |log_size, root_version| HighWater {
        log_size,
        time: NOW + log_size,
        root_version,
    };
    assert_eq!(seen(&node), Ok(None), "there is none");
    std::fs::create_dir(node.path("state/allowlist")).expect("it is new");
    let installed = |size, version, seed| {
        node.write("state/allowlist/note", &index_note(size, version, seed));
    };
    installed(7, 1, 3);
    assert_eq!(seen(&node), Ok(Some(mark(7, 1))));
    installed(9, 1, 3);
    assert_eq!(seen(&node), Ok(Some(mark(9, 1))));
    installed(7, 1, 3);
    let rolled_back = RolledBack {
        what: "log size",
        seen: 9,
        found: 7,
    };
    assert_eq!(seen(&node), Err(StoreError::RolledBack(rolled_back)));
    // What no indexer signed, or was made under a trust root that is not here, raises nothing.
    installed(99, 1, 9);
    assert!(matches!(seen(&node), Err(StoreError::Tampered { .. })));
    installed(99, 2, 3);
    assert_eq!(seen(&node), Ok(None));
    std::fs::write(node.path("state/allowlist/note"), "junk").expect("it is writable");
    assert!(matches!(seen(&node), Err(StoreError::Tampered { .. })));
    let kept = Store::new(node.path("state")).high_water();
    assert_eq!(kept, Ok(mark(9, 1)));
}
