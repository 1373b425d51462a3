use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ssh_key::private::{KeypairData, SkEd25519};
use ssh_key::{LineEnding, PrivateKey};
use zeroize::Zeroizing;

use super::{
    CommandKey, KeyError, KeyFolder, KeyReference, KeySources, SecretKey, Signer, generate, open,
    parse_private, public_path, read_public,
};
use crate::sys::file::read_capped;

fn nobody(_: &Path) -> Option<Zeroizing<String>> {
    None
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn names(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect()
}

#[test]
fn a_seed_gives_the_key_and_signature_of_rfc_8032() {
    // RFC 8032, section 7.1, test 1: the empty message.
    let seed = hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    let key = SecretKey::from_seed("test", &seed.try_into().unwrap()).unwrap();
    assert_eq!(
        key.verifier().public().to_vec(),
        hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    );
    assert_eq!(
        key.sign(b"").unwrap().to_vec(),
        hex(concat!(
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155",
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ))
    );
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

#[test]
fn a_new_key_is_its_owners_alone_and_opens_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/keys/default");
    let made = generate(&path, "acme-ci", None).unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(mode(&public_path(&path)), 0o644);
    let opened = open(&path, &mut nobody).unwrap();
    assert_eq!(opened.verifier(), made.verifier());
    assert_eq!(opened.name(), "acme-ci");
    let public = String::from_utf8(read_capped(&public_path(&path), 1000).unwrap()).unwrap();
    assert_eq!(public, format!("{}\n", made.verifier()));
    assert_eq!(&read_public(&public_path(&path)).unwrap(), made.verifier());
    assert_eq!(opened.sign(b"x").unwrap(), made.sign(b"x").unwrap());
}

#[test]
fn a_passphrase_is_asked_for_and_must_be_right() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("default");
    let made = generate(&path, "acme-ci", Some("correct horse")).unwrap();
    let answer = |text: &'static str| {
        let expected = path.clone();
        move |asked: &Path| {
            assert_eq!(asked, expected);
            Some(Zeroizing::new(text.to_owned()))
        }
    };
    let opened = open(&path, &mut answer("correct horse")).unwrap();
    assert_eq!(
        (opened.verifier(), opened.name()),
        (made.verifier(), "acme-ci")
    );
    let wrong = open(&path, &mut answer("battery staple"));
    assert!(matches!(wrong, Err(KeyError::Passphrase(_))), "{wrong:?}");
    let empty = open(&path, &mut answer(""));
    assert!(matches!(empty, Err(KeyError::Passphrase(_))), "{empty:?}");
    let silent = open(&path, &mut nobody);
    assert!(
        matches!(silent, Err(KeyError::PassphraseNeeded(_))),
        "{silent:?}"
    );
}

#[test]
fn a_key_that_others_can_read_is_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("default");
    generate(&path, "acme-ci", None).unwrap();
    for others in [0o640, 0o604, 0o620, 0o601, 0o644, 0o777] {
        set_mode(&path, others);
        assert_eq!(
            open(&path, &mut nobody).unwrap_err().to_string(),
            format!(
                "key '{0}' has mode {others:04o}, so others can use it; run 'chmod 600 {0}'",
                path.display()
            )
        );
    }
    for own in [0o600, 0o400] {
        set_mode(&path, own);
        assert_eq!(open(&path, &mut nobody).unwrap().name(), "acme-ci");
    }
}

#[test]
fn a_key_may_be_a_link_to_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("real");
    generate(&path, "acme-ci", None).unwrap();
    let link = folder.path().join("link");
    symlink("real", &link).unwrap();
    assert_eq!(open(&link, &mut nobody).unwrap().name(), "acme-ci");
}

#[test]
fn keys_are_never_overwritten_and_never_half_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("default");
    let made = generate(&path, "acme-ci", None).unwrap();
    let again = generate(&path, "acme-ci", None);
    assert!(matches!(again, Err(KeyError::Exists(_))), "{again:?}");
    fs::remove_file(public_path(&path)).unwrap();
    let again = generate(&path, "acme-ci", None);
    assert!(matches!(again, Err(KeyError::Exists(_))), "{again:?}");
    assert_eq!(
        open(&path, &mut nobody).unwrap().verifier(),
        made.verifier()
    );

    let other = folder.path().join("other");
    fs::write(public_path(&other), "somebody's").unwrap();
    let beside = generate(&other, "acme-ci", None);
    assert!(matches!(beside, Err(KeyError::Exists(_))), "{beside:?}");
    assert!(!other.exists());
    let unnamed = generate(&folder.path().join("third"), "two words", None);
    assert!(matches!(unnamed, Err(KeyError::Name(_))), "{unnamed:?}");
    assert_eq!(names(folder.path()).len(), 2);
}

