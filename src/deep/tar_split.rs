//! What an engine keeps of a layer's archive: all but the content of its files (vbatts/tar-split).
//!
//! Owns the format: gzip of one JSON object a line, of which type 2 has bytes of the archive, and
//! type 1 stands for a file's content and has its CRC-64. Together with the files it gives the archive
//! back, byte for byte. The file is as good as its disk: that is for whoever hashes the result to say.

use std::io::{self, BufRead, Read};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::tar::invalid;

/// A line holds a member's headers, or the zeros at the archive's end, of which writers make a megabyte a line.
const MAX_LINE: u64 = 8 << 20;

/// The bytes of the archive that are kept, and the places where a file's content belongs.
#[derive(Debug)]
pub struct TarSplit<R> {
    lines: R,
    line: Vec<u8>,
    kept: Vec<u8>,
    read: usize,
    content: Option<Content>,
}

/// The place of a file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// How many bytes it has.
    pub size: u64,
    /// Their CRC-64.
    pub crc: Option<u64>,
}

#[derive(Deserialize)]
struct Line<'a> {
    r#type: u8,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    payload: Option<&'a str>,
}

impl<R: BufRead> TarSplit<R> {
    /// Reads the decompressed lines.
    pub const fn new(lines: R) -> Self {
        Self {
            lines,
            line: Vec::new(),
            kept: Vec::new(),
            read: 0,
            content: None,
        }
    }

    /// The place of a file's content that comes next, if that is what comes next.
    ///
    /// # Errors
    /// The reader's; `InvalidData` for what is no such file.
    pub fn content(&mut self) -> io::Result<Option<Content>> {
        while self.read >= self.kept.len() && self.content.is_none() {
            if !self.advance()? {
                return Ok(None);
            }
        }
        Ok(self.content.take_if(|_| self.read >= self.kept.len()))
    }

    /// Takes the next line; false at the end.
    fn advance(&mut self) -> io::Result<bool> {
        self.line.clear();
        (&mut self.lines)
            .take(MAX_LINE)
            .read_until(b'\n', &mut self.line)?;
        if self.line.is_empty() {
            return Ok(false);
        }
        if self.line.len() as u64 >= MAX_LINE {
            return Err(invalid("a record of too long a line"));
        }
        let line: Line<'_> =
            serde_json::from_slice(&self.line).map_err(|_| invalid("a record that is none"))?;
        let payload = line.payload.unwrap_or_default();
        match line.r#type {
            1 if line.size == 0 => {}
            1 => {
                let crc = STANDARD.decode(payload).ok();
                let crc = crc.and_then(|bytes| Some(u64::from_be_bytes(bytes.try_into().ok()?)));
                let size = line.size;
                self.content = Some(Content { size, crc });
            }
            2 => {
                self.kept.clear();
                self.read = 0;
                STANDARD
                    .decode_vec(payload, &mut self.kept)
                    .map_err(|_| invalid("a record that is none"))?;
            }
            _ => return Err(invalid("a record of an unknown type")),
        }
        Ok(true)
    }
}

/// The bytes that are kept. Where a file's content belongs comes an error: it is to be taken first.
impl<R: BufRead> Read for TarSplit<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read >= self.kept.len() {
            if self.content.is_some() {
                return Err(invalid("a record that its members do not fit"));
            }
            if !self.advance()? {
                return Ok(0);
            }
        }
        let count = self
            .kept
            .get(self.read..)
            .unwrap_or_default()
            .read(buffer)?;
        self.read += count;
        Ok(count)
    }
}

/// CRC-64 as Go's `crc64.ISO` has it. It finds which file was changed, where a digest has said that one was.
#[derive(Debug, Clone, Copy)]
pub struct Crc64(u64);

impl Crc64 {
    const TABLE: [u64; 256] = table();

    /// Of nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(!0)
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let [low, ..] = self.0.to_le_bytes();
            let entry = Self::TABLE.get(usize::from(low ^ byte));
            self.0 = entry.copied().unwrap_or_default() ^ (self.0 >> 8);
        }
    }

    /// Of all that was added.
    #[must_use]
    pub const fn value(self) -> u64 {
        !self.0
    }
}

impl Default for Crc64 {
    fn default() -> Self {
        Self::new()
    }
}

#[expect(clippy::indexing_slicing, reason = "computed when this is compiled")]
#[expect(clippy::cast_possible_truncation, reason = "below 256")]
const fn table() -> [u64; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = index;
        let mut bit = 0;
        while bit < 8 {
            value = match value & 1 {
                1 => value >> 1 ^ 0xd800_0000_0000_0000,
                _ => value >> 1,
            };
            bit += 1;
        }
        table[index as usize] = value;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::{Content, Crc64, TarSplit};
    use std::io::Read as _;

    /// As vbatts/tar-split writes them: a header, a file of five bytes, an empty file, the end.
    const LINES: &str = "\
        {\"type\":2,\"payload\":\"YWI=\",\"position\":0}\n\
        {\"type\":1,\"name\":\"hello\",\"size\":5,\"payload\":\"sJPWl8kAAAA=\",\"position\":1}\n\
        {\"type\":2,\"payload\":\"Y2Q=\",\"position\":2}\n\
        {\"type\":1,\"name\":\"empty\",\"payload\":null,\"position\":3}\n\
        {\"type\":2,\"payload\":\"ZQ==\",\"position\":4}\n";

    #[test]
    fn kept_bytes_and_places_come_in_their_order() {
        let mut split = TarSplit::new(LINES.as_bytes());
        assert_eq!(split.content().unwrap(), None, "bytes come first");
        let mut two = [0; 2];
        split.read_exact(&mut two).unwrap();
        assert_eq!(&two, b"ab");
        split
            .read_exact(&mut two)
            .expect_err("a file comes, not bytes");
        let crc = Some(0xb093_d697_c900_0000);
        assert_eq!(split.content().unwrap(), Some(Content { size: 5, crc }));
        let mut rest = Vec::new();
        split.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"cde");
        assert_eq!(split.content().unwrap(), None);
    }

    #[test]
    fn what_is_no_record_is_an_error() {
        for lines in [
            "x\n",
            "{}\n",
            "{\"type\":3}\n",
            "{\"type\":2,\"payload\":\"%\"}\n",
            "{\"type\":2,\"payload\":7}\n",
            "{\"type\":1,\"size\":-1}\n",
            "{\"type\":2,\"payload\":\"YWI=\"",
        ] {
            let mut split = TarSplit::new(lines.as_bytes());
            let error = split.read_to_end(&mut Vec::new());
            error.expect_err(lines);
        }
        let endless = std::io::BufReader::new(std::io::repeat(b' '));
        let error = TarSplit::new(endless).read(&mut [0; 1]);
        assert!(error.unwrap_err().to_string().contains("too long"));
    }

    #[test]
    fn the_checksum_is_gos() {
        // "123456789" by CRC-64/GO-ISO, of the catalogue of CRCs.
        for (bytes, value) in [(&b""[..], 0), (b"123456789", 0xb909_56c7_75a4_1001)] {
            let mut crc = Crc64::new();
            crc.update(bytes);
            assert_eq!(crc.value(), value);
        }
    }
}
