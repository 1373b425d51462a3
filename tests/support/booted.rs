//! A machine whose process 1 is a real systemd: a Debian root in a container of systemd-nspawn.
//!
//! The kernel is this machine's; units, timers, journal, accounts, sandboxes and Docker are real. Docker has
//! no bridge, for which this machine need not have the modules.

use super::machine::Machine;
use super::package::{Suite, root};
use super::scratch::Scratch;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Its own `/run`, so that nothing of nspawn's is left in this machine's, and cgroups of its own: two
/// systemds would name theirs alike.
const BOOT: &str = r#"
set -e
for groups in $GROUPS_OF_OURS; do
    mkdir "$groups"
    echo $$ >"$groups/cgroup.procs"
done
echo $$ >pid
mount -t tmpfs -o mode=0755 tmpfs /run
mount -t tmpfs -o mode=0755 tmpfs layer
mkdir -p layer/work layer/upper/etc/docker root docker
echo '{"iptables": false, "ip6tables": false, "bridge": "none", "storage-driver": "overlay2"}' \
    >layer/upper/etc/docker/daemon.json
mount -t overlay -o "lowerdir=$LOWER,upperdir=layer/upper,workdir=layer/work" overlay root
exec systemd-nspawn --quiet --boot --directory=root --register=no --keep-unit --link-journal=no --console=pipe \
    --capability=all --system-call-filter='@keyring bpf' --bind="$PWD/docker:/var/lib/docker"
"#;

/// Ends it as it is ended itself, and removes its cgroups.
const AROUND: &str = r#"
unshare -m sh -c "$BOOT" & child=$!
trap 'kill -TERM $child' TERM
wait $child
wait $child
for groups in $GROUPS_OF_OURS; do
    find "$groups" -depth -type d -exec rmdir {} + 2>/dev/null
done
"#;

/// Boots it, and waits until systemd says that it is up.
///
/// # Panics
///
/// When it does not come up within a minute; its console is shown.
pub fn boot(scratch: &Scratch, suite: Suite) -> Machine {
    let base = scratch.folder("booted");
    fs::create_dir(base.join("layer")).unwrap();
    let mut command = Command::new("sh");
    command
        .args(["-c", AROUND])
        .current_dir(&base)
        .env("BOOT", BOOT)
        .env("LOWER", root(suite))
        // Newer systemds refuse cgroups of the first version.
        .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
        .env("GROUPS_OF_OURS", groups(suite));
    scratch.start("booted", &base.join("console"), &mut command);
    let begun = Instant::now();
    loop {
        if let Some(init) = init_of(&base.join("pid")) {
            let machine = Machine::at(init);
            let state = machine.run(&["systemctl", "is-system-running"]).out;
            if matches!(state.trim(), "running" | "degraded") {
                return machine;
            }
        }
        let console = fs::read_to_string(base.join("console")).unwrap_or_default();
        assert!(
            scratch.all_run() && begun.elapsed() < Duration::from_secs(60),
            "it does not come up: {console}"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The child of nspawn that is process 1 in its own namespace.
fn init_of(nspawn: &Path) -> Option<u32> {
    let nspawn = fs::read_to_string(nspawn).ok()?;
    let nspawn = nspawn.trim();
    let children = fs::read_to_string(format!("/proc/{nspawn}/task/{nspawn}/children")).ok()?;
    let mut children = children.split_whitespace().filter_map(|id| id.parse().ok());
    children.find(|id: &u32| {
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
        ids.is_some_and(|ids| ids.split_whitespace().nth(1) == Some("1"))
    })
}

/// Cgroups that are not there yet: in each hierarchy that a systemd wants to manage.
fn groups(suite: Suite) -> String {
    let name = format!("vcn-hook-test-{suite}-{}", std::process::id());
    ["systemd", "unified", ""]
        .map(|hierarchy| Path::new("/sys/fs/cgroup").join(hierarchy))
        .into_iter()
        .filter(|hierarchy| hierarchy.join("cgroup.procs").exists())
        .map(|hierarchy| format!("{} ", hierarchy.join(&name).display()))
        .collect()
}
