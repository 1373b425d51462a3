//! A folder of one test file, and the end of everything that was started in it.
//!
//! A small shell waits on a pipe that only the test process holds: however
//! that process ends, the shell then ends the registered processes, unmounts
//! what is mounted below the folder, and removes it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;

const REAPER: &str = r#"
cat >/dev/null
cd /
alive() { grep -q '^State:[[:space:]]*[^Z]' "/proc/$1/status" 2>/dev/null; }
for file in "$T"/pids/*; do
    [ -e "$file" ] || continue
    pid=$(cat "$file"); alive "$pid" || continue
    kill -TERM "$pid"
    for i in $(seq 100); do alive "$pid" || break; sleep 0.1; done
    alive "$pid" && kill -KILL "$pid"
done
# Whatever still carries the folder's unique name in its command line was started from it, and so was
# what has its root file system there.
for dir in /proc/[0-9]*; do
    pid=${dir#/proc/}
    [ "$pid" = "$$" ] && continue
    if tr '\0' ' ' <"$dir/cmdline" 2>/dev/null | grep -qF "$T/" ||
        awk '$5 == "/"' "$dir/mountinfo" 2>/dev/null | grep -qF "$T/"; then kill -KILL "$pid" 2>/dev/null; fi
done
for i in 1 2 3; do
    awk -v t="$T/" 'index($5, t) == 1 {print $5}' /proc/self/mountinfo | sort -r | while read -r m; do
        umount -l "$m" 2>/dev/null
    done
done
rm -rf --one-file-system "$T"
rmdir "$(dirname "$T")" 2>/dev/null
true
"#;

/// The folder. When it is dropped, or the test process ends in any way, it is cleared away.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    reaper: Child,
    leash: Option<ChildStdin>,
    adopted: Mutex<Vec<Child>>,
}

impl Scratch {
    /// Makes the folder for `name`; everything in it is root's alone.
    ///
    /// # Panics
    ///
    /// Unless it runs as root: containers are what is tested.
    pub fn new(name: &str) -> Self {
        assert!(
            nix::unistd::geteuid().is_root(),
            "tests on real engines run as root: sudo make test"
        );
        let base = std::env::var_os("VCN_HOOK_TEST_DIR")
            .map_or_else(|| PathBuf::from("/var/lib/vcn-hook-tests"), PathBuf::from);
        let path = base.join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(path.join("pids")).unwrap();
        fs::set_permissions(&base, fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", REAPER])
            .env("T", &path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Its own group: an interrupt from the terminal must not end it before it cleaned up.
            .process_group(0);
        let mut reaper = command.spawn().unwrap();
        let leash = reaper.stdin.take();
        Self {
            path,
            reaper,
            leash,
            adopted: Mutex::new(Vec::new()),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A folder below, made now.
    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.path.join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// Starts what it ends before the folder is removed; what that says goes to `log`.
    pub fn start(&self, name: &str, log: &Path, command: &mut Command) {
        let log = fs::File::create(log).unwrap();
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        self.adopt(name, command.spawn().unwrap());
    }

    /// Has the process ended before the folder is removed.
    pub fn adopt(&self, name: &str, child: Child) {
        fs::write(self.path.join("pids").join(name), child.id().to_string()).unwrap();
        self.adopted.lock().unwrap().push(child);
    }

    /// Whether every adopted process still runs.
    pub fn all_run(&self) -> bool {
        let mut adopted = self.adopted.lock().unwrap();
        adopted
            .iter_mut()
            .all(|child| matches!(child.try_wait(), Ok(None)))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(self.leash.take());
        drop(self.reaper.wait());
        for child in self.adopted.get_mut().unwrap() {
            drop(child.wait());
        }
    }
}
