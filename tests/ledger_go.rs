//! Notes, hashes, tiles and proofs hold by Go's checksum-database code, which shares no line with ours.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "test code"
)]

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use vcn_hook::allowlist::note::{NoteSignature, SignedNote};
use vcn_hook::image::digest::Digest;
use vcn_hook::ledger::client::{Dir, TlogRead};
use vcn_hook::ledger::proof::{Prover, verify_consistency, verify_inclusion};
use vcn_hook::ledger::range::leaf_hash;
use vcn_hook::ledger::sequencer::Sequencer;
use vcn_hook::trust::keys::{SecretKey, Signer as _};

/// Runs a program of Go's with these arguments and input: what it printed, and what it complained of.
fn go(source: &str, arguments: &[&str], input: &str) -> (String, String) {
    let mut program = Command::new("go")
        .args(["run", source])
        .args(arguments)
        // Debian's golang-golang-x-mod-dev is a source tree, not a module.
        .envs([
            ("GO111MODULE", "off"),
            ("GOPATH", "/usr/share/gocode"),
            ("GOFLAGS", ""),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("go is missing; run tests/install-needs.sh test");
    // Written beside the reading: more than a pipe holds would wait for ever.
    let mut pipe = program.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || pipe.write_all(input.as_bytes()));
    let output = program.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// Asks Go's code questions, and returns its answers, one for each.
fn judge(questions: &[String]) -> Vec<String> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/go/judge.go");
    let (said, wrong) = go(source, &[], &(questions.join("\n") + "\n"));
    assert_eq!(wrong, "");
    let answers: Vec<String> = said.lines().map(str::to_owned).collect();
    assert_eq!(answers.len(), questions.len());
    answers
}

fn words(hashes: &[[u8; 32]]) -> String {
    hashes
        .iter()
        .map(|hash| format!(" {}", BASE64.encode(hash)))
        .collect()
}

#[test]
fn notes_are_signed_believed_and_refused_as_go_does() {
    let keys = ["ledger.example/vcn", "two", "three"].map(|name| {
        let seed = Digest::of(name.as_bytes());
        SecretKey::from_seed(name, seed.as_bytes()).unwrap()
    });
    let [one, two, three] = &keys;
    let text = "ledger.example/vcn\n7\nu0Kh5bC4HfRbWmVXO9XrYcWyNJyLBOKEBSvhXlHmdMs=\n";
    let signed = |by: &[&SecretKey]| {
        let signatures = by.iter().map(|key| NoteSignature {
            name: key.verifier().name().to_owned(),
            id: key.verifier().id(),
            signature: key.sign(text.as_bytes()).unwrap().to_vec(),
        });
        SignedNote {
            text: text.to_owned(),
            signatures: signatures.collect(),
        }
        .to_bytes()
    };
    let good = signed(&[one]);
    let changed = |at: usize, bit: u8| {
        let mut bytes = good.clone();
        *bytes.get_mut(at).unwrap() ^= bit;
        bytes
    };
    let mut notes = vec![
        good.clone(),
        signed(&[one, two]),
        signed(&[two, three, one]),
        signed(&[three]),
        good[..good.len() - 1].to_vec(),
        [&good[..], b"\n"].concat(),
        [b"\n", &good[..]].concat(),
        text.as_bytes().to_vec(),
        Vec::new(),
        String::from_utf8(good.clone())
            .unwrap()
            .replace('\n', "\r\n")
            .into_bytes(),
        String::from_utf8(good.clone())
            .unwrap()
            .replace("\u{2014} ", "- ")
            .into_bytes(),
    ];
    notes.extend((0..good.len()).map(|at| changed(at, 1)));
    notes.extend((0..good.len()).step_by(3).map(|at| changed(at, 0x20)));

    let known = [one.verifier().clone(), two.verifier().clone()];
    let questions: Vec<String> = notes
        .iter()
        .map(|note| {
            let note = BASE64.encode(note);
            // An empty word would be no word.
            let note = if note.is_empty() { "Cg==" } else { &note };
            format!("note {note} {} {}", known[0], known[1])
        })
        .collect();
    let mut believed = 0;
    for (note, go) in notes.iter().zip(judge(&questions)) {
        let ours = SignedNote::parse(note)
            .ok()
            .and_then(|note| note.verify(&known, 1).ok());
        let gos = (go != "refused").then(|| go.split(' ').count());
        // Off Go: bits of the last base64 digit that mean nothing must be zero, or one signature
        // would have four spellings.
        let respelled =
            note.len() == good.len() && note[..note.len() - 3] == good[..good.len() - 3];
        if !(respelled && ours.is_none()) {
            assert_eq!(ours, gos, "{}", String::from_utf8_lossy(note));
        }
        believed += usize::from(ours.is_some());
    }
    assert_eq!(believed, 3);

    // Ed25519 is deterministic: the same key signs the same text with the same bytes.
    let secret = format!(
        "PRIVATE+KEY+ledger.example/vcn+{:08x}+{}",
        one.verifier().id(),
        BASE64.encode([&[1][..], Digest::of(b"ledger.example/vcn").as_bytes()].concat())
    );
    let question = format!("sign {secret} {}", BASE64.encode(text));
    assert_eq!(judge(&[question]), [BASE64.encode(good)]);
}

#[test]
fn hashes_and_proofs_are_those_of_go_and_what_is_changed_is_refused_by_both() {
    let key = SecretKey::from_seed("ledger.example/vcn", &[7; 32]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("log");
    let size = 300_u64;
    let entries: Vec<Vec<u8>> = (0..size)
        .map(|n| format!("entry {n}").into_bytes())
        .collect();
    Sequencer::create(&directory, &key)
        .unwrap()
        .append(&entries, &key)
        .unwrap();
    let reader = Dir::open(&directory).unwrap();
    let mut prover = Prover::new(&reader as &dyn TlogRead, size);
    let root = prover.root(size).unwrap();
    let (mut questions, mut expected) = (Vec::new(), Vec::new());
    let mut ask = |question: String, answer: String| {
        questions.push(question);
        expected.push(answer);
    };
    let verdict = |holds: bool| if holds { "holds" } else { "refused" }.to_owned();
    let spelled = |hash: &[u8; 32]| BASE64.encode(hash);

    for entry in [&b""[..], b"entry 0", &[0; 4000], b"\x00\x01"] {
        ask(
            format!("hash {}", BASE64.encode(entry)),
            spelled(&leaf_hash(entry)),
        );
    }
    for index in [0, 1, 2, 127, 128, 254, 255, 256, 257, 298, 299] {
        let entry = entries.get(usize::try_from(index).unwrap()).unwrap();
        let proof = prover.inclusion(index).unwrap();
        let words_of = words(&proof);
        ask(format!("prove {size} {index}"), words_of.trim().to_owned());
        for (at, proof) in changed(&proof) {
            for (index, size) in [(index, size), (index ^ 1, size), (index, size - 1)] {
                let ours = verify_inclusion(&root, size, index, entry, &proof).is_ok();
                let (root, leaf) = (spelled(&root), spelled(&leaf_hash(entry)));
                let question = format!("record {size} {root} {index} {leaf}{}", words(&proof));
                // Go's panics, rather than errs, outside of the tree.
                if index < size {
                    ask(question, verdict(ours));
                    assert!(!ours || at.is_none(), "changed at {at:?}, and holds");
                }
            }
        }
    }
    for old in [1, 2, 3, 7, 128, 255, 256, 257, 299] {
        let proof = prover.consistency(old).unwrap();
        let old_root = prover.root(old).unwrap();
        ask(
            format!("follow {size} {old}"),
            words(&proof).trim().to_owned(),
        );
        for (at, proof) in changed(&proof) {
            for (old, old_root) in [(old, old_root), (old + 1, old_root), (old, root)] {
                let ours = verify_consistency(&old_root, old, &root, size, &proof).is_ok();
                let (root, old_root) = (spelled(&root), spelled(&old_root));
                ask(
                    format!("tree {size} {root} {old} {old_root}{}", words(&proof)),
                    verdict(ours),
                );
                assert!(!ours || at.is_none(), "changed at {at:?}, and holds");
            }
        }
    }
    let answers = judge(&questions);
    for ((question, answer), expected) in questions.iter().zip(&answers).zip(&expected) {
        assert_eq!(answer, expected, "{question}");
    }
    assert!(answers.iter().filter(|answer| *answer == "holds").count() >= 20);
}

/// A proof as it is, then with each hash changed, without its first and last, and with one more.
fn changed(proof: &[[u8; 32]]) -> Vec<(Option<usize>, Vec<[u8; 32]>)> {
    let mut all = vec![(None, proof.to_vec())];
    for at in 0..proof.len() {
        let mut other = proof.to_vec();
        other[at][at % 32] ^= 1;
        all.push((Some(at), other));
    }
    if let [_, rest @ ..] = proof {
        all.push((Some(0), rest.to_vec()));
        all.push((Some(0), proof[..proof.len() - 1].to_vec()));
    }
    all.push((Some(proof.len()), [proof, &[[9; 32]]].concat()));
    all
}

#[test]
fn gos_checksum_database_code_agrees_with_log_and_proofs() {
    let key = SecretKey::from_seed("ledger.example/vcn", &[7; 32]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("log");
    let size = 700_u64;
    let entries: Vec<Vec<u8>> = (0..size)
        .map(|n| format!("entry {n}").into_bytes())
        .collect();
    let mut log = Sequencer::create(&directory, &key).unwrap();
    for batch in entries.chunks(233) {
        log.append(batch, &key).unwrap();
    }

    let reader = Dir::open(&directory).unwrap();
    let mut prover = Prover::new(&reader as &dyn TlogRead, size);
    let mut proofs = String::new();
    let places = [1, 2, 3, 7, 255, 256, 257, 511, 512, 513, 698, 699];
    for index in places {
        let hashes = prover.inclusion(index).unwrap();
        write!(proofs, "record {index}").unwrap();
        hashes
            .iter()
            .for_each(|hash| write!(proofs, " {}", BASE64.encode(hash)).unwrap());
        let hashes = prover.consistency(index).unwrap();
        let old = BASE64.encode(prover.root(index).unwrap());
        write!(proofs, "\ntree {index} {old}").unwrap();
        hashes
            .iter()
            .for_each(|hash| write!(proofs, " {}", BASE64.encode(hash)).unwrap());
        proofs.push('\n');
    }

    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/go/checklog.go");
    let (said, wrong) = go(
        source,
        &[
            &directory.display().to_string(),
            &key.verifier().to_string(),
        ],
        &proofs,
    );
    assert_eq!(
        (said.as_ref(), wrong.as_ref()),
        ("700 entries, 4 tiles, 24 proofs\n", "")
    );
}
