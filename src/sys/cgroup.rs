//! Control groups, as far as they freeze processes (cgroups(7)).

use std::path::{Path, PathBuf};

use super::file::read_small;

/// Where control groups are mounted, by every distribution.
const MOUNT: &str = "/sys/fs/cgroup";

/// Whether a process stands in a group that is frozen. What cannot be told is not.
#[must_use]
pub fn is_frozen(pid: u32) -> bool {
    let groups = read_small::<8192>(Path::new(&format!("/proc/{pid}/cgroup")));
    let groups = String::from_utf8(groups.unwrap_or_default()).unwrap_or_default();
    // On a machine that has both versions, one of the files is not there.
    groups.lines().filter_map(state_file).any(|(path, frozen)| {
        read_small::<4096>(&path).is_ok_and(|text| text.split(|b| *b == b'\n').any(|l| l == frozen))
    })
}

/// Where a group of `/proc/<pid>/cgroup` says whether it is frozen, and the line that says so.
fn state_file(line: &str) -> Option<(PathBuf, &'static [u8])> {
    let (_, rest) = line.split_once(':')?;
    let (controllers, group) = rest.split_once(':')?;
    let group = group.strip_prefix('/')?;
    let mount = Path::new(MOUNT);
    if controllers.is_empty() {
        let state = mount.join(group).join("cgroup.events");
        return Some((state, b"frozen 1"));
    }
    let freezes = controllers.split(',').any(|name| name == "freezer");
    let state = mount.join("freezer").join(group).join("freezer.state");
    freezes.then_some((state, b"FROZEN"))
}

#[cfg(test)]
mod tests {
    use super::{is_frozen, state_file};

    #[test]
    fn knows_where_both_versions_say_it() {
        for (line, file) in [
            ("0::/a/b", Some("/sys/fs/cgroup/a/b/cgroup.events")),
            (
                "6:freezer:/docker/x",
                Some("/sys/fs/cgroup/freezer/docker/x/freezer.state"),
            ),
            ("4:memory:/docker/x", None),
            ("garbage", None),
        ] {
            let found = state_file(line).map(|(path, _)| path.display().to_string());
            assert_eq!(found.as_deref(), file, "{line}");
        }
        assert!(!is_frozen(std::process::id()));
    }
}
