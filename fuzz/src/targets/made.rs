//! What our own code makes as seeds, always the same: keys, notes, a trust root, statements.
//!
//! The keys are made of nothing secret. [`key`] of [`MUTATED`] is the one that the
//! repairs sign with, so what it signed proves nothing; no repair uses the others.

use vcn_hook::allowlist::build::Builder;
use vcn_hook::allowlist::index_note::{IndexNote, TableRef};
use vcn_hook::allowlist::note::{NoteSignature, SignedNote};
use vcn_hook::allowlist::record::{Key, Kind, Record, Status};
use vcn_hook::allowlist::table::TableKind;
use vcn_hook::image::digest::{ChainId, Digest};
use vcn_hook::ledger::checkpoint::Checkpoint;
use vcn_hook::ledger::statement::{Statement, Subject, SubjectKind, sign};
use vcn_hook::trust::exemption::Exemption;
use vcn_hook::trust::keys::{SecretKey, Signer};
use vcn_hook::trust::node_id::NodeId;
use vcn_hook::trust::root::{Allow, KeySet, Organisation, TrustRoot, TrustSigner, Unsupported};

/// The ledger of all seeds.
pub const ORIGIN: &str = "ledger.example/vcn";

/// A text that was signed.
pub const TEXT: &str = "ledger.example/vcn\nsome lines\n\nof text\n";

/// The signer whose key the repairs have.
pub const MUTATED: &str = "mutated";

/// The key of this name.
pub fn key(name: &str) -> SecretKey {
    SecretKey::from_seed(name, Digest::of(name.as_bytes()).as_bytes()).unwrap()
}

/// `text`, signed by these keys in this order.
pub fn signed(text: &str, names: &[&str]) -> Vec<u8> {
    let signatures = names.iter().map(|name| {
        let key = key(name);
        NoteSignature {
            name: key.name().to_owned(),
            id: key.verifier().id(),
            signature: key.sign(text.as_bytes()).unwrap().to_vec(),
        }
    });
    let signatures = signatures.collect();
    let text = text.to_owned();
    SignedNote { text, signatures }.to_bytes()
}

/// Signed notes.
pub fn notes() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("one", signed(TEXT, &["one"])),
        ("two", signed(TEXT, &["one", "two"])),
        ("stranger", signed(TEXT, &["stranger", "one"])),
    ]
}

/// A checkpoint, signed by the log.
pub fn checkpoints() -> Vec<(&'static str, Vec<u8>)> {
    let [small, large] = [0, 70_000].map(|size| Checkpoint {
        origin: ORIGIN.to_owned(),
        size,
        root: *Digest::of(&[u8::try_from(size % 256).unwrap()]).as_bytes(),
    });
    vec![
        ("empty", signed(&small.to_string(), &[ORIGIN])),
        ("large", signed(&large.to_string(), &[ORIGIN])),
        (
            "extended",
            signed(&format!("{large}an extension line\n"), &[ORIGIN]),
        ),
    ]
}

/// The index note of [`tables`].
pub fn index_note() -> IndexNote {
    let [(_, base), (_, delta)] = tables();
    IndexNote {
        origin: ORIGIN.to_owned(),
        log_size: delta.log_size,
        log_root: [7; 32],
        base,
        delta,
        root_version: 2,
        root_digest: Digest::of(b"root"),
        time: 1_790_000_000,
        expires: 1_790_086_400,
    }
}

/// Index notes, signed.
pub fn index_notes() -> Vec<(&'static str, Vec<u8>)> {
    let text = index_note().format();
    vec![("index", signed(&text, &["ledger.example/vcn/index"]))]
}

/// A record of the seeds' tables.
pub fn record(number: u32, signer: u16) -> Record {
    let status = match number % 4 {
        0 => Status::Untrusted,
        1 => Status::Unsupported,
        _ => Status::Trusted,
    };
    Record {
        key: Key::of(Kind::Config, &Digest::of(&number.to_be_bytes())),
        signer,
        status,
        not_after: if status == Status::Trusted { number } else { 0 },
        log_index: u64::from(number),
        target: Some(Digest::of(&[0])),
    }
}

/// A base of two leaves and a delta of one.
pub fn tables() -> [(Vec<u8>, TableRef); 2] {
    [(TableKind::Base, 70, 90), (TableKind::Delta, 3, 95)].map(|(kind, count, log_size)| {
        let mut records: Vec<Record> = (0..count).map(|number| record(number, 1)).collect();
        records.extend((0..count / 3).map(|number| record(number, 2)));
        records.sort_by_key(|record| (record.key, record.signer));
        let mut bytes = Vec::new();
        let mut builder = Builder::new(&mut bytes, kind, ORIGIN, log_size);
        for record in &records {
            builder.push(record).unwrap();
        }
        let table = builder.finish().unwrap();
        (bytes, table)
    })
}

