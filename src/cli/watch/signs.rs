//! The signs that a look is due before its time: a new allowlist, new settings.
//!
//! Owns by what a file is known to be another than before.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::secrets;
use crate::config::Config;
use crate::config::watch::Secret;
use crate::sys::file::read_capped;

/// As much of a settings file as is looked through.
const MAX_SETTINGS: u64 = 4 << 20;

/// What the files were like when they were last looked at.
#[derive(Debug)]
pub(super) struct Signs {
    allowlist: Vec<Sign>,
    configuration: Vec<Sign>,
}

/// What is another than before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) allowlist: bool,
    pub(super) configuration: bool,
}

/// A file as it was: device, inode, length and time of its last change; `None` for none.
type Sign = Option<(u64, u64, u64, i64, i64)>;

impl Signs {
    pub(super) fn of(config: &Config) -> Self {
        let state = &config.state_dir;
        let allowlist = ["allowlist/note", "gate.bin"].map(|name| state.join(name));
        let mut configuration = config.files.clone();
        configuration.push(config.path.clone());
        configuration.push(config.directory().join("conf.d"));
        Self {
            allowlist: signs(&allowlist),
            configuration: signs(&configuration),
        }
    }

    /// What has changed since.
    pub(super) fn look(&mut self, config: &Config) -> Seen {
        let now = Self::of(config);
        let seen = Seen {
            allowlist: now.allowlist != self.allowlist,
            configuration: now.configuration != self.configuration,
        };
        *self = now;
        seen
    }
}

fn signs(paths: &[PathBuf]) -> Vec<Sign> {
    paths.iter().map(|path| sign(path)).collect()
}

fn sign(path: &Path) -> Sign {
    let is = std::fs::metadata(path).ok()?;
    Some((is.dev(), is.ino(), is.len(), is.ctime(), is.ctime_nsec()))
}

/// Which files have an address in them and can be read by others than root.
pub(super) fn exposed(config: &Config) -> Vec<String> {
    let mut remarks = Vec::new();
    let said: Vec<_> = secrets(config)
        .filter_map(|secret| match secret {
            Secret::Said(address) => Some(address.as_bytes()),
            Secret::File(_) => None,
        })
        .collect();
    let holds_one = |path: &&Path| {
        let text = read_capped(path, MAX_SETTINGS).unwrap_or_default();
        let mut said = said.iter().filter(|address| !address.is_empty());
        said.any(|address| text.windows(address.len()).any(|part| part == *address))
    };
    let own = secrets(config).filter_map(Secret::file);
    let said = config.files.iter().map(PathBuf::as_path).filter(holds_one);
    for path in own.chain(said) {
        if std::fs::metadata(path).is_ok_and(|is| is.mode() & 0o077 != 0) {
            remarks.push(format!(
                "'{}' can be read by others than root, and so can the address of a webhook: \
                 keep it in a file of its own ('slack_webhook_file'), mode 0600",
                path.display()
            ));
        }
    }
    remarks
}
