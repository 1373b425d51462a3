//! A ledger that is a directory on this machine.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use super::{Fresh, Piece, ReadError, Sink, TlogRead};
use crate::image::digest::Digest;
use crate::sys::file::open_regular;

/// Reads the files of a log directory, each with a bound.
#[derive(Debug)]
pub struct Dir {
    root: PathBuf,
    place: String,
}

impl Dir {
    /// Opens a directory.
    ///
    /// # Errors
    /// [`ReadError::Unreachable`] when there is none of this name.
    pub fn open(root: &Path) -> Result<Self, ReadError> {
        let place = root.display().to_string();
        match std::fs::metadata(root) {
            Ok(metadata) if metadata.is_dir() => Ok(Self {
                root: root.to_owned(),
                place,
            }),
            Ok(_) => Err(unreachable(place, "not a directory")),
            Err(error) => Err(unreachable(place, error)),
        }
    }

    fn file(&self, path: &str) -> Result<Option<File>, ReadError> {
        match open_regular(&self.root.join(path)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed(path, error)),
        }
    }

    fn failed(&self, path: &str, why: impl ToString) -> ReadError {
        unreachable(format!("{}/{path}", self.place), why)
    }

    fn too_long(&self, path: &str, cap: u64) -> ReadError {
        ReadError::BadAnswer {
            place: format!("{}/{path}", self.place),
            why: format!("longer than {cap} bytes"),
        }
    }
}

fn unreachable(place: String, why: impl ToString) -> ReadError {
    ReadError::Unreachable {
        place,
        why: why.to_string(),
    }
}

impl TlogRead for Dir {
    fn place(&self) -> &str {
        &self.place
    }

    fn piece(&self, path: &str, from: u64, cap: u64) -> Result<Option<Piece>, ReadError> {
        let Some(mut file) = self.file(path)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(from))
            .and_then(|_| file.take(cap.saturating_add(1)).read_to_end(&mut bytes))
            .map_err(|error| self.failed(path, error))?;
        if from.saturating_add(bytes.len() as u64) > cap {
            return Err(self.too_long(path, cap));
        }
        Ok(Some(Piece { from, bytes }))
    }

    fn slice(&self, path: &str, from: u64, length: u64) -> Result<Option<Vec<u8>>, ReadError> {
        let Some(mut file) = self.file(path)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(from))
            .and_then(|_| file.take(length).read_to_end(&mut bytes))
            .map_err(|error| self.failed(path, error))?;
        Ok(Some(bytes))
    }

    fn fresh(&self, path: &str, etag: Option<&str>, cap: u64) -> Result<Option<Fresh>, ReadError> {
        Ok(self.piece(path, 0, cap)?.map(|Piece { bytes, .. }| {
            // A directory has no etags of its own, so what the file says is its name.
            let found = Digest::of(&bytes).hex();
            if etag == Some(found.as_str()) {
                return Fresh::Same;
            }
            Fresh::New {
                bytes,
                etag: Some(found),
            }
        }))
    }

    fn copy(
        &self,
        path: &str,
        from: u64,
        cap: u64,
        sink: &mut dyn Sink,
    ) -> Result<Option<u64>, ReadError> {
        let Some(mut file) = self.file(path)? else {
            return Ok(None);
        };
        let length = file
            .metadata()
            .map_err(|error| self.failed(path, error))?
            .len();
        if length > cap {
            return Err(self.too_long(path, cap));
        }
        // A partial copy longer than the file was made from something else.
        let from = if from <= length { from } else { 0 };
        file.seek(SeekFrom::Start(from))
            .map_err(|error| self.failed(path, error))?;
        sink.begin(from)
            .map_err(|error| ReadError::Store(error.to_string()))?;
        let mut rest = file.take(cap.saturating_sub(from));
        super::pump(&mut rest, sink, |error| self.failed(path, error)).map(Some)
    }
}
