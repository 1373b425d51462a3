//! OpenSSH's own tools and our keys understand each other.
//!
//! Owns the round trips through `ssh-keygen`, `ssh-add` and a real `ssh-agent`,
//! which is started here, on a socket of its own, and stopped again.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test file")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use vcn_hook::trust::keys::{
    KeyError, KeyFolder, KeyReference, KeySources, Signer, generate, open, public_path, read_public,
};
use zeroize::Zeroizing;

const PASSPHRASE: &str = "correct horse";

fn nobody(_: &Path) -> Option<Zeroizing<String>> {
    None
}

fn somebody(_: &Path) -> Option<Zeroizing<String>> {
    Some(Zeroizing::new(PASSPHRASE.to_owned()))
}

fn run(command: &mut Command) -> Output {
    let output = command
        .stdin(Stdio::null())
        .output()
        .expect("install openssh-client");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Makes a key with ssh-keygen.
fn keygen(path: &Path, kind: &str, comment: &str, passphrase: &str) {
    let mut command = Command::new("ssh-keygen");
    run(command
        .args(["-q", "-t", kind, "-C", comment, "-N", passphrase, "-f"])
        .arg(path));
}

/// The public key that ssh-keygen finds in a private one, as it writes public keys.
fn public_by_keygen(path: &Path, passphrase: &str) -> String {
    let mut command = Command::new("ssh-keygen");
    let output = run(command.args(["-y", "-P", passphrase, "-f"]).arg(path));
    String::from_utf8(output.stdout).unwrap()
}

/// An ssh-agent that ends with the test.
struct Agent {
    process: Child,
    socket: PathBuf,
}

impl Agent {
    fn start(folder: &TempDir) -> Self {
        let socket = folder.path().join("agent.sock");
        let process = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .expect("install openssh-client");
        let agent = Self { process, socket };
        let deadline = Instant::now() + Duration::from_secs(30);
        while std::os::unix::net::UnixStream::connect(&agent.socket).is_err() {
            assert!(Instant::now() < deadline, "the agent did not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        agent
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("ssh-add");
        command.env("SSH_AUTH_SOCK", &self.socket).args(arguments);
        command
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn our_keys_are_read_by_ssh_keygen() {
    let folder = tempfile::tempdir().unwrap();
    for (name, passphrase) in [("plain", ""), ("encrypted", PASSPHRASE)] {
        let path = folder.path().join(name);
        let key = generate(&path, "acme-ci", Some(passphrase)).unwrap();
        let line = public_by_keygen(&path, passphrase);
        assert!(line.trim_end().ends_with(" acme-ci"), "{line}");
        let public = folder.path().join(format!("{name}-by-keygen.pub"));
        std::fs::write(&public, line).unwrap();
        assert_eq!(&read_public(&public).unwrap(), key.verifier());
    }
}

#[test]
fn keys_of_ssh_keygen_sign_for_us() {
    let folder = tempfile::tempdir().unwrap();
    for (file, comment, passphrase, name) in [
        ("plain", "acme-ci", "", "acme-ci"),
        ("mail", "ci@acme.example", "", "ci@acme.example"),
        // A comment that cannot be a name leaves the file's.
        ("release", "the release key", "", "release"),
        ("silent", "", "", "silent"),
        ("encrypted", "acme-ci", PASSPHRASE, "acme-ci"),
    ] {
        let path = folder.path().join(file);
        keygen(&path, "ed25519", comment, passphrase);
        let key = open(&path, &mut somebody).unwrap();
        assert_eq!(key.name(), name);
        let public = read_public(&public_path(&path)).unwrap();
        assert_eq!(key.verifier(), &public);
        assert!(public.verify(b"hello", &key.sign(b"hello").unwrap()));
    }
    let silent = open(&folder.path().join("encrypted"), &mut nobody);
    assert!(
        matches!(silent, Err(KeyError::PassphraseNeeded(_))),
        "{silent:?}"
    );
}

#[test]
fn every_cipher_of_ssh_keygen_is_read() {
    let folder = tempfile::tempdir().unwrap();
    for cipher in [
        "aes256-ctr",
        "aes128-cbc",
        "aes256-gcm@openssh.com",
        "chacha20-poly1305@openssh.com",
    ] {
        let path = folder.path().join(cipher);
        let mut command = Command::new("ssh-keygen");
        command.args([
            "-q", "-t", "ed25519", "-C", "acme-ci", "-N", PASSPHRASE, "-Z", cipher, "-f",
        ]);
        run(command.arg(&path));
        assert_eq!(
            open(&path, &mut somebody).unwrap().name(),
            "acme-ci",
            "{cipher}"
        );
        let wrong = open(&path, &mut |_: &Path| {
            Some(Zeroizing::new("wrong".to_owned()))
        });
        assert!(
            matches!(wrong, Err(KeyError::Passphrase(_))),
            "{cipher}: {wrong:?}"
        );
    }
}

#[test]
fn keys_of_other_algorithms_are_refused_as_such() {
    let folder = tempfile::tempdir().unwrap();
    for kind in ["rsa", "ecdsa"] {
        let path = folder.path().join(kind);
        keygen(&path, kind, "acme-ci", "");
        let refused = open(&path, &mut nobody);
        assert!(
            matches!(refused, Err(KeyError::Algorithm(..))),
            "{kind}: {refused:?}"
        );
        let refused = read_public(&public_path(&path));
        assert!(
            matches!(refused, Err(KeyError::Algorithm(..))),
            "{kind}: {refused:?}"
        );
    }
}

#[test]
fn an_agent_signs_with_our_key_and_with_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let agent = Agent::start(&folder);
    let (ours, theirs, rsa) = (
        folder.path().join("ours"),
        folder.path().join("theirs"),
        folder.path().join("rsa"),
    );
    let key = generate(&ours, "acme-ci", None).unwrap();
    keygen(&theirs, "ed25519", "a card with spaces", "");
    keygen(&rsa, "rsa", "acme-ci", "");
    for path in [&ours, &theirs, &rsa] {
        run(agent.command(&["-q"]).arg(path));
    }
    let sources = KeySources {
        folder: KeyFolder::new(folder.path()),
        agent: Some(agent.socket.clone()),
    };
    let open_key = |reference: &str| -> Result<Box<dyn Signer>, KeyError> {
        KeyReference::parse(reference)?.open(&sources, &mut nobody)
    };
    let theirs = open(&theirs, &mut nobody).unwrap();
    for (reference, expected) in [
        ("agent:acme-ci".to_owned(), key.verifier()),
        (format!("agent:{}", key.verifier()), key.verifier()),
        (format!("agent:{}", theirs.verifier()), theirs.verifier()),
    ] {
        let signer = open_key(&reference).unwrap();
        assert_eq!(signer.verifier(), expected);
        // Ed25519 is deterministic: the agent's signature is the one that the file would give.
        let message = vec![b'm'; 16 * 1024];
        let signature = signer.sign(&message).unwrap();
        assert!(expected.verify(&message, &signature));
    }

    let signer = open_key("agent:acme-ci").unwrap();
    run(&mut agent.command(&["-q", "-D"]));
    let gone = signer.sign(b"hello");
    assert!(matches!(gone, Err(KeyError::Agent(_))), "{gone:?}");
    let gone = open_key("agent:acme-ci").err();
    assert!(matches!(gone, Some(KeyError::Agent(_))), "{gone:?}");
}
