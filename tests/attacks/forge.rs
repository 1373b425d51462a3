//! What only somebody who holds a ledger's keys, or writes its log, can forge.

use super::support::image::{EVIL, Image};
use super::support::ledger::{self, key, resign, signed};
use super::support::node::Node;
use std::fs;
use std::path::Path;
use vcn_hook::allowlist::index_note::IndexNote;
use vcn_hook::allowlist::note::SignedNote;
use vcn_hook::allowlist::record::Status;
use vcn_hook::ledger::client::{self, Dir};
use vcn_hook::ledger::sequencer::Sequencer;
use vcn_hook::ledger::statement::{self, Statement, Subject, SubjectKind};
use vcn_hook::ledger::tiles::{Row, TileName};
use vcn_hook::sys::clock;
use vcn_hook::trust::keys::{self, SecretKey, Signer as _};
use vcn_hook::trust::node_id::NodeId;
use vcn_hook::trust::root::TrustRoot;

/// Does what an attack's `prepare` names.
pub(crate) fn prepare(name: &str, node: &Node) {
    match name {
        "" => {}
        "sign-25-hours-ago" => ledger::age(&node.state().join("allowlist/note"), node, 25),
        "publish-second-root" => publish_second_root(node),
        "replay-first-statement" => {
            let log = Dir::open(&node.ledger()).unwrap();
            // app:1, dyn:1, and then the one that was withdrawn later.
            let entry = client::entries(&log, first_bundle(node)).unwrap().remove(2);
            append(node, &[entry]);
        }
        "sign-with-a-strange-key" => {
            let stranger = SecretKey::from_seed("default", &[7; 32]).unwrap();
            append(
                node,
                &[statement::sign(&about_the_stranger(node), &stranger).unwrap()],
            );
        }
        "append-garbage" => append(node, &garbage(node)),
        "publish-a-lie" => publish_a_lie(node),
        "forge-exemptions" => forge_exemptions(node),
        other => panic!("unknown preparation '{other}'"),
    }
}

/// Version 2 of the trust root, followed by sync and not yet by apply.
fn publish_second_root(node: &Node) {
    let first = fs::read(node.ledger().join("root/1.note")).unwrap();
    let mut root = TrustRoot::parse(&SignedNote::parse(&first).unwrap().text).unwrap();
    root.version = 2;
    let second = signed(root.format().unwrap(), &key(node, "root"));
    fs::write(node.ledger().join("root/2.note"), second).unwrap();
    let gate = fs::read(node.state().join("gate.bin")).unwrap();
    node.vcn(&["ledger", "index", node.ledger().to_str().unwrap()])
        .ok();
    node.sync();
    fs::write(node.state().join("gate.bin"), gate).unwrap();
}

/// Writes to the log as the ledger's host could, without asking whether it counts.
fn append(node: &Node, entries: &[Vec<u8>]) {
    let log = key(node, "log");
    let mut sequencer = Sequencer::open(&node.ledger(), log.verifier().clone()).unwrap();
    sequencer.append(entries, &log).unwrap();
}

fn first_bundle(node: &Node) -> TileName {
    let log = key(node, "log");
    let size = Sequencer::open(&node.ledger(), log.verifier().clone())
        .unwrap()
        .checkpoint()
        .unwrap()
        .size;
    TileName::in_tree(Row::Entries, 0, size).unwrap()
}

/// TRUSTED for the image that nobody notarized, newer than everything.
fn about_the_stranger(node: &Node) -> Statement {
    let image = Image::saying("stranger:1", EVIL);
    let log = key(node, "log");
    let size = Sequencer::open(&node.ledger(), log.verifier().clone())
        .unwrap()
        .checkpoint()
        .unwrap()
        .size;
    Statement {
        subjects: vec![Subject {
            name: image.tag.clone(),
            digest: image.id().parse().unwrap(),
            kind: SubjectKind::Config {
                chain: Some(image.chain().parse().unwrap()),
            },
        }],
        status: Status::Trusted,
        after: size,
        origin: "ledger.test/vcn".to_owned(),
        time: 1_700_000_000,
        not_after: 0,
        kind: "docker".to_owned(),
        name: image.tag,
        size: 1,
        company: String::new(),
        website: String::new(),
        reason: String::new(),
    }
}

/// Entries that a reader must pass over, whoever signed them.
fn garbage(node: &Node) -> Vec<Vec<u8>> {
    let publisher = node.base().join("home/.config/vcn-hook/keys/default");
    let publisher = keys::open(&publisher, &mut |_: &Path| None).unwrap();
    let good = about_the_stranger(node);
    let elsewhere = Statement {
        origin: "ledger.test/other".to_owned(),
        ..good.clone()
    };
    let stale = Statement {
        after: u64::from(u32::MAX),
        ..good.clone()
    };
    let entry = statement::sign(&good, &publisher).unwrap();
    let text = String::from_utf8(entry.clone()).unwrap();
    let mut cut = entry.clone();
    cut.truncate(entry.len() / 2);
    vec![
        b"{}".to_vec(),
        vec![0xff; 16_384],
        vec![b'['; 16_384],
        "{\"payloadType\":".repeat(1_000).into_bytes(),
        cut,
        format!(" {text}").into_bytes(),
        text.replacen("\"payload\"", "\"payload\":\"\",\"payload\"", 1)
            .into_bytes(),
        text.replacen("application/vnd.in-toto+json", "text/plain", 1)
            .into_bytes(),
        statement::sign(&elsewhere, &publisher).unwrap(),
        statement::sign(&stale, &publisher).unwrap(),
    ]
}

/// Exemptions of the image that nobody notarized: a sound one, and those that must not be.
fn forge_exemptions(node: &Node) {
    const HOUR: u64 = 3_600;
    let folder = node.base().join("forged");
    fs::create_dir(&folder).unwrap();
    let machine = fs::read("/etc/machine-id").unwrap();
    let own = NodeId::of_machine_id(&machine).unwrap().to_string();
    let (other, now) = ("7".repeat(32), clock::now());
    let key = key(node, "exempt");
    let stranger = SecretKey::from_seed(key.name(), &[7; 32]).unwrap();
    for (name, id, key, from, until) in [
        ("sound", &own, &key, now, now + HOUR),
        ("another-node", &other, &key, now, now + HOUR),
        ("over-long", &own, &key, now, now + 73 * HOUR),
        ("strangers", &own, &stranger, now, now + HOUR),
        ("ended", &own, &key, now - 2 * HOUR, now - HOUR),
    ] {
        // Written by hand: our own code makes none that lasts too long.
        let text = format!(
            "vcn-exempt/v1\norigin ledger.test/vcn\nnode {id}\nconfig {}\nfrom {from}\nuntil {until}\n\
             reason forged\n",
            Image::saying("stranger:1", EVIL).id()
        );
        fs::write(folder.join(format!("{name}.note")), signed(text, key)).unwrap();
    }
}

/// The tables of before the withdrawal under a note that says they follow from the log of today.
fn publish_a_lie(node: &Node) {
    let old = node.base().join("ledger-before-withdrawal/index");
    let text = SignedNote::parse(&fs::read(old.join("note")).unwrap())
        .unwrap()
        .text;
    let old_note = IndexNote::parse(&text).unwrap();
    let index = node.ledger().join("index");
    for table in [&old_note.base, &old_note.delta] {
        let name = format!("{}.idx", table.id.hex());
        fs::copy(old.join(&name), index.join(&name)).unwrap();
    }
    resign(&index.join("note"), node, |note| {
        note.base = old_note.base;
        note.delta = old_note.delta;
        note.time += 1;
        note.expires += 1;
    });
}