#[test]
fn what_is_no_key_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let good = {
        let good = folder.path().join("good");
        generate(&good, "acme-ci", None).unwrap();
        String::from_utf8(read_capped(&good, 10_000).unwrap()).unwrap()
    };
    let middle = good.len() / 2;
    for text in [
        String::new(),
        "hello".to_owned(),
        "-----BEGIN PRIVATE KEY-----\nMC4CAQ==\n-----END PRIVATE KEY-----\n".to_owned(),
        good[..middle].to_owned(),
        "x".repeat(20_000),
    ] {
        fs::write(&path, &text).unwrap();
        set_mode(&path, 0o600);
        let opened = open(&path, &mut nobody);
        assert!(
            matches!(opened, Err(KeyError::Format(..))),
            "{text}: {opened:?}"
        );
    }
    for missing in ["missing", "."] {
        let opened = open(&folder.path().join(missing), &mut nobody);
        assert!(
            matches!(opened, Err(KeyError::Read(..) | KeyError::Mode(..))),
            "{missing}: {opened:?}"
        );
    }
}

#[test]
fn a_file_whose_halves_differ_is_refused() {
    use ssh_key::private::{Ed25519Keypair, Ed25519PrivateKey};
    use ssh_key::public::Ed25519PublicKey;
    let pair = Ed25519Keypair {
        public: Ed25519PublicKey(
            *SecretKey::from_seed("x", &[1; 32])
                .unwrap()
                .verifier()
                .public(),
        ),
        private: Ed25519PrivateKey::from_bytes(&[2; 32]),
    };
    let opened = open_made(KeypairData::Ed25519(pair));
    assert!(
        matches!(opened, Err(KeyError::Format(_, "its halves differ"))),
        "{opened:?}"
    );
}

#[test]
fn a_file_that_asks_for_a_year_of_rounds_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slow");
    generate(&path, "slow", Some("secret")).unwrap();
    let text = String::from_utf8(read_capped(&path, 4096).unwrap()).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    let (first, last) = (lines.remove(0), lines.pop().unwrap());
    let mut bytes = BASE64.decode(lines.concat()).unwrap();
    // The last field of the bcrypt options: salt of 16 bytes, then the rounds.
    let rounds = b"bcrypt".len() + 4 + 4 + 16;
    let at = bytes.windows(6).position(|part| part == b"bcrypt").unwrap() + rounds;
    assert_eq!(bytes[at..at + 4], 24_u32.to_be_bytes());
    bytes[at..at + 4].copy_from_slice(&u32::MAX.to_be_bytes());
    let encoded = BASE64.encode(bytes);
    let lines = encoded.as_bytes().chunks(70).map(String::from_utf8_lossy);
    let text = format!(
        "{first}\n{}\n{last}\n",
        lines.collect::<Vec<_>>().join("\n")
    );
    let refused = parse_private(&path, text.as_bytes(), &mut |_: &Path| {
        panic!("nobody is asked")
    });
    assert!(matches!(refused, Err(KeyError::Format(_, what)) if what.contains("rounds")));
}

#[test]
fn a_security_key_is_refused_by_its_type() {
    use ssh_key::public::{Ed25519PublicKey, SkEd25519 as Public};
    let public = Public::new(Ed25519PublicKey([3; 32]), "ssh:");
    let key = SkEd25519::new(public, 1, vec![0_u8; 32]).unwrap();
    let Err(KeyError::Algorithm(_, found)) = open_made(KeypairData::SkEd25519(key)) else {
        panic!("not refused by its type");
    };
    assert_eq!(found, "sk-ssh-ed25519@openssh.com");
}

fn open_made(data: KeypairData) -> Result<SecretKey, KeyError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let key = PrivateKey::new(data, "acme-ci").unwrap();
    fs::write(&path, key.to_openssh(LineEnding::LF).unwrap().as_bytes()).unwrap();
    set_mode(&path, 0o600);
    open(&path, &mut nobody)
}

