//! Reads a bbolt database while its owner holds the lock and keeps writing.
//!
//! Owns the file format (bbolt's `page.go`, `bucket.go`, `meta.go`) and the
//! argument why reading without the lock is safe. Never takes a lock, never
//! maps the file, never writes: containerd holds `LOCK_EX` for as long as it
//! runs, so a reader that asks for the lock waits for ever. What the keys
//! mean belongs to `engine::containerd`.
//!
//! Why it is safe: transaction T+1 never overwrites a page that T can reach.
//! So a read that starts at T's meta page is whole if, afterwards, T is still
//! the newest transaction. If it is not, whatever was read, errors included,
//! says nothing, and the read is made again.

mod page;

use std::cell::Cell;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;

use self::page::{Leaf, Page};
use crate::sys::file::open_regular;
use crate::sys::source::Source;

/// Attempts at a read that no commit overtakes. A read takes microseconds and a
/// commit at least one `fdatasync`, so the second attempt nearly always wins.
const ATTEMPTS: u32 = 64;

/// Bytes of pages one read may fetch: torn pages can point in circles.
const READ_BUDGET: u64 = 64 << 20;

/// Bytes of one page with its overflow: no value that containerd stores comes near.
const MAX_PAGE_RUN: u64 = 16 << 20;

/// Levels of a bucket's tree, and of buckets within buckets.
const MAX_DEPTH: u32 = 32;

/// An open database.
#[derive(Debug)]
pub struct Db<S = File> {
    file: S,
}

/// One consistent state of the database, for the length of one [`Db::read`].
#[derive(Debug)]
pub struct Tx<'db> {
    file: &'db dyn Source,
    meta: Meta,
    budget: Cell<u64>,
}

/// A bucket: sorted keys, each with a value or a bucket of its own.
#[derive(Debug)]
pub struct Bucket<'tx> {
    tx: &'tx Tx<'tx>,
    tree: Tree,
}

/// What a key holds.
#[derive(Debug)]
pub enum Entry<'tx> {
    /// Plain bytes.
    Value(Vec<u8>),
    /// A bucket of its own.
    Bucket(Bucket<'tx>),
}

/// Whether [`Bucket::for_each`] goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visit {
    /// Show the next key.
    Continue,
    /// Enough was seen.
    Stop,
}

