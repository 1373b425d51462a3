//! Docker: its default runtime, the others that a client may name, those that its containers keep, and
//! that of builds.
//!
//! Owns what daemon.json, dockerd's options and each container's hostconfig.json say. `runc` and the
//! names of containerd's runc shims are always there and mean whatever is in `PATH`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Node;
use super::check::{Check, Findings};
use super::daemons::Daemon;
use super::programs::{Way, way};
use super::starts::some;
use crate::sys::file::read_capped;

const DAEMON_JSON: &str = "/etc/docker/daemon.json";
const MAX_SETTINGS: u64 = 4 << 20;
const MAX_CONTAINER: u64 = 16 << 20;

/// What every dockerd calls runc, whatever it is told.
const RUNC: [&str; 3] = [
    "runc",
    "io.containerd.runc.v2",
    "io.containerd.runtime.v1.linux",
];

/// The parts of daemon.json that name a runtime.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Settings {
    default_runtime: Option<String>,
    runtimes: BTreeMap<String, Runtime>,
}

/// One of `runtimes`.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Runtime {
    path: Option<String>,
    runtime_type: Option<String>,
    options: Options,
}

#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Options {
    #[serde(rename = "BinaryName")]
    binary_name: Option<String>,
}

/// The runtimes of one dockerd.
struct Runtimes<'a> {
    daemon: &'a Daemon,
    default: String,
    named: BTreeMap<String, Runtime>,
    /// Where they are written down.
    path: PathBuf,
}

/// Where a runtime leads, and what it is.
struct Led {
    way: Way,
    program: String,
}

pub(super) fn look(node: &Node<'_>, found: &mut Findings) {
    let daemons = node
        .daemons
        .iter()
        .filter(|daemon| daemon.name == "dockerd");
    let running: Vec<_> = daemons.collect();
    // One that does not run now may be started.
    let is_here = Path::new("/usr/bin/dockerd").exists() || Path::new("/usr/sbin/dockerd").exists();
    let stopped = node
        .daemons
        .first()
        .filter(|_| running.is_empty() && is_here);
    for daemon in running.into_iter().chain(stopped) {
        let runtimes = match Runtimes::of(daemon) {
            Ok(runtimes) => runtimes,
            Err((path, why)) => {
                let what = format!("'{}' cannot be read: {why}", path.display());
                found.unseen(Check::DockerDefaultRuntime, what);
                continue;
            }
        };
        default(&runtimes, found);
        others(&runtimes, found);
        builds(daemon, found);
        containers(node, &runtimes, found);
    }
}

fn default(runtimes: &Runtimes<'_>, found: &mut Findings) {
    let led = runtimes.led(&runtimes.default);
    let what = format!(
        "containers start with {}, Docker's default '{}'",
        led.program, runtimes.default
    );
    match led.way {
        Way::Gate => found.ok(Check::DockerDefaultRuntime, format!("{what}: the gate")),
        Way::Missing => found.danger(
            Check::DockerDefaultRuntime,
            format!("{what}, which is not there: nothing starts"),
            super::CONFIGURE,
        ),
        Way::Wrapper if runtimes.led("runc").way == Way::Gate => {
            found.ok(
                Check::DockerDefaultRuntime,
                format!("{what}, a wrapper of runc, which is the gate"),
            );
        }
        Way::Wrapper | Way::Around => found.danger(
            Check::DockerDefaultRuntime,
            format!("{what}, which is not vcn-hook"),
            super::CONFIGURE,
        ),
    }
}

/// Whoever may use Docker may name any of them.
fn others(runtimes: &Runtimes<'_>, found: &mut Findings) {
    let check = Check::DockerRuntimes;
    let runc = runtimes.led("runc");
    // The default itself is told elsewhere.
    if runc.way == Way::Around && !RUNC.contains(&runtimes.default.as_str()) {
        let what = format!(
            "'docker run --runtime=runc' starts with {}, which is not vcn-hook",
            runc.program
        );
        found.danger(check, what, super::CONFIGURE);
    }
    for name in runtimes
        .named
        .keys()
        .filter(|name| **name != runtimes.default)
    {
        let led = runtimes.led(name);
        let is_round = match led.way {
            Way::Gate | Way::Missing => false,
            Way::Wrapper => runc.way != Way::Gate,
            Way::Around => true,
        };
        if is_round {
            let what = format!(
                "'docker run --runtime={name}' starts with {}, which is not vcn-hook",
                led.program
            );
            let fix = format!(
                "remove \"{name}\" from \"runtimes\" in '{}', then: systemctl reload docker",
                runtimes.path.display()
            );
            found.danger(check, what, fix);
        }
    }
    found.ok_unless_told(
        check,
        "every runtime that a client of Docker may name leads to the gate",
    );
}

/// `BuildKit` asks for runc by name, or by this variable of dockerd's.
fn builds(daemon: &Daemon, found: &mut Findings) {
    let check = Check::BuildRuntime;
    let named = daemon.variable("DOCKER_BUILDKIT_RUNC_COMMAND");
    let name = named.unwrap_or("runc");
    let program = daemon.find(name);
    let what = format!("image builds run their steps with '{}'", program.display());
    match (way(&program, Path::new("/")), named) {
        (Way::Gate, _) => found.ok(check, format!("{what}: the gate, and [build] says which")),
        (Way::Missing, _) => found.note(check, format!("{what}, which is not there"), ""),
        (Way::Wrapper | Way::Around, Some(_)) => found.danger(
            check,
            format!("{what}, which is not vcn-hook"),
            "remove DOCKER_BUILDKIT_RUNC_COMMAND from dockerd's environment, and restart it",
        ),
        (Way::Wrapper | Way::Around, None) => {
            found.danger(
                check,
                format!("{what}, which is not vcn-hook"),
                super::CONFIGURE,
            );
        }
    }
}

