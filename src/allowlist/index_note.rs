//! What the indexers sign: which tables are the allowlist, and of which log and trust root.
//!
//! Owns the text (docs/formats.md, "Index note"). Who signed it is `note`'s to
//! say; whether it is too old is `policy`'s.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::image::digest::Digest;

/// The longest index note, signatures included, that a node reads on each start.
pub const MAX_INDEX_NOTE_SIZE: u64 = 16 << 10;

const VERSION: &str = "vcn-index/v1";
const SUFFIX: &str = "/index";

/// A table as the index note names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableRef {
    /// The log size that the table covers. For the delta it is the note's own and not written again.
    pub log_size: u64,
    /// How many records it has.
    pub records: u64,
    /// SHA-256 of its header page.
    pub id: Digest,
}

/// The allowlist in seven lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexNote {
    /// The ledger's name. The note's first line and its keys' name are this with `/index`.
    pub origin: String,
    /// Entries of the log that are covered.
    pub log_size: u64,
    /// RFC 6962 root of these entries.
    pub log_root: [u8; 32],
    /// The big table, rebuilt seldom.
    pub base: TableRef,
    /// Every key touched since, each with all its records.
    pub delta: TableRef,
    /// Version of the trust root that the entries were judged by.
    pub root_version: u64,
    /// SHA-256 of that trust root's signed text.
    pub root_digest: Digest,
    /// Unix seconds at which it was signed.
    pub time: u64,
    /// Unix seconds after which it is stale.
    pub expires: u64,
}

/// Why a text is not an index note; names the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexNoteError(pub &'static str);

impl IndexNote {
    /// The name that the indexers' keys of a ledger sign under.
    #[must_use]
    pub fn key_name(origin: &str) -> String {
        format!("{origin}{SUFFIX}")
    }

    /// Parses the signed text. Every line must be there, in order, in its one spelling.
    ///
    /// # Errors
    /// [`IndexNoteError`] naming the first line that is not as it must be.
    pub fn parse(text: &str) -> Result<Self, IndexNoteError> {
        let mut lines = text
            .strip_suffix('\n')
            .ok_or(IndexNoteError("an index note ends in a newline"))?
            .split('\n');
        let mut line = |word| Line::of(lines.next(), word);
        let origin = line("")?.rest();
        let origin = origin
            .strip_suffix(SUFFIX)
            .filter(|origin| !origin.is_empty())
            .ok_or(IndexNoteError("origin line"))?
            .to_owned();
        if line("")?.rest() != VERSION {
            return Err(IndexNoteError("version line"));
        }
        let (log_size, log_root) =
            line("log")?.read(|line| Some((line.number()?, line.hash()?)))?;
        let base = line("base")?.read(|line| {
            Some(TableRef {
                log_size: line.number()?,
                records: line.number()?,
                id: Digest::from_bytes(line.hash()?),
            })
        })?;
        let delta = line("delta")?.read(|line| {
            Some(TableRef {
                log_size,
                records: line.number()?,
                id: Digest::from_bytes(line.hash()?),
            })
        })?;
        let (root_version, root_digest) =
            line("root")?.read(|line| Some((line.number()?, Digest::from_bytes(line.hash()?))))?;
        let (time, expires) = line("time")?.read(|line| Some((line.number()?, line.number()?)))?;
        if lines.next().is_some() {
            return Err(IndexNoteError("a line too many"));
        }
        if base.log_size > log_size {
            return Err(IndexNoteError("the base covers more than the log"));
        }
        if expires < time {
            return Err(IndexNoteError("it expires before it is signed"));
        }
        Ok(Self {
            origin,
            log_size,
            log_root,
            base,
            delta,
            root_version,
            root_digest,
            time,
            expires,
        })
    }

    /// The text to sign; [`Self::parse`] reads it back.
    #[must_use]
    pub fn format(&self) -> String {
        let base64 = |bytes: &[u8; 32]| BASE64.encode(bytes);
        format!(
            "{}{SUFFIX}\n{VERSION}\nlog {} {}\nbase {} {} {}\ndelta {} {}\nroot {} {}\ntime {} {}\n",
            self.origin,
            self.log_size,
            base64(&self.log_root),
            self.base.log_size,
            self.base.records,
            base64(self.base.id.as_bytes()),
            self.delta.records,
            base64(self.delta.id.as_bytes()),
            self.root_version,
            base64(self.root_digest.as_bytes()),
            self.time,
            self.expires,
        )
    }
}

/// One line: its first word, which the error names, and what follows.
struct Line<'a> {
    word: &'static str,
    fields: &'a str,
}

impl<'a> Line<'a> {
    fn of(line: Option<&'a str>, word: &'static str) -> Result<Self, IndexNoteError> {
        let line = line.ok_or(IndexNoteError("a line is missing"))?;
        let fields = match word {
            "" => Some(line),
            _ => line
                .strip_prefix(word)
                .and_then(|rest| rest.strip_prefix(' ')),
        };
        let fields = fields.ok_or_else(|| broken(word))?;
        Ok(Self { word, fields })
    }

