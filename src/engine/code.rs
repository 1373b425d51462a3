//! Where the code of a container is: what runs first, what loads it, and where it looks for more.
//!
//! Owns how a command becomes a file (`PATH`, symlinks, `PT_INTERP`, `#!`).
//! Reads the root file system as it is mounted, before anything of the bundle
//! is mounted over it.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::bundle::Process;
use crate::sys::lookup::{Found, Root, read_start};

/// What a runtime looks through when the process has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What dynamic linkers look through, whatever the architecture; the rest is below these.
const LIBRARIES: [&str; 9] = [
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libx32",
    "/usr/local/lib",
];

/// What tells the linker to load something else.
const LINKER: [&str; 4] = [
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
];

/// A script may name a script as its interpreter; Linux follows four.
const MAX_INTERPRETERS: usize = 5;
/// The longest `PT_INTERP` that Linux loads.
const MAX_PATH: usize = 4096;

/// The places of a container's code, as the container sees them, without symlinks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Code {
    /// The programs, their interpreters, and the linker's files.
    pub files: Vec<PathBuf>,
    /// Directories of which everything counts.
    pub directories: Vec<PathBuf>,
}

impl Code {
    /// Finds the code of a process. Besides its own program, `also` names one that it will start.
    ///
    /// # Errors
    /// The operating system's.
    pub fn of(root: &Root, process: &Process, also: Option<&str>) -> io::Result<Self> {
        let search = search_path(root, process)?;
        let mut code = Self::default();
        for directory in &search {
            code.add_directory(directory.clone());
        }
        for directory in LIBRARIES {
            code.add_directory(root.resolve(Path::new(directory))?);
        }
        for directory in variable(process, "LD_LIBRARY_PATH").flat_map(split_list) {
            code.add_directory(root.resolve(&process.cwd.join(directory))?);
        }
        for file in LINKER {
            code.files.push(root.resolve(Path::new(file))?.path);
        }
        let preloaded = variable(process, "LD_PRELOAD").chain(variable(process, "LD_AUDIT"));
        for file in preloaded.flat_map(|list| list.split([':', ' '])) {
            if file.contains('/') {
                code.files.push(root.resolve(&process.cwd.join(file))?.path);
            }
        }
        for command in process
            .args
            .first()
            .map(String::as_str)
            .into_iter()
            .chain(also)
        {
            if let Some(program) = find(root, command, &search, &process.cwd)? {
                code.add_program(root, &program, &search)?;
            }
        }
        Ok(code)
    }

    /// The place of code that a mount at `destination` (without symlinks) would cover.
    #[must_use]
    pub fn covered_by(&self, destination: &Path) -> Option<&Path> {
        let above = |place: &&PathBuf| place.starts_with(destination);
        let covered = self.files.iter().chain(&self.directories).find(above);
        let within = || {
            self.directories
                .iter()
                .find(|place| destination.starts_with(place))
        };
        covered.or_else(within).map(PathBuf::as_path)
    }

    /// The programs that will run, and what loads them: all files but the linker's lists.
    pub fn programs(&self) -> impl Iterator<Item = &Path> {
        let lists = |path: &&Path| !LINKER.iter().any(|list| path.starts_with(list));
        self.files.iter().map(PathBuf::as_path).filter(lists)
    }

    fn add_directory(&mut self, found: Found) {
        // A search path of `/` would make everything code; what is searched there is a file of its own.
        if found.path != Path::new("/") && !self.directories.contains(&found.path) {
            self.directories.push(found.path);
        }
    }

    /// Adds a program and whatever the kernel loads to run it.
    fn add_program(&mut self, root: &Root, program: &Path, search: &[Found]) -> io::Result<()> {
        let mut next = Some(program.to_path_buf());
        for _ in 0..MAX_INTERPRETERS {
            let Some(program) = next.take() else { break };
            self.files.push(program.clone());
            let Some(file) = root.open_file(&program)? else {
                break;
            };
            let Interpreter { path, argument } = interpreter(&file)?;
            if let Some(path) = path {
                let found = root.resolve(Path::new(OsStr::from_bytes(&path)))?;
                if found.path.file_name() == Some("env".as_ref())
                    && let Some(command) = argument.as_deref().and_then(|a| str::from_utf8(a).ok())
                    && let Some(program) = find(root, command, search, Path::new("/"))?
                {
                    self.files.push(program);
                }
                if found.exists {
                    next = Some(found.path);
                } else {
                    // Whatever is mounted there would be what runs.
                    self.files.push(found.path);
                }
            }
        }
        Ok(())
    }
}

fn variable<'a>(process: &'a Process, name: &'a str) -> impl Iterator<Item = &'a str> {
    process
        .env
        .iter()
        .filter_map(move |entry| entry.strip_prefix(name)?.strip_prefix('='))
}

fn split_list(list: &str) -> impl Iterator<Item = &str> {
    list.split([':', ';'])
}

