//! A private Docker daemon, with its own containerd, whose `runc` is ours.

use super::command::{Ran, command, run, run_with};
use super::scratch::Scratch;
use super::{binary, program};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The daemon. It ends with its scratch folder.
#[derive(Debug)]
pub struct Daemon {
    base: PathBuf,
    socket: PathBuf,
}

impl Daemon {
    /// Starts it below the scratch folder, ungated.
    ///
    /// # Panics
    ///
    /// When it does not answer within half a minute; its log is shown.
    pub fn start(scratch: &Scratch) -> Self {
        let base = scratch.folder("docker");
        let bin = scratch.folder("docker/bin");
        let socket = base.join("d.sock");
        let daemon = Self { base, socket };
        daemon.ungated();
        let runc = bin.join("runc");
        // Which gate, if any, is read at each call, so that one daemon serves all cases of a file.
        fs::write(
            &runc,
            format!(
                "#!/bin/sh\ncd {base}\nread -r config <current\nread -r prefix <prefix\n\
                 case \" $* \" in *\" create \"*) [ ! -e before ] || sh before ;; esac\n\
                 cd \"$OLDPWD\"\nif [ -z \"$config\" ]; then exec {real} \"$@\"; fi\n\
                 exec $prefix {gate} -c \"$config\" runtime -- \"$@\"\n",
                base = daemon.base.display(),
                real = program("runc").display(),
                gate = binary().display(),
            ),
        )
        .unwrap();
        fs::set_permissions(&runc, fs::Permissions::from_mode(0o755)).unwrap();
        daemon.spawn(scratch, &bin);
        daemon
    }

    fn spawn(&self, scratch: &Scratch, bin: &Path) {
        let settings = self.base.join("daemon.json");
        fs::write(&settings, "{}").unwrap();
        let mut server = Command::new(program("dockerd"));
        server
            .arg("--data-root")
            .arg(self.root())
            .arg("--exec-root")
            .arg(self.base.join("exec"))
            .arg("--host")
            .arg(self.host())
            .arg("--pidfile")
            .arg(self.base.join("pid"))
            .args(["--iptables=false", "--ip6tables=false", "--bridge=none"])
            .args(["--storage-driver=overlay2", "--shutdown-timeout=1"])
            // Never the machine's own daemon.json.
            .arg("--config-file")
            .arg(settings)
            .env_clear()
            .env(
                "PATH",
                format!(
                    "{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                    bin.display()
                ),
            );
        scratch.start("dockerd", &self.base.join("log"), &mut server);
        let begun = Instant::now();
        while self.docker(&["version"]).code != 0 {
            let log = || fs::read_to_string(self.base.join("log")).unwrap_or_default();
            let runs = scratch.all_run();
            assert!(
                runs && begun.elapsed() < Duration::from_secs(30),
                "dockerd does not answer:\n{}",
                log()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Its data root, as `[engines] docker_roots` names it.
    pub fn root(&self) -> PathBuf {
        self.base.join("root")
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    pub fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// From now on nothing is gated: the engine as it comes.
    pub fn ungated(&self) {
        fs::write(self.base.join("current"), "\n").unwrap();
        fs::write(self.base.join("prefix"), "\n").unwrap();
        drop(fs::remove_file(self.before()));
    }

    /// A script that, where it exists, runs just before a container is created and judged.
    pub fn before(&self) -> PathBuf {
        self.base.join("before")
    }

    /// From now on the gate is run by this command, such as `strace`.
    pub fn run_by(&self, prefix: &str) {
        fs::write(self.base.join("prefix"), format!("{prefix}\n")).unwrap();
    }

    /// From now on every start goes through the gate of this configuration.
    pub fn gated_by(&self, config: &Path) {
        let line = format!("{}\n", config.display());
        fs::write(self.base.join("current"), line).unwrap();
    }

    /// Runs the docker client against this daemon, and never against another.
    pub fn docker(&self, args: &[&str]) -> Ran {
        run(self.client(args))
    }

    pub fn docker_with(&self, args: &[&str], input: &[u8]) -> Ran {
        run_with(self.client(args), input)
    }

    fn client(&self, args: &[&str]) -> Command {
        let mut client = command(program("docker"), args);
        client
            .env("DOCKER_HOST", self.host())
            .env("HOME", &self.base)
            .env("DOCKER_BUILDKIT", "0");
        client
    }

    /// `docker run --rm --network=none ARGS`.
    pub fn run(&self, args: &[&str]) -> Ran {
        self.docker(&[&["run", "--rm", "--network=none"], args].concat())
    }

    /// `docker create --network=none ARGS`: the container's id.
    #[track_caller]
    pub fn create(&self, args: &[&str]) -> String {
        self.docker(&[&["create", "--network=none"], args].concat())
            .ok()
    }

    /// Removes every container, so that cases do not see each other's.
    pub fn clear(&self) {
        let ids = self.docker(&["ps", "-aq"]).ok();
        for id in ids.lines() {
            self.docker(&["rm", "-f", id]).ok();
        }
    }

    /// What a container has in its config.v2.json.
    pub fn container_folder(&self, id: &str) -> PathBuf {
        let full = self.docker(&["inspect", "--format", "{{.Id}}", id]).ok();
        self.root().join("containers").join(full)
    }
}
