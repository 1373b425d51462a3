//! Access to the host that a bundle asks for.
//!
//! Owns which capabilities, namespaces, devices and files are worth a word.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::bundle::{Bundle, Mount, Namespace, Spec};
use super::home::Home;
use super::reach::is_bind;
use crate::policy::facts::HostAccess;
use crate::sys::lookup::real;

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

/// The kernel's own files, which control it even where they can only be read.
const KERNEL: [&str; 2] = ["/proc", "/sys"];

/// Whoever writes here runs as root on the host before long.
const CONTROL: [&str; 10] = [
    "/etc",
    "/root",
    "/boot",
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/var/spool/cron",
    "/run/systemd",
];

/// Lists the access that a bundle asks for. What its mounts reach of the engine at `home` is
/// told elsewhere.
#[must_use]
pub fn access(bundle: &Bundle, home: &Home) -> Vec<HostAccess> {
    let spec = &bundle.spec;
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
        let linux = &spec.linux;
        let unconfined = linux.masked_paths.is_empty() || linux.readonly_paths.is_empty();
        let as_root = linux.uid_mappings.is_empty();
        found.extend((unconfined && as_root).then_some(HostAccess::SystemPaths));
    }
    found.extend(files(bundle, home));
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

fn files<'a>(bundle: &'a Bundle, home: &'a Home) -> impl Iterator<Item = HostAccess> + 'a {
    let binds = bundle.spec.mounts.iter().filter(|mount| is_bind(mount));
    binds.filter_map(move |mount| {
        let source = bundle.path.join(&mount.source);
        // Where it leads counts; what is not there is the runtime's to refuse.
        let real = real(&source).unwrap_or(source);
        let controls = !home.made(&real) && controls_host(&real, mount);
        controls.then_some(HostAccess::Files(real))
    })
}

fn controls_host(source: &Path, mount: &Mount) -> bool {
    // Engines themselves let containers see this.
    if source == Path::new("/sys/fs/cgroup") {
        return !is_read_only(mount);
    }
    let overlaps = |place: &str| source.starts_with(place) || Path::new(place).starts_with(source);
    KERNEL.iter().any(|place| overlaps(place))
        || (!is_read_only(mount) && CONTROL.iter().any(|place| overlaps(place)))
}

/// The last of `ro` and `rw` is what runtimes take.
pub(super) fn is_read_only(mount: &Mount) -> bool {
    let mut options = mount.options.iter().rev();
    options
        .find(|option| matches!(option.as_str(), "ro" | "rro" | "rw"))
        .is_some_and(|option| option != "rw")
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
    use super::{DANGEROUS, Home, access};
    use crate::engine::bundle::{Bundle, Linux, Mount, Spec, parse};
    use crate::policy::facts::HostAccess::{
        self, Capability, Device, Files, Namespace, Privileged, SystemPaths,
    };

    const OWN: &str = r#"{"type":"pid"},{"type":"network"},{"type":"ipc"},{"type":"mount"}"#;

    fn of(capabilities: &str, linux: &str) -> Vec<HostAccess> {
        let text = format!(
            r#"{{"process":{{"capabilities":{{"bounding":[{capabilities}]}}}},
            "linux":{{"maskedPaths":["/proc/kcore"],"readonlyPaths":["/proc/sys"],{linux}}}}}"#
        );
        in_spec(parse(text.as_bytes()).expect("well formed"))
    }

    fn in_spec(spec: Spec) -> Vec<HostAccess> {
        let path = "/run/bundle".into();
        access(&Bundle { path, spec }, &Home::docker("/root/docker".into()))
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
    fn files_that_control_the_host_are_access_to_it() {
        let linux = parse(
            format!(r#"{{"linux":{{"namespaces":[{OWN}],"maskedPaths":["/a"],"readonlyPaths":["/b"]}}}}"#)
                .as_bytes(),
        )
        .expect("well formed")
        .linux;
        for (source, options, controls) in [
            ("/proc", &["rbind", "ro"][..], true),
            ("/proc/sys", &["rbind"], true),
            ("/sys", &["rbind", "ro"], true),
            ("/", &["rbind", "ro"], true),
            ("/etc", &["rbind", "rw"], true),
            ("/etc/cron.d/none", &["rbind"], true),
            ("/root/.ssh/none", &["rbind"], true),
            ("/var/spool/cron", &["rbind", "ro", "rw"], true),
            ("/etc/localtime", &["rbind", "ro"], false),
            ("/etc/timezone", &["rbind", "ro"], false),
            ("/etc/ssl/certs", &["rbind", "ro"], false),
            ("/sys/fs/cgroup", &["rbind", "ro"], false),
            ("/home/none", &["rbind", "rw"], false),
            ("/etcetera", &["rbind"], false),
            ("/root/docker/containers/a/hosts", &["rbind"], false),
            ("/root/docker/volumes/v/_data", &["rbind"], false),
            ("proc", &["nosuid"], false),
        ] {
            let mount = Mount {
                source: source.into(),
                options: options.iter().map(|option| (*option).to_owned()).collect(),
                ..Mount::default()
            };
            let found = in_spec(Spec {
                mounts: vec![mount],
                linux: linux.clone(),
                ..Spec::default()
            });
            assert_eq!(
                !found.is_empty(),
                controls,
                "{source} {options:?}: {found:?}"
            );
            assert!(found.iter().all(|access| matches!(access, Files(_))));
        }
    }

    #[test]
    fn unconfined_system_paths_are_told_where_root_is_root() {
        let spec = |linux: Linux| Spec {
            linux,
            ..Spec::default()
        };
        let mapped = parse(br#"{"linux":{"uidMappings":[{}]}}"#).expect("well formed");
        assert!(in_spec(spec(Linux::default())).contains(&SystemPaths));
        assert!(!in_spec(mapped).contains(&SystemPaths));
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