/// Every directory of every `PATH` that the process is given; runtimes differ in which one they take.
fn search_path(root: &Root, process: &Process) -> io::Result<Vec<Found>> {
    let mut lists = variable(process, "PATH").peekable();
    let default = lists.peek().is_none().then_some(DEFAULT_PATH);
    lists
        .chain(default)
        .flat_map(|list| list.split(':'))
        .map(|directory| root.resolve(&process.cwd.join(directory)))
        .collect()
}

fn find(root: &Root, command: &str, search: &[Found], cwd: &Path) -> io::Result<Option<PathBuf>> {
    let candidates: Vec<PathBuf> = if command.contains('/') {
        vec![cwd.join(command)]
    } else {
        let there = search.iter().filter(|directory| directory.exists);
        there
            .map(|directory| directory.path.join(command))
            .collect()
    };
    for candidate in candidates {
        let found = root.resolve(&candidate)?;
        if found.exists {
            return Ok(Some(found.path));
        }
    }
    Ok(None)
}

/// How a program is run.
#[derive(Default)]
struct Interpreter {
    /// What the kernel loads to run it.
    path: Option<Vec<u8>>,
    /// What a script's `env` is told to run.
    argument: Option<Vec<u8>>,
}

fn interpreter(file: &File) -> io::Result<Interpreter> {
    let start = read_start::<1024>(file)?;
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
fn elf_interpreter(file: &File, start: &[u8]) -> io::Result<Option<Vec<u8>>> {
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};

    use super::Code;
    use crate::engine::bundle::Process;
    use crate::sys::lookup::Root;

    struct Image(tempfile::TempDir);

    impl Image {
        fn new(files: &[(&str, &[u8])]) -> Self {
            let image = Self(tempfile::tempdir().expect("a temporary directory"));
            for (name, bytes) in files {
                let path = image.0.path().join(name);
                std::fs::create_dir_all(path.parent().expect("it has one")).expect("made");
                std::fs::write(path, bytes).expect("written");
            }
            image
        }

        fn code(&self, args: &[&str], env: &[&str]) -> Code {
            let own = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
            let process = Process {
                args: own(args),
                env: own(env),
                cwd: "/".into(),
                ..Process::default()
            };
            let root = Root::open(self.0.path()).expect("it is there");
            Code::of(&root, &process, None).expect("it can be read")
        }
    }

    fn has(code: &Code, path: &str) -> bool {
        code.files.contains(&PathBuf::from(path))
    }

    #[test]
    fn finds_the_program_its_interpreters_and_what_env_runs() {
        let image = Image::new(&[
            ("usr/bin/app", b"#!/usr/bin/env -S python3 -u\n"),
            ("usr/bin/env", b"\x7fELF"),
            ("opt/python3", b"#! /usr/bin/loader\n"),
            ("usr/bin/loader", b""),
        ]);
        symlink("/opt/python3", image.0.path().join("usr/bin/python3")).expect("linked");
        symlink("usr/bin", image.0.path().join("bin")).expect("linked");
        let code = image.code(&["app"], &["PATH=/none:/bin"]);
        for file in [
            "/usr/bin/app",
            "/usr/bin/env",
            "/opt/python3",
            "/etc/ld.so.preload",
        ] {
            assert!(has(&code, file), "{file} in {code:?}");
        }
    }

    #[test]
    fn finds_the_interpreter_of_a_real_program() {
        let shell = Path::new("/bin/sh")
            .canonicalize()
            .expect("there is a shell");
        let bytes = crate::sys::file::read_capped(&shell, 16 << 20).expect("it can be read");
        let image = Image::new(&[("app", &bytes)]);
        let code = image.code(&["/app"], &[]);
        let loads = |file: &PathBuf| file.to_string_lossy().contains("ld-");
        assert!(code.files.iter().any(loads), "{code:?}");
    }

    #[test]
    fn knows_which_mounts_cover_code() {
        let image = Image::new(&[("srv/app", b""), ("usr/lib/libc.so", b"")]);
        symlink("usr/lib", image.0.path().join("lib")).expect("linked");
        let code = image.code(&["srv/app"], &["PATH=/usr/bin", "LD_LIBRARY_PATH=/plugins"]);
        for (destination, covers) in [
            ("/", true),
            ("/srv", true),
            ("/srv/app", true),
            ("/srv/data", false),
            ("/usr/bin", true),
            ("/usr/bin/new", true),
            ("/usr/binary", false),
            ("/usr/lib/x/libc.so", true),
            ("/plugins/x.so", true),
            ("/etc/ld.so.preload", true),
            ("/etc", true),
            ("/etc/hosts", false),
            ("/proc", false),
            ("/data", false),
        ] {
            let covered = code.covered_by(Path::new(destination));
            assert_eq!(covered.is_some(), covers, "{destination}: {covered:?}");
        }
    }
}
