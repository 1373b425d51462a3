//! The log and its proofs hold by Go's checksum-database code, which shares no line with ours.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "test code")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use vcn_hook::ledger::client::{Dir, TlogRead};
use vcn_hook::ledger::proof::Prover;
use vcn_hook::ledger::sequencer::Sequencer;
use vcn_hook::trust::keys::{SecretKey, Signer as _};

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
    let mut check = Command::new("go")
        .args(["run", source])
        .arg(&directory)
        .arg(key.verifier().to_string())
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
    check
        .stdin
        .take()
        .unwrap()
        .write_all(proofs.as_bytes())
        .unwrap();
    let output = check.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        (said.as_ref(), wrong.as_ref()),
        ("700 entries, 24 proofs\n", "")
    );
}