/// Why a database cannot be read.
#[derive(Debug)]
pub enum BoltError {
    /// The operating system's reason.
    Io(io::Error),
    /// Neither meta page is valid: the file is no bbolt database, or is damaged.
    NotADatabase,
    /// A page does not say what the format wants.
    Damaged(&'static str),
    /// More was read than any sound database needs.
    TooLarge,
    /// Every attempt was overtaken by a commit.
    Busy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Meta {
    page_size: u64,
    root: u64,
    /// Pages that exist; every page id is below it.
    end: u64,
    transaction: u64,
}

#[derive(Debug)]
enum Tree {
    /// The page where the bucket's tree starts.
    Root(u64),
    /// The one page of a small bucket, stored inside its parent's value.
    Inline(Vec<u8>),
}

impl Db {
    /// Opens a database file, following no symlink in its last component.
    ///
    /// # Errors
    /// [`BoltError::Io`].
    pub fn open(path: &Path) -> Result<Self, BoltError> {
        Ok(Self {
            file: open_regular(path)?,
        })
    }
}

impl<S: Source> Db<S> {
    /// Takes a database wherever its bytes are.
    pub const fn over(file: S) -> Self {
        Self { file }
    }

    /// Runs `read` on one consistent state of the database, again when a commit has overtaken it.
    /// `read` must not have effects: its results count only when this function returns them.
    ///
    /// # Errors
    /// `read`'s own error once it was made on a consistent state, or a [`BoltError`].
    pub fn read<T, E: From<BoltError>>(
        &self,
        read: impl Fn(&Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        for _ in 0..ATTEMPTS {
            let meta = Meta::newest(&self.file)?;
            let tx = Tx {
                file: &self.file,
                meta,
                budget: Cell::new(READ_BUDGET),
            };
            let outcome = read(&tx);
            if Meta::newest(&self.file)? == meta {
                return outcome;
            }
            std::thread::yield_now();
        }
        Err(BoltError::Busy.into())
    }
}

impl Meta {
    /// The valid meta page with the highest transaction (`db.go`, `db.meta`).
    fn newest(file: &dyn Source) -> Result<Self, BoltError> {
        let first = Self::at(file, 0)?;
        // The second meta page follows the first, whose size a damaged first page does not tell.
        let second = match first {
            Some(first) => Self::at(file, first.page_size)?,
            None => Self::search(file)?,
        };
        [first, second]
            .into_iter()
            .flatten()
            .max_by_key(|meta| meta.transaction)
            .ok_or(BoltError::NotADatabase)
    }

    fn search(file: &dyn Source) -> Result<Option<Self>, BoltError> {
        for shift in 0..=6 {
            let page_size = 1024 << shift;
            let found = Self::at(file, page_size)?;
            if found.is_some_and(|meta| meta.page_size == page_size) {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn at(file: &dyn Source, offset: u64) -> Result<Option<Self>, BoltError> {
        let mut bytes = [0; page::META_SIZE];
        match file.read_exact_at(&mut bytes, offset) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        Ok(page::parse_meta(&bytes))
    }
}

impl Tx<'_> {
    /// The bucket at the end of `path`, from the root. `None` when a name is missing.
    ///
    /// # Errors
    /// [`BoltError`] when a page cannot be read or a name on the way holds a plain value.
    pub fn bucket(&self, path: &[&[u8]]) -> Result<Option<Bucket<'_>>, BoltError> {
        let mut bucket = Bucket {
            tx: self,
            tree: Tree::Root(self.meta.root),
        };
        for name in path {
            match bucket.bucket(name)? {
                Some(inner) => bucket = inner,
                None => return Ok(None),
            }
        }
        Ok(Some(bucket))
    }

    fn page(&self, id: u64) -> Result<Vec<u8>, BoltError> {
        // Pages 0 and 1 are the meta pages.
        if id < 2 || id >= self.meta.end {
            return Err(BoltError::Damaged("a page id lies outside the file"));
        }
        let size = self.meta.page_size;
        let offset = id.checked_mul(size).ok_or(BoltError::TooLarge)?;
        let mut bytes = self.fetch(offset, size)?;
        let overflow = page::overflow(&bytes)?;
        if overflow > 0 {
            if id.saturating_add(overflow) >= self.meta.end {
                return Err(BoltError::Damaged(
                    "a page's overflow lies outside the file",
                ));
            }
            bytes.extend(self.fetch(offset.saturating_add(size), overflow * size)?);
        }
        if page::id(&bytes)? != id {
            return Err(BoltError::Damaged("a page carries another page's id"));
        }
        Ok(bytes)
    }

    fn fetch(&self, offset: u64, length: u64) -> Result<Vec<u8>, BoltError> {
        let left = self.budget.get().checked_sub(length);
        let (Some(left), true) = (left, length <= MAX_PAGE_RUN) else {
            return Err(BoltError::TooLarge);
        };
        self.budget.set(left);
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| BoltError::TooLarge)?];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}

impl<'tx> Bucket<'tx> {
    /// The value of `key`. `None` when it is missing or holds a bucket.
    ///
    /// # Errors
    /// [`BoltError`] when a page cannot be read.
    pub fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BoltError> {
        Ok(match self.entry(key)? {
            Some(Entry::Value(value)) => Some(value),
            Some(Entry::Bucket(_)) | None => None,
        })
    }

    /// The bucket under `key`. `None` when it is missing or holds a plain value.
    ///
    /// # Errors
    /// [`BoltError`] when a page cannot be read.
    pub fn bucket(&self, key: &[u8]) -> Result<Option<Bucket<'tx>>, BoltError> {
        Ok(match self.entry(key)? {
            Some(Entry::Bucket(bucket)) => Some(bucket),
            Some(Entry::Value(_)) | None => None,
        })
    }

    /// What `key` holds.
    ///
    /// # Errors
    /// [`BoltError`] when a page cannot be read.
    pub fn entry(&self, key: &[u8]) -> Result<Option<Entry<'tx>>, BoltError> {
        let mut bytes = self.root()?;
        for _ in 0..MAX_DEPTH {
            match Page::parse(&bytes)? {
                Page::Branch(branch) => bytes = self.tx.page(branch.child(key)?)?,
                Page::Leaf(leaf) => {
                    return leaf
                        .find(key)?
                        .map(|(flags, value)| self.open(flags, value))
                        .transpose();
                }
            }
        }
        Err(BoltError::TooLarge)
    }

    /// Shows every key in order, until `visit` says stop.
    ///
    /// # Errors
    /// [`BoltError`] when a page cannot be read, and `visit`'s own.
    pub fn for_each<E: From<BoltError>>(
        &self,
        mut visit: impl FnMut(&[u8], Entry<'tx>) -> Result<Visit, E>,
    ) -> Result<(), E> {
        // Depth first; each level holds the page ids that are still to be shown.
        let mut levels: Vec<Vec<u64>> = Vec::new();
        let mut next = Some(self.root()?);
        while let Some(bytes) = next {
            match Page::parse(&bytes)? {
                Page::Leaf(leaf) => {
                    if self.show(&leaf, &mut visit)? == Visit::Stop {
                        return Ok(());
                    }
                }
                Page::Branch(branch) => {
                    if levels.len() as u64 >= u64::from(MAX_DEPTH) {
                        return Err(BoltError::TooLarge.into());
                    }
                    let mut children = branch.children()?;
                    children.reverse();
                    levels.push(children);
                }
            }
            next = match following(&mut levels) {
                Some(id) => Some(self.tx.page(id)?),
                None => None,
            };
        }
        Ok(())
    }

    fn show<E: From<BoltError>>(
        &self,
        leaf: &Leaf<'_>,
        visit: &mut impl FnMut(&[u8], Entry<'tx>) -> Result<Visit, E>,
    ) -> Result<Visit, E> {
        for place in 0..leaf.len() {
            let (flags, key, value) = leaf.element(place)?;
            if visit(key, self.open(flags, value)?)? == Visit::Stop {
                return Ok(Visit::Stop);
            }
        }
        Ok(Visit::Continue)
    }

    fn root(&self) -> Result<Vec<u8>, BoltError> {
        match &self.tree {
            Tree::Root(id) => self.tx.page(*id),
            Tree::Inline(bytes) => Ok(bytes.clone()),
        }
    }

    fn open(&self, flags: u32, value: &[u8]) -> Result<Entry<'tx>, BoltError> {
        if flags & page::BUCKET == 0 {
            return Ok(Entry::Value(value.to_vec()));
        }
        let (root, inline) = page::parse_bucket(value)?;
        let tree = if root == 0 {
            Tree::Inline(inline.to_vec())
        } else {
            Tree::Root(root)
        };
        Ok(Entry::Bucket(Bucket { tx: self.tx, tree }))
    }
}

fn following(levels: &mut Vec<Vec<u64>>) -> Option<u64> {
    loop {
        match levels.last_mut()?.pop() {
            Some(id) => return Some(id),
            None => levels.truncate(levels.len() - 1),
        }
    }
}

impl From<io::Error> for BoltError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for BoltError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Io(_) => "cannot read the database file",
            Self::NotADatabase => "neither meta page is valid, so this is no bbolt database",
            Self::Damaged(what) => what,
            Self::TooLarge => "more pages were read than a sound database needs",
            Self::Busy => "every attempt to read was overtaken by a commit",
        })
    }
}

impl std::error::Error for BoltError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::NotADatabase | Self::Damaged(_) | Self::TooLarge | Self::Busy => None,
        }
    }
}

#[cfg(test)]
mod tests;
