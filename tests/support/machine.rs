//! A throw-away machine: the files of this one, or of another root directory, under a layer of its own.
//!
//! Whatever a test changes below `/etc`, `/usr` or `/var` ends with the machine, and so does every
//! process in it. It has its own mounts, process ids, `/run`, `/tmp` and `/dev/shm`; kernel, cgroups,
//! devices and network are this machine's. The scratch folder is seen inside at its own path.

use super::command::{Ran, command, run, run_with};
use super::scratch::Scratch;
use super::{binary, program};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Runs in the new namespaces; process 1 then waits for all that is left to it, so that nobody stays a zombie.
/// What overlay file systems cannot stand on is kept out of the overlay.
const BOOT: &str = r#"
set -e
read -r pid rest </proc/self/stat
mkdir -p layer root
mount -t tmpfs -o mode=0755 tmpfs layer
mkdir layer/upper layer/work
mount -t overlay -o "lowerdir=$LOWER,upperdir=layer/upper,workdir=layer/work" overlay root
for folder in proc sys dev run tmp var/lib/docker var/lib/containerd var/lib/containers ".$T"; do
    mkdir -p "root/$folder"
done
mount -t proc proc root/proc
mount --rbind /sys root/sys
mount --rbind /dev root/dev
mount -t tmpfs -o mode=0755 tmpfs root/run
mount -t tmpfs -o mode=1777 tmpfs root/tmp
mount -t tmpfs -o mode=1777 tmpfs root/dev/shm
for name in docker containerd containers; do
    mkdir -p "$name"
    mount --bind "$name" "root/var/lib/$name"
done
mount --bind "$T" "root/$T"
umount root/sys/fs/cgroup/unified 2>/dev/null || true
cp "$BINARY" root/usr/bin/vcn-hook
chmod 755 root/usr/bin/vcn-hook
# Packages may be installed, but start nothing.
printf '#!/bin/sh\nexit 101\n' >root/usr/sbin/policy-rc.d
chmod 755 root/usr/sbin/policy-rc.d
if [ -e root/usr/bin/podman ]; then
    mkdir -p root/etc/containers
    printf '%s' "$PODMAN" >root/etc/containers/containers.conf
fi
ready=$PWD/ready
cd root
mkdir -p run/lock run/old
pivot_root . run/old
cd /
echo "$pid" >"/run/old$ready.new"
mv "/run/old$ready.new" "/run/old$ready"
umount -l /run/old
rmdir /run/old
while :; do sleep 3600 & wait; done
"#;

/// No more of the machine than every place has.
const PODMAN: &str = r#"[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
[containers]
netns = "none"
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
log_driver = "k8s-file"
"#;

/// The machine. It ends with its scratch folder.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Its process 1, as seen from here.
    init: u32,
}

impl Machine {
    /// A machine with this one's files and packages.
    pub fn of_host(scratch: &Scratch) -> Self {
        Self::of(scratch, Path::new("/"))
    }

    /// Makes a ledger in /srv/ledger.
    #[track_caller]
    pub fn init_ledger(&self) {
        let words = [
            "ledger",
            "init",
            "/srv/ledger",
            "--origin",
            "ledger.test/vcn",
        ];
        self.vcn(&words).ok();
    }

