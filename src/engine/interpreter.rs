//! What the kernel loads to run a file: `PT_INTERP` of a program, `#!` of a script.

use std::io;

use crate::sys::source::Source;

/// The longest `PT_INTERP` that Linux loads.
const MAX_PATH: usize = 4096;

/// As much as the longest `#!` line that Linux reads, and more than an ELF header.
const START: usize = 1024;

/// How a program is run.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// What the kernel loads to run it.
    pub path: Option<Vec<u8>>,
    /// What a script's `env` is told to run.
    pub argument: Option<Vec<u8>>,
}

/// Reads how a file is run.
///
/// # Errors
/// The operating system's.
pub fn interpreter(file: &dyn Source) -> io::Result<Interpreter> {
    let mut start = vec![0; START];
    let length = file.read_at(&mut start, 0)?;
    start.truncate(length);
    if let Some(line) = start.strip_prefix(b"#!") {
        let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let mut words = line
            .split(|byte| matches!(byte, b' ' | b'\t'))
            .filter(|word| !word.is_empty())
            .map(<[u8]>::to_vec);
        return Ok(Interpreter {
            path: words.next(),
            // `env -S` splits what follows; its own options say nothing of the program.
            argument: words.find(|word| !word.starts_with(b"-")),
        });
    }
    Ok(Interpreter {
        path: elf_interpreter(file, &start)?,
        argument: None,
    })
}

/// Finds `PT_INTERP` (ELF-64 and ELF-32, `elf(5)`), in this machine's byte order only: no other runs.
fn elf_interpreter(file: &dyn Source, start: &[u8]) -> io::Result<Option<Vec<u8>>> {
    const PT_INTERP: u64 = 3;
    let wide = match start {
        [0x7f, b'E', b'L', b'F', 2, ..] => true,
        [0x7f, b'E', b'L', b'F', 1, ..] => false,
        _ => return Ok(None),
    };
    let word = if wide { 8 } else { 4 };
    let (table, size, count) = if wide { (32, 54, 56) } else { (28, 42, 44) };
    let table = number(start, table, word);
    let (size, count) = (number(start, size, 2), number(start, count, 2));
    // A header has 56 or 32 bytes; more of them than this, no linker writes.
    if !(32..=64).contains(&size) || count > 512 {
        return Ok(None);
    }
    let mut headers = vec![0; usize::try_from(size * count).unwrap_or(0)];
    if file.read_exact_at(&mut headers, table).is_err() {
        return Ok(None);
    }
    let found = headers
        .chunks_exact(usize::try_from(size).unwrap_or(1))
        .find(|header| number(header, 0, 4) == PT_INTERP);
    let Some(header) = found else { return Ok(None) };
    let (offset, length) = if wide { (8, 32) } else { (4, 16) };
    let length = usize::try_from(number(header, length, word)).unwrap_or(MAX_PATH);
    let mut path = vec![0; length.min(MAX_PATH)];
    let read = file.read_at(&mut path, number(header, offset, word))?;
    path.truncate(read);
    let end = path
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(path.len());
    path.truncate(end);
    Ok((!path.is_empty()).then_some(path))
}

/// A number of `length` bytes at `at`; 0 when it is outside.
fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    let mut whole = [0_u8; 8];
    let found = bytes.get(at..).unwrap_or_default().iter().take(length);
    for (slot, byte) in whole.iter_mut().zip(found) {
        *slot = *byte;
    }
    u64::from_le_bytes(whole)
}