/// The trust root of this version: the second has one signer more, and revokes one.
pub fn root(version: u64) -> TrustRoot {
    let set = |names: &[&str], threshold| KeySet {
        keys: names
            .iter()
            .map(|name| key(name).verifier().clone())
            .collect(),
        threshold,
    };
    let signer = |name: &str, organisation, revoked_from| TrustSigner {
        key: key(name).verifier().clone(),
        level: 2,
        organisation,
        from_index: 5,
        until_index: (name == "old").then_some(60),
        revoked_from,
    };
    let mut signers = vec![
        signer("one", 0, None),
        signer("old", 1, None),
        signer(MUTATED, 1, (version > 1).then_some(40)),
    ];
    if version > 1 {
        signers.push(signer("new", 0, None));
    }
    TrustRoot {
        version,
        origin: ORIGIN.to_owned(),
        expires: 1_990_000_000,
        roots: set(&["root-a", "root-b", "root-c"], 2),
        log: key(ORIGIN).verifier().clone(),
        indexers: set(&["ledger.example/vcn/index"], 1),
        exempt: Some(set(&["exempt-a", "exempt-b"], 2)),
        organisations: [("ACME", "Acme & Söhne 100 %"), ("BETA", "")]
            .map(|(name, company)| Organisation {
                name: name.to_owned(),
                company: company.to_owned(),
                website: "https://example.org/?a=b".to_owned(),
            })
            .into(),
        signers,
        allow: Allow {
            threshold: 1,
            min_level: 1,
            organisations: vec![0, 1],
        },
        veto: Some(vec![0]),
        unsupported: Unsupported::Deny,
    }
}

/// Trust roots, signed.
pub fn roots() -> Vec<(&'static str, Vec<u8>)> {
    let [first, second] = [1, 2].map(|version| root(version).format().unwrap());
    vec![
        ("first", signed(&first, &["root-a", "root-b"])),
        ("second", signed(&second, &["root-b", "root-c", "root-a"])),
    ]
}

/// The node that [`exemption`] is for.
pub fn node() -> NodeId {
    "0fb5f7213de24d90817e523870be7b54".parse().unwrap()
}

/// What both exempt keys signed.
pub fn exemption() -> Exemption {
    Exemption {
        origin: ORIGIN.to_owned(),
        node: node(),
        config: Digest::of(b"config"),
        from: 1_790_000_000,
        until: 1_790_086_400,
        reason: "disk migration, ticket 4711 \u{e9}".to_owned(),
    }
}

/// Exemptions, signed by enough and by too few.
pub fn exemptions() -> Vec<(&'static str, Vec<u8>)> {
    let text = exemption().format().unwrap();
    vec![
        ("both", signed(&text, &["exempt-a", "exempt-b"])),
        ("one", signed(&text, &["exempt-a", "exempt-a", "root-a"])),
        ("machine-id", b"3d1219c7c4c5404aaa1f6d2a48adfda4\n".to_vec()),
    ]
}

/// A statement by one signer.
pub fn statement(signer: &str, after: u64, status: Status) -> Vec<u8> {
    let config = Digest::of(b"config");
    let subject = |name: &str, digest, kind| Subject {
        name: name.to_owned(),
        digest,
        kind,
    };
    let statement = Statement {
        subjects: vec![
            subject(
                "linux/amd64",
                config,
                SubjectKind::Config {
                    chain: Some(ChainId::from_digest(Digest::of(b"chain"))),
                },
            ),
            subject(
                "app:1.4 \"quoted\" \u{202e}",
                Digest::of(b"manifest"),
                SubjectKind::Manifest {
                    config: Some(config),
                },
            ),
            subject("index", Digest::of(b"index"), SubjectKind::Index),
            subject("file", Digest::of(b"file"), SubjectKind::File),
        ],
        status,
        origin: ORIGIN.to_owned(),
        after,
        time: 1_790_000_000,
        not_after: if status == Status::Trusted {
            1_990_000_000
        } else {
            0
        },
        kind: "docker".to_owned(),
        name: "docker://app:1.4".to_owned(),
        size: 1_234_567,
        company: "Acme".to_owned(),
        website: "https://example.org".to_owned(),
        reason: String::new(),
    };
    sign(&statement, &key(signer)).unwrap()
}

/// Statements of several signers.
pub fn statements() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("trusted", statement("one", 6, Status::Trusted)),
        ("untrusted", statement("one", 20, Status::Untrusted)),
        ("mutated", statement(MUTATED, 9, Status::Trusted)),
        ("stranger", statement("stranger", 1, Status::Unsupported)),
    ]
}