    /// A machine with the files below `root`, such as a debootstrapped one.
    ///
    /// # Panics
    ///
    /// When it cannot be made; what its making said is shown.
    pub fn of(scratch: &Scratch, root: &Path) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("machine-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let base = scratch.folder(&name);
        // `unshare` blocks the signal that ends it, so a shell beside it ends both.
        let outer = "unshare -m -p -f --kill-child sh -c \"$BOOT\" & child=$!\n\
                     trap 'kill -KILL $child' TERM\nwait $child";
        let mut command = Command::new("sh");
        command
            .args(["-c", outer])
            .current_dir(&base)
            .env("BOOT", BOOT)
            .env("T", scratch.path())
            .env("LOWER", root)
            .env("BINARY", binary())
            .env("PODMAN", PODMAN);
        scratch.start(&name, &base.join("log"), &mut command);
        let ready = base.join("ready");
        let begun = Instant::now();
        while !ready.exists() {
            let log = fs::read_to_string(base.join("log")).unwrap_or_default();
            assert!(
                scratch.all_run() && begun.elapsed() < Duration::from_secs(30),
                "no machine: {log}"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        let init = fs::read_to_string(ready).unwrap().trim().parse().unwrap();
        Self { init }
    }

    /// A machine that somebody else made, by its process 1.
    pub(super) const fn at(init: u32) -> Self {
        Self { init }
    }

    /// Runs a command inside, as root with a clean environment.
    pub fn run(&self, words: &[&str]) -> Ran {
        run(self.command(words))
    }

    pub fn run_with(&self, words: &[&str], input: &[u8]) -> Ran {
        run_with(self.command(words), input)
    }

    /// Runs a shell script inside.
    pub fn sh(&self, script: &str) -> Ran {
        self.run(&["sh", "-c", script])
    }

    /// Runs the binary under test inside.
    pub fn vcn(&self, words: &[&str]) -> Ran {
        self.run(&[&["/usr/bin/vcn-hook"], words].concat())
    }

    /// A command inside, not yet started.
    pub fn command(&self, words: &[&str]) -> Command {
        let target = self.init.to_string();
        let mut inside = command(program("nsenter"), ["-m", "-p", "-t", &target, "--"]);
        inside.args(words);
        inside.env("HOME", "/root").env("DOCKER_BUILDKIT", "0");
        inside
    }

    /// Where a file of the machine is seen from outside. An absolute symlink in it leads astray.
    pub fn path(&self, inside: impl AsRef<Path>) -> PathBuf {
        let inside = inside.as_ref();
        let inside = inside.strip_prefix("/").unwrap_or(inside);
        Path::new("/proc")
            .join(self.init.to_string())
            .join("root")
            .join(inside)
    }

    /// Reads a text file of the machine.
    #[track_caller]
    pub fn read(&self, inside: &str) -> String {
        fs::read_to_string(self.path(inside)).unwrap_or_else(|error| panic!("{inside}: {error}"))
    }

    /// Writes a file of the machine, and the directories above it.
    #[track_caller]
    pub fn write(&self, inside: &str, text: impl AsRef<[u8]>) {
        let path = self.path(inside);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Starts dockerd, with a containerd of its own, on its ordinary paths, and waits until it answers.
    ///
    /// # Panics
    ///
    /// When it does not answer within half a minute; its log is shown.
    pub fn dockerd(&self) {
        self.sh(
            "dockerd --iptables=false --ip6tables=false --bridge=none --storage-driver=overlay2 \
             --shutdown-timeout=1 >>/var/log/dockerd.log 2>&1 </dev/null &",
        )
        .ok();
        let begun = Instant::now();
        while self.run(&["docker", "version"]).code != 0 {
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "dockerd does not answer:\n{}",
                self.read("/var/log/dockerd.log")
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Makes an image of one layer: busybox, and a file that says which image it is.
    pub fn image(&self, name: &str, which: &str) {
        self.sh(&format!(
            "mkdir -p /tmp/{which}/bin && cp /bin/busybox /tmp/{which}/bin/ && echo {which} >/tmp/{which}/which && \
             tar -C /tmp/{which} -c . | docker import --change 'CMD [\"/bin/busybox\",\"true\"]' - {name}"
        ))
        .ok();
    }

    /// Ends dockerd, and waits until it is gone.
    pub fn stop_dockerd(&self) {
        self.sh("pid=$(cat /run/docker.pid) && kill $pid && while [ -e /proc/$pid ]; do sleep 0.1; done")
            .ok();
    }

    /// Has dockerd read its daemon.json again, and waits until it says so.
    pub fn reload_dockerd(&self) {
        let told = "Reloaded configuration";
        let count = || self.read("/var/log/dockerd.log").matches(told).count();
        let before = count();
        self.sh("kill -HUP $(cat /run/docker.pid)").ok();
        let begun = Instant::now();
        while count() == before {
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "dockerd does not reload:\n{}",
                self.read("/var/log/dockerd.log")
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