#[test]
fn references_say_how_a_key_is_reached() {
    let key = SecretKey::from_seed("acme-ci", &[7; 32])
        .unwrap()
        .verifier()
        .clone();
    for (text, expected) in [
        ("default".to_owned(), KeyReference::File("default".into())),
        ("./exec".to_owned(), KeyReference::File("./exec".into())),
        (
            "agent:acme ci".to_owned(),
            KeyReference::Agent("acme ci".to_owned()),
        ),
        (
            format!("exec:{key} sign --with 'x y'"),
            KeyReference::Command(key.clone(), "sign --with 'x y'".to_owned()),
        ),
    ] {
        assert_eq!(KeyReference::parse(&text).unwrap(), expected);
    }
    for text in [
        "agent:".to_owned(),
        "exec:".to_owned(),
        "exec:sign".to_owned(),
        "exec:sign me".to_owned(),
        format!("exec:{key}"),
        format!("exec:{key} "),
    ] {
        let parsed = KeyReference::parse(&text);
        assert!(
            matches!(parsed, Err(KeyError::Reference(_))),
            "{text}: {parsed:?}"
        );
    }
}

#[test]
fn a_bare_name_is_first_a_key_of_the_folder() {
    let root = tempfile::tempdir().unwrap();
    let folder = KeyFolder::new(root.path().join("keys"));
    assert_eq!(folder.list().unwrap(), []);
    let made = generate(&folder.key("default"), "acme-ci", None).unwrap();
    let sources = KeySources {
        folder: folder.clone(),
        agent: None,
    };
    let opened = KeyReference::parse("default")
        .unwrap()
        .open(&sources, &mut nobody)
        .unwrap();
    assert_eq!(opened.verifier(), made.verifier());
    assert_eq!(folder.find(Path::new("./default")), Path::new("./default"));
    assert_eq!(folder.find(Path::new("missing")), folder.key("missing"));
    let agent = KeyReference::parse("agent:acme-ci")
        .unwrap()
        .open(&sources, &mut nobody)
        .err();
    assert!(matches!(agent, Some(KeyError::NoAgent)), "{agent:?}");

    generate(&folder.key("another"), "beta", None).unwrap();
    fs::write(folder.key("stray.pub"), "no key").unwrap();
    fs::write(folder.key("note.txt"), "no key").unwrap();
    let listed: Vec<_> = folder
        .list()
        .unwrap()
        .into_iter()
        .map(|key| (key.path, key.public.name().to_owned()))
        .collect();
    assert_eq!(
        listed,
        [
            (folder.key("another"), "beta".to_owned()),
            (folder.key("default"), "acme-ci".to_owned())
        ]
    );
}

/// A command that gives out `bytes`, and the key that signs.
fn command(script: &str) -> CommandKey {
    let key = SecretKey::from_seed("acme-ci", &[7; 32]).unwrap();
    CommandKey::new(key.verifier().clone(), script)
}

#[test]
fn a_command_signs_what_it_reads() {
    let folder = tempfile::tempdir().unwrap();
    let key = SecretKey::from_seed("acme-ci", &[7; 32]).unwrap();
    // Larger than a pipe holds, so that nobody may wait for the other.
    let message = vec![b'm'; 300_000];
    let signature = key.sign(&message).unwrap();
    let (heard, said) = (folder.path().join("heard"), folder.path().join("said"));
    fs::write(&said, signature).unwrap();
    let command = command(&format!(
        "cat > {} && cat {}",
        heard.display(),
        said.display()
    ));
    assert_eq!(command.sign(&message).unwrap(), signature);
    assert_eq!(read_capped(&heard, 1 << 20).unwrap(), message);
}

#[test]
fn a_command_that_does_not_sign_is_refused() {
    let short = "did not write the 64 bytes of a signature";
    let (patient, hurried) = (Duration::from_mins(2), Duration::from_millis(100));
    for (script, patience, why) in [
        ("true", patient, short),
        ("printf %063d 0", patient, short),
        ("printf %065d 0", patient, short),
        ("yes", patient, "failed"),
        ("printf %064d 0; exit 3", patient, "failed"),
        ("/nonexistent/signer 2> /dev/null", patient, "failed"),
        ("exec sleep 10", hurried, "took too long"),
        ("exec 1>&-; exec sleep 10", hurried, "took too long"),
    ] {
        let signed = command(script).with_patience(patience).sign(b"x");
        let Err(KeyError::Command(_, found)) = signed else {
            panic!("{script}: {signed:?}");
        };
        assert_eq!(found, why, "{script}");
    }
    let signed = command("printf %064d 0").sign(b"x");
    assert!(matches!(signed, Err(KeyError::Signature)), "{signed:?}");
}
