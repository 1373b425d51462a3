//! The paths that an archive has had, in little memory: a keyed 64-bit hash of each.
//!
//! The key is chosen anew for each layer, so nobody can make a path that passes for another one.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::io;

use super::tar::invalid;

/// More than any image has; some 80 MB.
const MOST: usize = 4 << 20;

/// Paths without a leading slash.
#[derive(Debug, Default)]
pub(super) struct Seen {
    key: RandomState,
    listed: HashSet<u64>,
    /// Directories of what is listed, which an archive need not list itself.
    implied: HashSet<u64>,
}

impl Seen {
    /// Takes a path; false when it was there.
    pub(super) fn list(&mut self, path: &[u8]) -> io::Result<bool> {
        if self.listed.len() >= MOST {
            return Err(invalid("too many members"));
        }
        Ok(self.listed.insert(self.key.hash_one(path)))
    }

    /// Takes a directory and those above it.
    pub(super) fn imply(&mut self, directory: &[u8]) -> io::Result<()> {
        if self.implied.len() >= MOST {
            return Err(invalid("too many directories"));
        }
        let mut path = directory;
        // Those above one that is known are known.
        while self.implied.insert(self.key.hash_one(path)) {
            match path.iter().rposition(|byte| *byte == b'/') {
                Some(at) => path = path.get(..at).unwrap_or_default(),
                None => path = &[],
            }
        }
        Ok(())
    }

    pub(super) fn lists(&self, path: &[u8]) -> bool {
        self.listed.contains(&self.key.hash_one(path))
    }

    pub(super) fn implies(&self, path: &[u8]) -> bool {
        self.implied.contains(&self.key.hash_one(path))
    }
}

#[cfg(test)]
mod tests {
    use super::Seen;

    #[test]
    fn a_path_implies_the_directories_above_it() {
        let mut seen = Seen::default();
        assert!(seen.list(b"a/b/c").unwrap() && !seen.list(b"a/b/c").unwrap());
        seen.imply(b"a/b").unwrap();
        seen.imply(b"a/b").unwrap();
        for (path, implied) in [
            ("a/b", true),
            ("a", true),
            ("", true),
            ("a/b/c", false),
            ("b", false),
        ] {
            assert_eq!(seen.implies(path.as_bytes()), implied, "{path}");
        }
        assert!(seen.lists(b"a/b/c") && !seen.lists(b"a/b"));
    }
}
