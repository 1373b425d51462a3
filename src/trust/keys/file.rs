//! Key files: OpenSSH's format for the private half, a verifier key for the public half.
//!
//! Owns docs/formats.md, "Keys". The private half is readable by ssh-keygen and
//! ssh-add, so people keep the tools they have for passphrases and agents.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use ring::rand::{SecureRandom as _, SystemRandom};
use ssh_key::private::{Ed25519Keypair, Ed25519PrivateKey, KeypairData};
use ssh_key::public::Ed25519PublicKey;
use ssh_key::{Algorithm, Cipher, Kdf, LineEnding, PrivateKey, PublicKey};
use zeroize::Zeroizing;

use super::{AskPassphrase, KeyError, SecretKey, Signer as _};
use crate::allowlist::note::VerifierKey;
use crate::sys::file;

/// The most bytes of a key file; an Ed25519 key with a long comment has a tenth of it.
const MAX_KEY_SIZE: usize = 16 * 1024;

/// bcrypt rounds for a passphrase: what ssh-keygen has taken since OpenSSH 9.4.
const ROUNDS: u32 = 24;

/// The most rounds that are waited for, about a minute of them: a file may ask for a year.
const MAX_ROUNDS: u32 = 4096;

/// Opens a private key. Its name is its comment, or the file's name if that cannot be a name.
///
/// # Errors
/// [`KeyError`]: unreadable, readable by others, not Ed25519, or its passphrase is not to be had.
pub fn open(path: &Path, passphrase: &mut dyn AskPassphrase) -> Result<SecretKey, KeyError> {
    parse_private(path, &read_private(path)?, passphrase)
}

/// Parses a private key that was read from `path`, which names it where its comment does not.
///
/// # Errors
/// As [`open`].
pub fn parse_private(
    path: &Path,
    bytes: &[u8],
    passphrase: &mut dyn AskPassphrase,
) -> Result<SecretKey, KeyError> {
    let parsed = PrivateKey::from_openssh(bytes).map_err(|error| match error {
        ssh_key::Error::AlgorithmUnknown => {
            KeyError::Algorithm(path.to_owned(), "unknown".to_owned())
        }
        ssh_key::Error::AlgorithmUnsupported { algorithm } => {
            KeyError::Algorithm(path.to_owned(), algorithm.to_string())
        }
        _ => KeyError::Format(path.to_owned(), "not an OpenSSH private key"),
    })?;
    if parsed.algorithm() != Algorithm::Ed25519 {
        let found = parsed.algorithm().to_string();
        return Err(KeyError::Algorithm(path.to_owned(), found));
    }
    let key = if parsed.is_encrypted() {
        if matches!(parsed.kdf(), Kdf::Bcrypt { rounds, .. } if *rounds > MAX_ROUNDS) {
            let what =
                "its passphrase takes more than 4096 rounds to check; see 'ssh-keygen -p -a'";
            return Err(KeyError::Format(path.to_owned(), what));
        }
        let secret = passphrase
            .ask(path)
            .ok_or_else(|| KeyError::PassphraseNeeded(path.to_owned()))?;
        let decrypted = parsed.decrypt(secret.as_bytes());
        decrypted.map_err(|_| KeyError::Passphrase(path.to_owned()))?
    } else {
        parsed
    };
    let Some(pair) = key.key_data().ed25519() else {
        return Err(KeyError::Format(path.to_owned(), "its halves differ"));
    };
    let seed = Zeroizing::new(pair.private.to_bytes());
    let secret = SecretKey::from_seed(key.comment(), &seed)
        .or_else(|_| SecretKey::from_seed(&file_name(path), &seed))?;
    if *secret.verifier().public() != pair.public.0 {
        return Err(KeyError::Format(path.to_owned(), "its halves differ"));
    }
    Ok(secret)
}

/// Makes a key: the private half at `path` with mode 0600, the public half beside it in
/// `<path>.pub`. Missing folders are made for their owner alone. An empty passphrase is none.
///
/// # Errors
/// [`KeyError`]; existing files are never overwritten, and nothing half-made is left.
pub fn generate(path: &Path, name: &str, passphrase: Option<&str>) -> Result<SecretKey, KeyError> {
    let mut seed = Zeroizing::new([0_u8; 32]);
    random(&mut *seed)?;
    let key = SecretKey::from_seed(name, &seed)?;
    let mut salt = [0_u8; 20];
    random(&mut salt)?;
    let passphrase = passphrase.filter(|text| !text.is_empty());
    let text = encode(&key, &seed, passphrase, salt)
        .map_err(|_| KeyError::Format(path.to_owned(), "it cannot be encoded"))?;
    let public = public_path(path);
    if public.symlink_metadata().is_ok() {
        return Err(KeyError::Exists(public));
    }
    if let Some(folder) = path.parent() {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| KeyError::Write(folder.to_owned(), error))?;
    }
    write_new(path, text.as_bytes(), 0o600)?;
    let line = format!("{}\n", key.verifier());
    write_new(&public, line.as_bytes(), 0o644).inspect_err(|_| {
        // Best effort: a private half without its public one would only be in the way of a retry.
        let _ = std::fs::remove_file(path);
    })?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    file::sync_directory(folder.unwrap_or_else(|| Path::new(".")))
        .map_err(|error| KeyError::Write(path.to_owned(), error))?;
    Ok(key)
}

