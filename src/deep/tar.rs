//! A tar archive, read member by member, as Go's `archive/tar` reads it: engines unpack layers with that.
//!
//! Owns headers and what belongs to them: PAX records, GNU's long names (tar(5); POSIX.1-2001 pax).
//! Leaves the content of files to whoever reads the archive, because it may lie elsewhere. A member
//! that no engine unpacks, and one that two readers may take for different things, is an error.

use std::collections::BTreeMap;
use std::io::{self, Read};

use tar::{EntryType, Header};

/// The unit of the format.
const BLOCK: usize = 512;

/// The longest PAX header or GNU name; Go's own limit.
const MAX_EXTENDED: u64 = 1 << 20;

/// One member: what is to be at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Where, as the archive has it.
    pub path: Vec<u8>,
    /// What a hard link or symlink leads to.
    pub link: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permissions, with the bits for set-id and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Bytes of content that follow; 0 for all but files.
    pub size: u64,
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// Extended attributes.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// Another name of a file that came before.
    HardLink,
    /// A symlink.
    Symlink,
    /// A character device.
    CharacterDevice,
    /// A block device.
    BlockDevice,
    /// A directory.
    Directory,
    /// A pipe.
    Fifo,
}

/// Reads members. Between two of them the caller takes the content of a file from where it is.
#[derive(Debug)]
pub struct Members<R> {
    /// The archive.
    pub archive: R,
    /// What fills the last block of the member before.
    padding: u64,
    ended: bool,
}

