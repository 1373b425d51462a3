//! containerd: the programs and shims that its runtimes are set to.
//!
//! Owns where these settings are. Any table with a `BinaryName` or a `runtime_type` counts, wherever
//! it stands: the path to it changes with the version of the file.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::Node;
use super::check::{Check, Findings};
use super::programs::{Way, way};
use crate::sys::file::read_capped;

const MAX_SETTINGS: u64 = 4 << 20;

/// Where containerds are told so.
const FILES: [&str; 4] = [
    "/etc/containerd/config.toml",
    "/var/lib/rancher/k3s/agent/etc/containerd/config.toml",
    "/var/lib/rancher/rke2/agent/etc/containerd/config.toml",
    "/var/snap/microk8s/current/args/containerd.toml",
];

/// Where drop-ins are.
const DROP_INS: &str = "/etc/containerd/conf.d";

pub(super) fn look(node: &Node<'_>, found: &mut Findings) {
    let check = Check::ContainerdRuntimes;
    let daemons = node.daemons.iter().filter(|d| d.name == "containerd");
    let given =
        daemons.filter_map(|daemon| daemon.option("--config").or_else(|| daemon.option("-c")));
    let mut files: Vec<PathBuf> = given.map(PathBuf::from).collect();
    files.extend(FILES.iter().map(PathBuf::from));
    let drop_ins = std::fs::read_dir(DROP_INS).into_iter().flatten().flatten();
    files.extend(drop_ins.map(|entry| entry.path()));
    files.sort();
    files.dedup();
    for file in files {
        let text = match read_capped(&file, MAX_SETTINGS) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => {
                found.unseen(check, format!("'{}': {error}", file.display()));
                continue;
            }
        };
        match toml::from_str::<Table>(&text) {
            Ok(table) => settings(&file, &table, found),
            Err(error) => {
                let why = error.message();
                found.unseen(
                    check,
                    format!("'{}' cannot be parsed: {why}", file.display()),
                );
            }
        }
    }
    found.ok_unless_told(
        check,
        "containerd is set to no runtime that does not lead to the gate",
    );
}

fn settings(file: &Path, table: &Table, found: &mut Findings) {
    let check = Check::ContainerdRuntimes;
    let at = file.display();
    for (key, value) in table {
        match (key.as_str(), value) {
            ("BinaryName", Value::String(program)) if leads_round(program) => {
                let what = format!("'{at}' sets BinaryName to '{program}', which is not vcn-hook");
                let fix = format!(
                    "set it to \"/usr/libexec/vcn-hook/gate/runc\" in '{at}', then: systemctl restart containerd"
                );
                found.danger(check, what, fix);
            }
            ("runtime_type", Value::String(kind)) if is_other(kind) => {
                let what = format!("'{at}' has a runtime of type '{kind}', which calls no runc");
                let fix =
                    format!("remove that runtime from '{at}', then: systemctl restart containerd");
                found.warn(check, what, fix);
            }
            (_, Value::Table(table)) => settings(file, table, found),
            _ => {}
        }
    }
}

/// A plain name is looked up in `PATH`, and told there.
fn leads_round(program: &str) -> bool {
    program.starts_with('/') && way(Path::new(program), Path::new("/")) != Way::Gate
}

fn is_other(kind: &str) -> bool {
    !kind.is_empty() && !kind.contains("runc") && kind != "io.containerd.runtime.v1.linux"
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Findings, settings};
    use crate::doctor::Severity;

    #[test]
    fn a_program_is_found_wherever_it_is_set() {
        for (text, worst) in [
            ("version = 2", Severity::Ok),
            (
                "[a.b.options]\nBinaryName = \"/none/runc\"",
                Severity::Danger,
            ),
            ("[a.b.options]\nBinaryName = \"\"", Severity::Ok),
            (
                "[a]\nruntime_type = \"io.containerd.kata.v2\"",
                Severity::Warning,
            ),
            (
                "[a]\nruntime_type = \"io.containerd.runc.v2\"",
                Severity::Ok,
            ),
        ] {
            let mut found = Findings::default();
            let table = toml::from_str(text).expect("well formed");
            settings(Path::new("/f"), &table, &mut found);
            assert_eq!(found.worst(), worst, "{text}");
        }
    }
}
