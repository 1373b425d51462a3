//! Where the real runtime is.
//!
//! Owns the one trap of every diverted program: that it finds itself.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::engine::RuntimeKind;

/// Where it may be when gate.bin cannot say; the first is where a diverted one is kept.
const DIRECTORIES: [&str; 5] = [
    "/usr/libexec/vcn-hook",
    "/usr/sbin",
    "/usr/bin",
    "/usr/local/sbin",
    "/usr/local/bin",
];

/// Finds the real runtime: the configured one, else the first that is not this program.
#[must_use]
pub fn find(runtime: RuntimeKind, configured: Option<&Path>) -> Option<PathBuf> {
    let ourselves = std::fs::metadata("/proc/self/exe").ok();
    let usual = DIRECTORIES.map(|directory| Path::new(directory).join(runtime.as_str()));
    let mut candidates = configured.map(Path::to_path_buf).into_iter().chain(usual);
    candidates.find(|candidate| {
        std::fs::metadata(candidate).is_ok_and(|found| is_another(&found, ourselves.as_ref()))
    })
}

fn is_another(found: &Metadata, ourselves: Option<&Metadata>) -> bool {
    let same = |us: &Metadata| (us.dev(), us.ino()) == (found.dev(), found.ino());
    found.is_file() && found.mode() & 0o111 != 0 && !ourselves.is_some_and(same)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::find;
    use crate::engine::RuntimeKind::Runc;

    #[test]
    fn takes_the_configured_one_unless_it_is_ourselves_or_no_program() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let program = directory.path().join("program");
        std::fs::write(&program, "").expect("written");
        let is_taken = |path: &std::path::Path| find(Runc, Some(path)).as_deref() == Some(path);
        assert!(!is_taken(&program), "it cannot be executed");
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("changed");
        assert!(is_taken(&program));
        let ourselves = directory.path().join("ourselves");
        symlink(std::env::current_exe().expect("we run"), &ourselves).expect("linked");
        assert!(!is_taken(&ourselves), "it would run itself for ever");
        assert!(!is_taken(directory.path()), "it is a directory");
    }
}
