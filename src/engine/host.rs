//! Access to the host that a bundle asks for.
//!
//! Owns which capabilities, namespaces and devices are worth a word.

use std::os::unix::fs::MetadataExt as _;

use super::bundle::{Namespace, Spec};
use crate::policy::facts::HostAccess;

/// With any of these, root in the container is root on the host, by a known and short way.
const DANGEROUS: [&str; 10] = [
    "CAP_SYS_ADMIN",
    "CAP_SYS_MODULE",
    "CAP_SYS_PTRACE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_BOOT",
    "CAP_DAC_READ_SEARCH",
    "CAP_BPF",
    "CAP_PERFMON",
    "CAP_MAC_ADMIN",
    "CAP_NET_ADMIN",
];

/// The namespaces that containers have of their own, and their names below `/proc/self/ns`.
/// `user`, `uts` and `cgroup` are the host's in ordinary containers too.
const NAMESPACES: [(&str, &str); 4] = [
    ("pid", "pid"),
    ("network", "net"),
    ("ipc", "ipc"),
    ("mount", "mnt"),
];

/// Devices that every container has.
const HARMLESS: [&str; 9] = [
    "null", "zero", "full", "random", "urandom", "tty", "console", "ptmx", "pts",
];

/// Lists the access that a bundle asks for, mounts aside.
#[must_use]
pub fn access(spec: &Spec) -> Vec<HostAccess> {
    let mut found = Vec::new();
    let capabilities = &spec.process.capabilities.bounding;
    let dangerous = || {
        DANGEROUS
            .iter()
            .filter(|name| capabilities.iter().any(|c| c == **name))
    };
    let all_devices = spec.linux.resources.devices.iter().any(|rule| {
        let everything = rule.major.is_none_or(|n| n < 0) && rule.minor.is_none_or(|n| n < 0);
        // `mknod` alone makes nodes that cannot be opened.
        rule.allow && everything && rule.access.contains(['r', 'w'])
    });
    // What else `--privileged` adds depends on the engine's age.
    let privileged = all_devices && dangerous().any(|name| *name == "CAP_SYS_ADMIN");
    if privileged {
        found.push(HostAccess::Privileged);
    } else {
        found.extend(dangerous().map(|name| HostAccess::Capability((*name).to_owned())));
        found.extend(all_devices.then(|| HostAccess::Device("*".to_owned())));
        found.extend(devices(spec));
    }
    found.extend(namespaces(&spec.linux.namespaces));
    found
}

fn devices(spec: &Spec) -> impl Iterator<Item = HostAccess> {
    let paths = spec.linux.devices.iter().map(|device| &device.path);
    paths
        .filter(|path| {
            !HARMLESS.iter().any(|name| {
                path.strip_prefix("/dev")
                    .is_ok_and(|p| p.as_os_str() == *name)
            })
        })
        .map(|path| HostAccess::Device(path.display().to_string()))
}

fn namespaces(own: &[Namespace]) -> impl Iterator<Item = HostAccess> {
    NAMESPACES.into_iter().filter_map(|(kind, file)| {
        let entry = own.iter().find(|namespace| namespace.kind == kind);
        let is_hosts = match entry {
            None => true,
            Some(namespace) if namespace.path.is_empty() => false,
            Some(namespace) => is_ours(&namespace.path, file),
        };
        is_hosts.then_some(HostAccess::Namespace(kind))
    })
}

/// Whether a namespace that is joined is the one that the gate itself, and so the engine, is in.
/// One that cannot be looked at is told as the host's: it is the safer of the two.
fn is_ours(path: &str, file: &str) -> bool {
    let theirs = std::fs::metadata(path);
    let ours = std::fs::metadata(format!("/proc/self/ns/{file}"));
    match (theirs, ours) {
        (Ok(theirs), Ok(ours)) => (theirs.dev(), theirs.ino()) == (ours.dev(), ours.ino()),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::{DANGEROUS, access};
    use crate::engine::bundle::parse;
    use crate::policy::facts::HostAccess::{Capability, Device, Namespace, Privileged};

    const OWN: &str = r#"{"type":"pid"},{"type":"network"},{"type":"ipc"},{"type":"mount"}"#;

    fn of(capabilities: &str, linux: &str) -> Vec<crate::policy::facts::HostAccess> {
        let text = format!(
            r#"{{"process":{{"capabilities":{{"bounding":[{capabilities}]}}}},"linux":{{{linux}}}}}"#
        );
        access(&parse(text.as_bytes()).expect("well formed"))
    }

    #[test]
    fn an_ordinary_container_has_none() {
        let linux = format!(
            r#""namespaces":[{OWN}],"devices":[{{"path":"/dev/null"}}],"resources":{{"devices":[
            {{"allow":false,"access":"rwm"}},{{"allow":true,"type":"c","access":"m"}},
            {{"allow":true,"type":"c","major":1,"minor":5,"access":"rwm"}}]}}"#
        );
        assert_eq!(of(r#""CAP_CHOWN","CAP_NET_RAW""#, &linux), []);
    }

    #[test]
    fn names_each_kind_of_access() {
        let linux = r#""namespaces":[{"type":"network","path":"/proc/self/ns/net"},{"type":"ipc"},{"type":"mount"}],
            "devices":[{"path":"/dev/sda"}]"#;
        assert_eq!(
            of(r#""CAP_SYS_ADMIN""#, linux),
            [
                Capability("CAP_SYS_ADMIN".to_owned()),
                Device("/dev/sda".to_owned()),
                Namespace("pid"),
                Namespace("network"),
            ]
        );
    }

    #[test]
    fn privileged_is_one_word() {
        let all = DANGEROUS.map(|name| format!("\"{name}\"")).join(",");
        let linux = format!(
            r#""namespaces":[{OWN}],"devices":[{{"path":"/dev/sda"}}],"resources":{{"devices":[{{"allow":true,"access":"rwm"}}]}}"#
        );
        assert_eq!(of(&all, &linux), [Privileged]);
    }
}
