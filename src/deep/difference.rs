//! What differs between a layer on disk and the archive that it was unpacked from.

/// How many differences of one layer are kept; all are counted.
const KEPT: usize = 1000;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where, as a container sees it; bytes that are no UTF-8 are replaced.
    pub path: String,
    /// What differs.
    pub what: What,
    /// What the archive says; empty where that is nothing or too long.
    pub expected: String,
    /// What is there.
    pub found: String,
}

macro_rules! whats {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal;)+) => {
        /// The kinds of differences.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum What { $($(#[doc = $doc])+ $variant,)+ }

        impl What {
            /// The stable name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

whats! {
    /// It is not there.
    Missing = "missing";
    /// The archive has nothing at this path.
    Added = "added";
    /// It is something else.
    Kind = "kind";
    /// A file's bytes.
    Content = "content";
    /// A file's length.
    Size = "size";
    /// Permissions, set-id and sticky bits.
    Mode = "mode";
    /// Owner and group.
    Owner = "owner";
    /// Where a symlink leads.
    Link = "link";
    /// A hard link is not the same file as the one that it was linked to.
    HardLink = "hard-link";
    /// A device's numbers.
    Device = "device";
    /// An extended attribute.
    Xattr = "xattr";
    /// What is kept of the archive does not give the layer's digest, and no file is to blame for it.
    Archive = "archive";
}

/// The differences of one layer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Differences {
    /// The first of them, in the order in which they were found.
    pub first: Vec<Difference>,
    /// How many there are.
    pub count: usize,
}

impl Differences {
    /// Adds one at a path without its leading slash.
    pub(super) fn add(
        &mut self,
        path: &[u8],
        what: What,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) {
        self.count += 1;
        if self.first.len() < KEPT {
            self.first.push(Difference {
                path: shown(path),
                what,
                expected: expected.into(),
                found: found.into(),
            });
        }
    }

    /// Takes back what was found at a path, as far as `about` says so: a later member has its word there.
    pub(super) fn forget(&mut self, path: &[u8], about: impl Fn(What) -> bool) {
        if self.count == 0 {
            return;
        }
        let path = shown(path);
        let before = self.first.len();
        self.first
            .retain(|found| found.path != path || !about(found.what));
        self.count -= before - self.first.len();
    }

    /// Whether something was found at a path.
    pub(super) fn has(&self, path: &[u8]) -> bool {
        let path = shown(path);
        self.first.iter().any(|found| found.path == path)
    }
}

fn shown(path: &[u8]) -> String {
    format!("/{}", String::from_utf8_lossy(path))
}