/// Reads a public key: a verifier key as [`generate`] writes it, or a line as ssh-keygen does.
///
/// # Errors
/// [`KeyError`] when it cannot be read or is neither.
pub fn read_public(path: &Path) -> Result<VerifierKey, KeyError> {
    let bytes = file::read_capped(path, MAX_KEY_SIZE as u64)
        .map_err(|error| KeyError::Read(path.to_owned(), error))?;
    parse_public(path, &bytes)
}

/// Parses a public key that was read from `path`, which names it where its comment does not.
///
/// # Errors
/// As [`read_public`].
pub fn parse_public(path: &Path, bytes: &[u8]) -> Result<VerifierKey, KeyError> {
    let format = || KeyError::Format(path.to_owned(), "not a public key");
    let text = std::str::from_utf8(bytes).map_err(|_| format())?.trim_end();
    if let Ok(key) = text.parse() {
        return Ok(key);
    }
    let key = PublicKey::from_openssh(text).map_err(|_| match text.split(' ').next() {
        // Types that the parser was built without are named by the line itself.
        Some(kind) if kind.starts_with("ecdsa-") || kind.starts_with("sk-") => {
            KeyError::Algorithm(path.to_owned(), kind.to_owned())
        }
        _ => format(),
    })?;
    let Some(public) = key.key_data().ed25519() else {
        let found = key.algorithm().to_string();
        return Err(KeyError::Algorithm(path.to_owned(), found));
    };
    VerifierKey::new(key.comment(), public.0)
        .or_else(|_| VerifierKey::new(&file_name(&path.with_extension("")), public.0))
        .map_err(KeyError::Name)
}

/// Where the public half of the key at `path` is: `<path>.pub`.
#[must_use]
pub fn public_path(path: &Path) -> PathBuf {
    let mut public = OsString::from(path);
    public.push(".pub");
    public.into()
}

fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let read = |error| KeyError::Read(path.to_owned(), error);
    // Secrets are often mounted as links; whoever names the key may name a link.
    let target = std::fs::canonicalize(path).map_err(read)?;
    let file = file::open_regular(&target).map_err(read)?;
    let metadata = file.metadata().map_err(read)?;
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Mode(path.to_owned(), mode));
    }
    if metadata.len() > MAX_KEY_SIZE as u64 {
        return Err(KeyError::Format(path.to_owned(), "too long"));
    }
    // Reserved at once: a buffer that grows leaves copies of the secret behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_KEY_SIZE));
    file.take(MAX_KEY_SIZE as u64)
        .read_to_end(&mut bytes)
        .map_err(read)?;
    Ok(bytes)
}

/// Spends four bytes of `salt` on the check number by which a wrong passphrase is told from a right one.
fn encode(
    key: &SecretKey,
    seed: &[u8; 32],
    passphrase: Option<&str>,
    salt: [u8; 20],
) -> Result<Zeroizing<String>, ssh_key::Error> {
    let pair = Ed25519Keypair {
        public: Ed25519PublicKey(*key.verifier().public()),
        private: Ed25519PrivateKey::from_bytes(seed),
    };
    let private = PrivateKey::new(KeypairData::Ed25519(pair), key.name())?;
    let Some(passphrase) = passphrase else {
        return private.to_openssh(LineEnding::LF);
    };
    let [a, b, c, d, salt @ ..] = salt;
    let kdf = Kdf::Bcrypt {
        salt: salt.to_vec(),
        rounds: ROUNDS,
    };
    let check = u32::from_be_bytes([a, b, c, d]);
    let private = private.encrypt_with(Cipher::Aes256Ctr, kdf, check, passphrase)?;
    private.to_openssh(LineEnding::LF)
}

fn random(bytes: &mut [u8]) -> Result<(), KeyError> {
    SystemRandom::new()
        .fill(bytes)
        .map_err(|_| KeyError::Random)
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), KeyError> {
    file::write_new(path, bytes, mode).map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            return KeyError::Exists(path.to_owned());
        }
        // Best effort: it is ours, and half a key is none.
        let _ = std::fs::remove_file(path);
        KeyError::Write(path.to_owned(), error)
    })
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
