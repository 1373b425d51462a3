//! Whether the process is the one that the image's own config describes.
//!
//! Owns which variables change what code runs. Looked at only on nodes with a
//! rule about it: it costs a file more.

use std::path::Path;

use serde::Deserialize;

use super::Container;
use super::observe::is_init;
use crate::image::digest::Digest;
use crate::policy::facts::ProcessChange;
use crate::sys::file::read_capped;

/// An image's config with a long history.
const MAX_CONFIG_SIZE: u64 = 8 << 20;

/// What engines set where an image does not.
const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Variables by which linkers, shells and interpreters find code, or more arguments.
const VARIABLES: [&str; 20] = [
    "PATH",
    "GCONV_PATH",
    "GLIBC_TUNABLES",
    "LOCPATH",
    "BASH_ENV",
    "ENV",
    "SHELLOPTS",
    "PS4",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "PERL5LIB",
    "PERL5OPT",
    "RUBYLIB",
    "RUBYOPT",
    "NODE_OPTIONS",
    "NODE_PATH",
    "JAVA_TOOL_OPTIONS",
    "_JAVA_OPTIONS",
    "CLASSPATH",
];

/// The parts of an image's config that are read.
#[derive(Debug, Default, Deserialize)]
struct ImageConfig {
    #[serde(default)]
    config: Option<ImageProcess>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ImageProcess {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    env: Option<Vec<String>>,
}

/// How the process differs from what the image's config says.
#[must_use]
pub fn changes(container: &Container) -> Vec<ProcessChange> {
    let Some(image) = config(&container.image_config, &container.identity.config) else {
        return vec![ProcessChange::Unknown];
    };
    let own = [image.entrypoint, image.cmd]
        .into_iter()
        .flatten()
        .flatten();
    let own: Vec<String> = own.collect();
    let process = &container.bundle.spec.process;
    let mut changes = Vec::new();
    if own != process.args && behind_init(container).is_none_or(|args| args != own) {
        changes.push(ProcessChange::Arguments);
    }
    let its = image.env.unwrap_or_default();
    let sets_path = its.iter().any(|entry| entry.starts_with("PATH="));
    for entry in &process.env {
        let default = !sets_path && entry == DEFAULT_PATH;
        let name = entry.split('=').next().unwrap_or_default();
        if counts(name) && !default && !its.contains(entry) {
            changes.push(ProcessChange::Variable(name.to_owned()));
        }
    }
    changes
}

fn counts(name: &str) -> bool {
    name.starts_with("LD_") || name.starts_with("BASH_FUNC_") || VARIABLES.contains(&name)
}

/// The arguments after an engine's own `--init` and its `--`.
fn behind_init(container: &Container) -> Option<&[String]> {
    let spec = &container.bundle.spec;
    let (init, rest) = spec.process.args.split_first()?;
    let mount = |at: &Path| spec.mounts.iter().find(|mount| mount.destination == at);
    is_init(&mount(Path::new(init))?.source).then_some(())?;
    rest.split_first()
        .filter(|(dashes, _)| *dashes == "--")
        .map(|(_, args)| args)
}

/// The image's config, if it is at hand and really that one.
fn config(path: &Path, digest: &Digest) -> Option<ImageProcess> {
    let bytes = read_capped(path, MAX_CONFIG_SIZE).ok()?;
    if Digest::of(&bytes) != *digest {
        return None;
    }
    let config: ImageConfig = serde_json::from_slice(&bytes).ok()?;
    Some(config.config.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::counts;

    #[test]
    fn variables_that_lead_to_code_count() {
        for name in ["LD_PRELOAD", "PATH", "NODE_OPTIONS", "BASH_FUNC_ls%%"] {
            assert!(counts(name), "{name}");
        }
        for name in ["HOSTNAME", "HOME", "TERM", "APP_SETTING", "XLD_PRELOAD"] {
            assert!(!counts(name), "{name}");
        }
    }
}