fn containers(node: &Node<'_>, runtimes: &Runtimes<'_>, found: &mut Findings) {
    let check = Check::DockerContainers;
    let mut by_runtime: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for root in &node.engines.docker_roots {
        let directory = root.join("containers");
        let entries = match std::fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => {
                found.unseen(check, format!("'{}': {error}", directory.display()));
                continue;
            }
        };
        for entry in entries.flatten() {
            if let Some(runtime) = kept_runtime(&entry.path()) {
                let id = entry.file_name().to_string_lossy().into_owned();
                by_runtime.entry(runtime).or_default().push(id);
            }
        }
    }
    for (runtime, ids) in by_runtime {
        let led = runtimes.led(&runtime);
        let is_round = match led.way {
            Way::Gate | Way::Missing => false,
            Way::Wrapper => runtimes.led("runc").way != Way::Gate,
            Way::Around => true,
        };
        // What runs is named by what it runs with, elsewhere.
        if is_round {
            let ids: Vec<_> = ids
                .iter()
                .map(|id| id.get(..12).unwrap_or(id).to_owned())
                .collect();
            let what = format!(
                "{} keep '{runtime}' as runtime, which is {} and not vcn-hook, whatever the default is",
                some(&ids),
                led.program
            );
            let fix = match RUNC.contains(&runtime.as_str()) {
                true => super::CONFIGURE.to_owned(),
                false => format!("docker rm -f {}, and create them again", ids.join(" ")),
            };
            found.danger(check, what, fix);
        }
    }
    found.ok_unless_told(
        check,
        "no container keeps a runtime that does not lead to the gate",
    );
}

/// `Runtime` in `hostconfig.json`.
fn kept_runtime(container: &Path) -> Option<String> {
    #[derive(Deserialize)]
    struct HostConfig {
        #[serde(rename = "Runtime")]
        runtime: String,
    }
    let bytes = read_capped(&container.join("hostconfig.json"), MAX_CONTAINER).ok()?;
    let config: HostConfig = serde_json::from_slice(&bytes).ok()?;
    Some(config.runtime).filter(|runtime| !runtime.is_empty())
}

impl<'a> Runtimes<'a> {
    fn of(daemon: &'a Daemon) -> Result<Self, (PathBuf, String)> {
        let path = PathBuf::from(daemon.option("--config-file").unwrap_or(DAEMON_JSON));
        let settings = match read_capped(&path, MAX_SETTINGS) {
            Ok(bytes) if bytes.trim_ascii().is_empty() => Settings::default(),
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map_err(|error| (path.clone(), error.to_string()))?
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Settings::default(),
            Err(error) => return Err((path, error.to_string())),
        };
        let mut named = settings.runtimes;
        for option in daemon.options("--add-runtime") {
            if let Some((name, program)) = option.split_once('=') {
                let path = Some(program.to_owned());
                let runtime = Runtime {
                    path,
                    ..Runtime::default()
                };
                named.insert(name.to_owned(), runtime);
            }
        }
        let default = daemon.option("--default-runtime").map(str::to_owned);
        let default = default.or(settings.default_runtime);
        Ok(Self {
            daemon,
            default: default.unwrap_or_else(|| "runc".to_owned()),
            named,
            path,
        })
    }

    fn led(&self, name: &str) -> Led {
        let runtime = self.named.get(name).cloned().unwrap_or_default();
        let kind = runtime.runtime_type.as_deref().unwrap_or(name);
        let is_runc = RUNC.contains(&kind);
        // A shim of another kind is the runtime itself.
        if !is_runc && kind.starts_with("io.containerd.") {
            return Led {
                way: Way::Around,
                program: format!("the shim of {kind}"),
            };
        }
        let program = runtime.path.or(runtime.options.binary_name);
        let program = match program {
            Some(program) => program,
            None if is_runc => "runc".to_owned(),
            None => name.to_owned(),
        };
        let program = self.daemon.find(&program);
        Led {
            way: way(&program, Path::new("/")),
            program: format!("'{}'", program.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Settings;

    #[test]
    fn reads_every_form_of_a_runtime() {
        let text = br#"{"debug":true,"default-runtime":"vcn","runtimes":{"vcn":{"path":"/g/runc"},
            "kata":{"runtimeType":"io.containerd.kata.v2"},
            "youki":{"runtimeType":"io.containerd.runc.v2","options":{"BinaryName":"/y/youki"}}}}"#;
        let settings: Settings = serde_json::from_slice(text).expect("well formed");
        assert_eq!(settings.default_runtime.as_deref(), Some("vcn"));
        let path = |name: &str| {
            let runtime = settings.runtimes.get(name).expect("it is there").clone();
            runtime.path.or(runtime.options.binary_name)
        };
        assert_eq!(path("vcn").as_deref(), Some("/g/runc"));
        assert_eq!(path("kata"), None);
        assert_eq!(path("youki").as_deref(), Some("/y/youki"));
    }
}