    fn rest(self) -> &'a str {
        self.fields
    }

    fn read<T>(mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Result<T, IndexNoteError> {
        // A field is taken with the space before it, so an empty remainder means: nothing more.
        let fields = self.fields;
        let value = read(&mut self).filter(|_| self.fields.is_empty() && !fields.ends_with(' '));
        value.ok_or_else(|| broken(self.word))
    }

    fn field(&mut self) -> &'a str {
        let (field, rest) = self.fields.split_once(' ').unwrap_or((self.fields, ""));
        self.fields = rest;
        field
    }

    fn number(&mut self) -> Option<u64> {
        let field = self.field();
        let canonical = field == "0" || !field.starts_with('0');
        (canonical && field.bytes().all(|digit| digit.is_ascii_digit()))
            .then(|| field.parse().ok())
            .flatten()
    }

    fn hash(&mut self) -> Option<[u8; 32]> {
        BASE64.decode(self.field()).ok()?.try_into().ok()
    }
}

fn broken(word: &'static str) -> IndexNoteError {
    IndexNoteError(match word {
        "log" => "log line",
        "base" => "base line",
        "delta" => "delta line",
        "root" => "root line",
        _ => "time line",
    })
}

impl fmt::Display for IndexNoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not an index note: {}", self.0)
    }
}

impl std::error::Error for IndexNoteError {}

#[cfg(test)]
mod tests {
    use super::{IndexNote, IndexNoteError, TableRef};
    use crate::image::digest::Digest;

    const TEXT: &str = "\
ledger.example/vcn/index
vcn-index/v1
log 20852163 ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs=
base 20850000 10000000 PiPoFgA5WUoztU6TkN4R5FEtpvHXi9kcDXvFcJgs1KM=
delta 412 Ln0sA6lQeuJl7PWbU0Y2mTQEjdGFN27gZtHM9AWZ5CE=
root 3 GKwlrIRvVfGm5LXVC1MzVKqjUJ5k6VvHIGxLCHvTAwg=
time 1790000000 1790086400
";

    #[test]
    fn a_note_survives_its_encoding() {
        let note = IndexNote {
            origin: "ledger.example/vcn".into(),
            log_size: 9,
            log_root: [7; 32],
            base: TableRef {
                log_size: 0,
                records: 0,
                id: Digest::of(b"base"),
            },
            delta: TableRef {
                log_size: 9,
                records: 5,
                id: Digest::of(b"delta"),
            },
            root_version: 1,
            root_digest: Digest::of(b"root"),
            time: 1_790_000_000,
            expires: u64::MAX,
        };
        assert_eq!(IndexNote::parse(&note.format()), Ok(note));
    }

    #[test]
    fn reads_the_documented_example() {
        let note = IndexNote::parse(TEXT).unwrap();
        assert_eq!(note.format(), TEXT);
        assert_eq!(note.origin, "ledger.example/vcn");
        assert_eq!(note.delta.log_size, note.log_size);
        assert_eq!(
            IndexNote::key_name(&note.origin),
            "ledger.example/vcn/index"
        );
    }

    #[test]
    fn refuses_every_other_spelling() {
        for (from, to, error) in [
            ("vcn/index\n", "vcn\n", "origin line"),
            ("ledger.example/vcn/index", "/index", "origin line"),
            ("index/v1", "index/v2", "version line"),
            ("log 2", "log 02", "log line"),
            ("log 2", "log +2", "log line"),
            ("log 2", "log  2", "log line"),
            ("log 2", "logs 2", "log line"),
            ("uSLs=\n", "uSLs= \n", "log line"),
            ("uSLs=\n", "uSLs= 1\n", "log line"),
            ("uSLs=\n", "uSLs\n", "log line"),
            ("uSLs=\n", "uSLt=\n", "log line"),
            ("uSLs=\n", "uSLs=\r\n", "log line"),
            (
                "base 20850000",
                "base 20852164",
                "the base covers more than the log",
            ),
            ("10000000", "99999999999999999999", "base line"),
            ("delta 412", "delta -1", "delta line"),
            ("delta 412", "delta ", "delta line"),
            ("root 3 ", "root ", "root line"),
            (" 1790086400\n", "\n", "time line"),
            ("6400\n", "6400 \n", "time line"),
            ("1790086400", "1789999999", "it expires before it is signed"),
            ("6400\n", "6400\nmore\n", "a line too many"),
            ("6400\n", "6400\n\n", "a line too many"),
            ("6400\n", "6400", "an index note ends in a newline"),
            ("\ntime 1790000000 1790086400", "", "a line is missing"),
        ] {
            let text = TEXT.replacen(from, to, 1);
            assert_ne!(text, TEXT, "{from}");
            assert_eq!(
                IndexNote::parse(&text),
                Err(IndexNoteError(error)),
                "{text}"
            );
        }
    }
}
