//! Key files and an agent's answers.

use std::path::Path;

use vcn_hook::allowlist::note::VerifierKey;
use vcn_hook::trust::agent::{parse_identities, parse_signature};
use vcn_hook::trust::keys::{KeyReference, Signer as _, parse_private, parse_public};

use super::Target;

pub const KEYS: Target = Target {
    words: &[
        "-----BEGIN OPENSSH PRIVATE KEY-----\n",
        "-----END OPENSSH PRIVATE KEY-----\n",
        "ssh-ed25519",
        "ssh-rsa",
        "ecdsa-sha2-nistp256",
        "sk-ssh-ed25519@openssh.com",
        "none",
        "bcrypt",
        "aes256-ctr",
        "AAAAC3NzaC1lZDI1NTE5AAAAI",
        "\0\0\0\u{b}ssh-ed25519",
        "\0\0\0 ",
        "\0\0\0@",
        "agent:",
        "exec:",
    ],
    ..Target::new(
        "keys",
        "key files, public and private, and an agent's answers",
        keys,
    )
};

fn keys(bytes: &[u8]) -> bool {
    let path = Path::new("/keys/some-name");
    let mut accepted = false;
    // Nobody is asked: a passphrase costs what its file says, see the unit tests of keys::file.
    if let Ok(key) = parse_private(path, bytes, &mut |_: &Path| None) {
        let signature = key.sign(b"message").expect("a key that was read signs");
        assert!(
            key.verifier().verify(b"message", &signature),
            "its halves differ"
        );
        accepted = true;
    }
    if let Ok(key) = parse_public(path, bytes) {
        assert_eq!(key.to_string().parse::<VerifierKey>().as_ref(), Ok(&key));
        accepted = true;
    }
    if let Ok(listed) = parse_identities(bytes) {
        assert!(listed.len() * 40 <= bytes.len(), "more keys than bytes");
        accepted = true;
    }
    if let Ok(signature) = parse_signature(bytes) {
        assert!(bytes.ends_with(&signature));
        accepted = true;
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = KeyReference::parse(text);
    }
    accepted
}
