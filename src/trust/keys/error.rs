//! Why a key cannot be used, and what to do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::allowlist::note::NoteError;
use crate::trust::agent::AgentError;

/// Why a key cannot be used.
#[derive(Debug)]
pub enum KeyError {
    /// There is neither `XDG_CONFIG_HOME` nor `HOME` to look for keys in.
    NoFolder,
    /// There is no `SSH_AUTH_SOCK`.
    NoAgent,
    /// A file cannot be read.
    Read(PathBuf, io::Error),
    /// A file cannot be written.
    Write(PathBuf, io::Error),
    /// A key is not overwritten.
    Exists(PathBuf),
    /// Others can read the private key.
    Mode(PathBuf, u32),
    /// The file is no key; says what is wrong with it.
    Format(PathBuf, &'static str),
    /// A key of another algorithm.
    Algorithm(PathBuf, String),
    /// The key is encrypted and there is nobody to ask.
    PassphraseNeeded(PathBuf),
    /// The passphrase is not the key's.
    Passphrase(PathBuf),
    /// The key's name cannot be a name.
    Name(NoteError),
    /// `--key` is not written as it should be; says how.
    Reference(&'static str),
    /// The ssh-agent did not sign.
    Agent(AgentError),
    /// The command did not sign; says why.
    Command(String, &'static str),
    /// The command cannot be run.
    Run(String, io::Error),
    /// The operating system gives no random numbers.
    Random,
    /// What came back is not the key's signature.
    Signature,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFolder => f.write_str("no key folder: neither XDG_CONFIG_HOME nor HOME is set"),
            Self::NoAgent => f.write_str("no ssh-agent: SSH_AUTH_SOCK is not set"),
            Self::Read(path, _) => write!(f, "cannot read key '{}'", path.display()),
            Self::Write(path, _) => write!(f, "cannot write key '{}'", path.display()),
            Self::Exists(path) => {
                write!(
                    f,
                    "'{}' exists, and keys are not overwritten",
                    path.display()
                )
            }
            Self::Mode(path, mode) => write!(
                f,
                "key '{0}' has mode {mode:04o}, so others can use it; run 'chmod 600 {0}'",
                path.display()
            ),
            Self::Format(path, what) => write!(f, "'{}' is no key file: {what}", path.display()),
            Self::Algorithm(path, found) => write!(
                f,
                "key '{}' is of type '{}'; only ssh-ed25519 is supported \
                 (make one with 'vcn-hook keygen' or 'ssh-keygen -t ed25519')",
                path.display(),
                found.escape_debug()
            ),
            Self::PassphraseNeeded(path) => write!(
                f,
                "key '{}' has a passphrase; set VCN_NOTARIZATION_PASSWORD or use a terminal",
                path.display()
            ),
            Self::Passphrase(path) => {
                write!(f, "the passphrase of key '{}' is wrong", path.display())
            }
            Self::Name(_) => f.write_str("the key's name cannot be used"),
            Self::Reference(form) => write!(f, "no such key: {form}"),
            Self::Agent(_) => f.write_str("the ssh-agent did not sign"),
            Self::Command(command, why) => {
                write!(f, "the signing command '{}' {why}", command.escape_debug())
            }
            Self::Run(command, _) => {
                write!(
                    f,
                    "cannot run the signing command '{}'",
                    command.escape_debug()
                )
            }
            Self::Random => f.write_str("the operating system gives no random numbers"),
            Self::Signature => f.write_str("the signature that came back is not the key's"),
        }
    }
}

impl std::error::Error for KeyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read(_, error) | Self::Write(_, error) | Self::Run(_, error) => Some(error),
            Self::Name(error) => Some(error),
            Self::Agent(error) => Some(error),
            Self::NoFolder
            | Self::NoAgent
            | Self::Exists(_)
            | Self::Mode(..)
            | Self::Format(..)
            | Self::Algorithm(..)
            | Self::PassphraseNeeded(_)
            | Self::Passphrase(_)
            | Self::Reference(_)
            | Self::Command(..)
            | Self::Random
            | Self::Signature => None,
        }
    }
}