/// What came before a header and is about it.
#[derive(Debug, Default)]
struct Extended {
    records: BTreeMap<Vec<u8>, Vec<u8>>,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl<R: Read> Members<R> {
    /// Reads the archive from its start.
    pub const fn new(archive: R) -> Self {
        Self {
            archive,
            padding: 0,
            ended: false,
        }
    }

    /// The next member; `None` at the end. The content of the one before has been read.
    ///
    /// # Errors
    /// The reader's; `InvalidData` for what is no member that an engine unpacks.
    pub fn member(&mut self) -> io::Result<Option<Member>> {
        let mut extended = Extended::default();
        loop {
            let Some(block) = self.header()? else {
                return Ok(None);
            };
            let header = Header::from_byte_slice(&block);
            let kind = match header.entry_type() {
                EntryType::XHeader => {
                    extended.records = records(&self.extension(header)?)?;
                    continue;
                }
                // Go passes it by, and so do the engines.
                EntryType::XGlobalHeader => {
                    self.extension(header)?;
                    continue;
                }
                EntryType::GNULongName => {
                    extended.name = Some(until_zero(self.extension(header)?));
                    continue;
                }
                EntryType::GNULongLink => {
                    extended.link = Some(until_zero(self.extension(header)?));
                    continue;
                }
                EntryType::Regular => Kind::File,
                EntryType::Link => Kind::HardLink,
                EntryType::Symlink => Kind::Symlink,
                EntryType::Char => Kind::CharacterDevice,
                EntryType::Block => Kind::BlockDevice,
                EntryType::Directory => Kind::Directory,
                EntryType::Fifo => Kind::Fifo,
                other => {
                    let text = format!("a member of type {:?}", char::from(other.as_byte()));
                    return Err(invalid(&text));
                }
            };
            let member = extended.member(header, kind)?;
            self.padding = padding(member.size);
            return Ok(Some(member));
        }
    }

    /// Reads what is left after the last member.
    ///
    /// # Errors
    /// The reader's.
    pub fn finish(&mut self) -> io::Result<()> {
        let mut buffer = [0; 8192];
        while self.archive.read(&mut buffer)? != 0 {}
        Ok(())
    }

    /// The next header, checksum verified.
    fn header(&mut self) -> io::Result<Option<[u8; BLOCK]>> {
        self.skip(self.padding)?;
        self.padding = 0;
        let Some(block) = self.block()?.filter(|_| !self.ended) else {
            return Ok(None);
        };
        if block.iter().all(|byte| *byte == 0) {
            self.ended = true;
            return match self.block()? {
                Some(next) if next.iter().any(|byte| *byte != 0) => {
                    Err(invalid("an empty block among its members"))
                }
                Some(_) | None => Ok(None),
            };
        }
        let header = Header::from_byte_slice(&block);
        let sum = |range: &[u8]| range.iter().map(|byte| u32::from(*byte)).sum::<u32>();
        // The checksum itself counts as spaces.
        let blank = sum(header.as_old().cksum.as_slice());
        let expected = sum(&block) - blank + 8 * u32::from(b' ');
        if header.cksum()? != expected {
            return Err(invalid("a header with a wrong checksum"));
        }
        Ok(Some(block))
    }

    /// One whole block; `None` at the end.
    fn block(&mut self) -> io::Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.archive.read(rest)? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => filled += count,
            }
        }
        Ok(Some(block))
    }

    /// The content of a member that is about the next one.
    fn extension(&mut self, header: &Header) -> io::Result<Vec<u8>> {
        let size = size_of(header)?;
        if size > MAX_EXTENDED {
            return Err(invalid("a header of more than a megabyte"));
        }
        let mut bytes = Vec::new();
        (&mut self.archive).take(size).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.padding = padding(size);
        Ok(bytes)
    }

    fn skip(&mut self, count: u64) -> io::Result<()> {
        let skipped = io::copy(&mut (&mut self.archive).take(count), &mut io::sink())?;
        // An archive may end without filling its last block.
        if skipped != count && skipped != 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

impl Extended {
    /// Puts a header and what came before it together; what came before goes first.
    fn member(mut self, header: &Header, kind: Kind) -> io::Result<Member> {
        if self
            .records
            .keys()
            .any(|key| key.starts_with(b"GNU.sparse."))
        {
            return Err(invalid("a sparse file"));
        }
        let given = |records: &mut BTreeMap<Vec<u8>, Vec<u8>>, key: &str| {
            let value = records.remove(key.as_bytes());
            value.filter(|value| !value.is_empty())
        };
        // GNU's names go before PAX's, and PAX's before the header's.
        let of_records = given(&mut self.records, "path");
        let path = self.name.take().filter(|name| !name.is_empty());
        let path = path
            .or(of_records)
            .unwrap_or_else(|| header.path_bytes().into_owned());
        let of_records = given(&mut self.records, "linkpath");
        let link = self.link.take().filter(|name| !name.is_empty());
        let of_header = || header.link_name_bytes().map(std::borrow::Cow::into_owned);
        let link = link.or(of_records).or_else(of_header).unwrap_or_default();
        let size = number(given(&mut self.records, "size"), || size_of(header))?;
        let kind = match kind {
            // The oldest archives know directories by their names.
            Kind::File if header.entry_type().as_byte() == 0 && path.ends_with(b"/") => {
                Kind::Directory
            }
            kind => kind,
        };
        let device = match kind {
            Kind::CharacterDevice | Kind::BlockDevice => device(header)?,
            _ => (0, 0),
        };
        Ok(Member {
            path,
            link,
            kind,
            mode: if_any(&header.as_old().mode, || header.mode())? & 0o7777,
            uid: number(given(&mut self.records, "uid"), || {
                if_any(&header.as_old().uid, || header.uid())
            })?,
            gid: number(given(&mut self.records, "gid"), || {
                if_any(&header.as_old().gid, || header.gid())
            })?,
            size: if kind == Kind::File { size } else { 0 },
            device,
            xattrs: self.xattrs(),
        })
    }

    fn xattrs(self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let named = self.records.into_iter().filter_map(|(key, value)| {
            let name = key.strip_prefix(b"SCHILY.xattr.")?;
            Some((name.to_vec(), value))
        });
        named.collect()
    }
}

/// A number of a header, where it has one: Go takes a blank for 0.
fn if_any<T: Default>(field: &[u8], read: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    if field.iter().all(|byte| matches!(byte, 0 | b' ')) {
        return Ok(T::default());
    }
    read()
}

fn size_of(header: &Header) -> io::Result<u64> {
    if_any(&header.as_old().size, || header.entry_size())
}

fn device(header: &Header) -> io::Result<(u32, u32)> {
    let (major, minor) = match (header.as_gnu(), header.as_ustar()) {
        (Some(gnu), _) => (&gnu.dev_major, &gnu.dev_minor),
        (None, Some(ustar)) => (&ustar.dev_major, &ustar.dev_minor),
        (None, None) => return Ok((0, 0)),
    };
    let number = |field: &[u8], of: fn(&Header) -> io::Result<Option<u32>>| {
        if_any(field, || Ok(of(header)?.unwrap_or(0)))
    };
    Ok((
        number(major, Header::device_major)?,
        number(minor, Header::device_minor)?,
    ))
}

/// A number of a PAX record, or else of the header.
fn number(record: Option<Vec<u8>>, header: impl FnOnce() -> io::Result<u64>) -> io::Result<u64> {
    let Some(record) = record else {
        return header();
    };
    let text = std::str::from_utf8(&record).ok();
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| invalid("a number that is none"))
}

/// PAX records: `LENGTH KEY=VALUE\n`, where the length is that of all of it. A value is any bytes.
fn records(mut bytes: &[u8]) -> io::Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut records = BTreeMap::new();
    while !bytes.is_empty() {
        let (key, value, rest) =
            record(bytes).ok_or_else(|| invalid("a PAX record that is none"))?;
        records.insert(key.to_vec(), value.to_vec());
        bytes = rest;
    }
    Ok(records)
}

fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(bytes.get(..space)?)
        .ok()?
        .parse()
        .ok()?;
    let (record, rest) = bytes.split_at_checked(length)?;
    let record = record.strip_suffix(b"\n")?.get(space + 1..)?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    Some((record.get(..equals)?, record.get(equals + 1..)?, rest))
}

fn until_zero(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    bytes.truncate(end);
    bytes
}

const fn padding(size: u64) -> u64 {
    let block = BLOCK as u64;
    (block - size % block) % block
}

/// Something is wrong with the archive itself.
pub(super) fn invalid(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the archive has {what}"),
    )
}

#[cfg(test)]
#[path = "tar_tests.rs"]
mod tests;
