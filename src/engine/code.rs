//! Where the code of a container is: what runs first, what loads it, and where it looks for more.
//!
//! Owns how a command becomes a file (`PATH`, symlinks, interpreters).
//! Reads the root file system as it is mounted, before anything of the bundle
//! is mounted over it.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::bundle::Process;
use super::interpreter::{Interpreter, interpreter};
use crate::sys::lookup::{Found, Root, is_within};

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

/// What tells the linker to load something else; musl has a list for each architecture.
const LINKER: [&str; 12] = [
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    "/etc/ld-musl-x86_64.path",
    "/etc/ld-musl-i386.path",
    "/etc/ld-musl-aarch64.path",
    "/etc/ld-musl-armhf.path",
    "/etc/ld-musl-powerpc64le.path",
    "/etc/ld-musl-s390x.path",
    "/etc/ld-musl-riscv64.path",
    "/etc/ld-musl-loongarch64.path",
];

/// Variables by which linkers find code. A `$` in one stands for what only the linker knows.
const LINKER_VARIABLES: [&str; 3] = ["LD_LIBRARY_PATH", "LD_PRELOAD", "LD_AUDIT"];

/// A script may name a script as its interpreter; Linux follows four.
const MAX_INTERPRETERS: usize = 5;

/// The places of a container's code, as the container sees them, without symlinks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Code {
    /// The programs, their interpreters, and the linker's files.
    pub files: Vec<PathBuf>,
    /// Directories of which everything counts.
    pub directories: Vec<PathBuf>,
    /// Symlinks on the way to any of these, and what `..` led out of: if another is there, so is other code.
    pub through: Vec<PathBuf>,
    /// The variable that makes the linker look where nobody can say.
    pub anywhere: Option<&'static str>,
    /// Whether libraries are looked for in `/` itself.
    pub libraries_at_top: bool,
}

impl Code {
    /// Finds the code of a process. Besides its own program, `also` names others that it may start.
    ///
    /// # Errors
    /// The operating system's.
    pub fn of(root: &Root, process: &Process, also: &[String]) -> io::Result<Self> {
        let mut code = Self::default();
        let search = code.search_path(root, process)?;
        for directory in &search {
            code.add_directory(directory.path.clone());
        }
        for directory in LIBRARIES {
            let directory = code.resolve(root, Path::new(directory))?.path;
            code.add_directory(directory);
        }
        code.add_linkers(root, process)?;
        let (search, cwd) = (search.as_slice(), process.cwd.as_path());
        let at = Place { search, cwd };
        for command in process.args.first().into_iter().chain(also) {
            if let Some(program) = code.find(root, OsStr::new(command), &at)? {
                code.add_program(root, program, &at)?;
            }
        }
        Ok(code)
    }

    /// Adds what the linker reads besides its own directories.
    fn add_linkers(&mut self, root: &Root, process: &Process) -> io::Result<()> {
        for file in LINKER {
            let file = self.resolve(root, Path::new(file))?.path;
            self.files.push(file);
        }
        let has_dollar = |name: &&str| variable(process, name).any(|value| value.contains('$'));
        self.anywhere = LINKER_VARIABLES.into_iter().find(has_dollar);
        for list in variable(process, "LD_LIBRARY_PATH") {
            // What separates for one of glibc and musl is part of the name for the other.
            let directories = list.split([':', ';']).chain(list.split([':', '\n']));
            for directory in directories {
                let directory = self.resolve(root, &process.cwd.join(directory))?.path;
                self.libraries_at_top |= directory == Path::new("/");
                self.add_directory(directory);
            }
        }
        for list in variable(process, "LD_PRELOAD").chain(variable(process, "LD_AUDIT")) {
            let spaced = |c: char| c == ':' || c.is_ascii_whitespace() || c == '\x0b';
            let files = list.split([':', ' ']).chain(list.split(spaced));
            for file in files
                .chain(list.split(':'))
                .filter(|file| file.contains('/'))
            {
                let file = self.resolve(root, &process.cwd.join(file))?.path;
                if !self.files.contains(&file) {
                    self.files.push(file);
                }
            }
        }
        Ok(())
    }

    /// The place of code that a mount at `destination` (without symlinks) would cover.
    #[must_use]
    pub fn covered_by<'a>(&'a self, destination: &'a Path) -> Option<&'a Path> {
        let is_library = self.libraries_at_top && is_library_at_top(destination);
        if is_library || is_musl_list(destination) {
            return Some(destination);
        }
        let above = |place: &&PathBuf| is_within(place, destination);
        let places = self.files.iter().chain(&self.directories);
        let covered = places.chain(&self.through).find(above);
        let within = || {
            self.directories
                .iter()
                .find(|place| is_within(destination, place))
        };
        covered.or_else(within).map(PathBuf::as_path)
    }

    /// The programs that will run, and what loads them: all files but the linker's lists.
    pub fn programs(&self) -> impl Iterator<Item = &Path> {
        let lists = |path: &&Path| !LINKER.iter().any(|list| path.starts_with(list));
        self.files.iter().map(PathBuf::as_path).filter(lists)
    }

    fn resolve(&mut self, root: &Root, path: &Path) -> io::Result<Found> {
        let mut found = root.resolve(path)?;
        for place in found.through.drain(..) {
            // Nothing but a mount over everything replaces `/`, and that covers all code anyway.
            if place.as_os_str() != "/" && !self.through.contains(&place) {
                self.through.push(place);
            }
        }
        Ok(found)
    }

    fn add_directory(&mut self, path: PathBuf) {
        // A search path of `/` would make everything code; what is searched there is a file of its own.
        if path != Path::new("/") && !self.directories.contains(&path) {
            self.directories.push(path);
        }
    }

    /// Every directory of every `PATH` that the process is given; runtimes differ in which one they take.
    fn search_path(&mut self, root: &Root, process: &Process) -> io::Result<Vec<Found>> {
        let mut lists = variable(process, "PATH").peekable();
        let default = lists.peek().is_none().then_some(DEFAULT_PATH);
        lists
            .chain(default)
            .flat_map(|list| list.split(':'))
            .map(|directory| self.resolve(root, &process.cwd.join(directory)))
            .collect()
    }

    /// Finds what a command runs. Where the image has nothing, whatever is mounted there would run.
    fn find(&mut self, root: &Root, command: &OsStr, at: &Place<'_>) -> io::Result<Option<Found>> {
        if command.as_bytes().contains(&b'/') {
            return self.resolve(root, &at.cwd.join(command)).map(Some);
        }
        for directory in at.search {
            let found = self.resolve(root, &directory.path.join(command))?;
            if found.exists && root.open_file(&found.path)?.is_some_and(is_executable) {
                return Ok(Some(found));
            }
            // All other directories count as a whole.
            if directory.path == Path::new("/") {
                self.files.push(found.path);
            }
        }
        Ok(None)
    }

    /// Adds a program and whatever the kernel loads to run it.
    fn add_program(&mut self, root: &Root, program: Found, at: &Place<'_>) -> io::Result<()> {
        let mut next = Some(program);
        for _ in 0..MAX_INTERPRETERS {
            let Some(program) = next.take() else { break };
            self.files.push(program.path.clone());
            if !program.exists {
                break;
            }
            let Some(file) = root.open_file(&program.path)? else {
                break;
            };
            let Interpreter { path, argument } = interpreter(&file)?;
            if let Some(path) = path {
                let found = self.resolve(root, &at.cwd.join(OsStr::from_bytes(&path)))?;
                if found.path.file_name() == Some("env".as_ref())
                    && let Some(command) = &argument
                    && let Some(program) = self.find(root, OsStr::from_bytes(command), at)?
                {
                    self.files.push(program.path);
                }
                next = Some(found);
            }
        }
        Ok(())
    }
}

/// From where a command is looked up.
struct Place<'a> {
    search: &'a [Found],
    cwd: &'a Path,
}

fn is_executable(file: File) -> bool {
    file.metadata()
        .is_ok_and(|metadata| metadata.mode() & 0o111 != 0)
}

/// `/libx.so.1`, or below a directory of glibc's for some processors only.
fn is_library_at_top(path: &Path) -> bool {
    let name = path.components().nth(1).map(|part| part.as_os_str());
    let name = name.unwrap_or_default().to_string_lossy();
    let kinds = ["glibc-hwcaps", "tls", "haswell", "avx512_1", "x86_64"];
    name.contains(".so") || kinds.contains(&&*name)
}

/// musl looks for its list beside where it is installed itself, under an architecture's name.
fn is_musl_list(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    name.starts_with(b"ld-musl-") && name.ends_with(b".path")
}

fn variable<'a>(process: &'a Process, name: &'a str) -> impl Iterator<Item = &'a str> {
    process
        .env
        .iter()
        .filter_map(move |entry| entry.strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::{Path, PathBuf};

    use super::{Code, LINKER_VARIABLES};
    use crate::engine::bundle::Process;
    use crate::sys::lookup::Root;

    struct Image(tempfile::TempDir);

    impl Image {
        fn new(files: &[(&str, &[u8])]) -> Self {
            let image = Self(tempfile::tempdir().expect("a temporary directory"));
            for (name, bytes) in files {
                let path = image.0.path().join(name);
                std::fs::create_dir_all(path.parent().expect("it has one")).expect("made");
                std::fs::write(&path, bytes).expect("written");
                let everybody = std::fs::Permissions::from_mode(0o755);
                std::fs::set_permissions(&path, everybody).expect("permitted");
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
            Code::of(&root, &process, &[]).expect("it can be read")
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

    #[test]
    fn what_only_a_mount_has_is_code() {
        let image = Image::new(&[("usr/bin/app", b""), ("etc/hostname", b"")]);
        symlink("usr/lib", image.0.path().join("lib")).expect("linked");
        symlink("/usr/bin/app", image.0.path().join("etc/app")).expect("linked");
        for (args, env, destination) in [
            (&["/x/evil"][..], &[][..], "/x"),
            (&["./evil"], &[], "/evil"),
            (&["evil"], &["PATH=/x:/usr/bin"], "/x"),
            (&["evil"], &["PATH=/"], "/evil"),
            (&["/lib/../etc/hostname"], &[], "/usr/etc"),
            (&["/x/link/../../evil"], &[], "/x"),
            (&["/etc/app"], &[], "/etc/app"),
            (&["/usr/bin/app"], &[], "/lib"),
        ] {
            let code = image.code(args, env);
            let covered = code.covered_by(Path::new(destination));
            assert!(
                covered.is_some(),
                "{args:?} {env:?} {destination}: {code:?}"
            );
        }
    }

    #[test]
    fn the_linkers_lists_are_read_as_every_linker_reads_them() {
        let image = Image::new(&[]);
        for (variable, destination) in [
            ("LD_PRELOAD=/a/x.so\t/b/y.so", "/b"),
            ("LD_PRELOAD=/a/x.so\n/b/y.so", "/b"),
            ("LD_PRELOAD=/a:/b/y.so", "/b"),
            ("LD_AUDIT=/a/x.so:/b/y.so", "/b"),
            ("LD_LIBRARY_PATH=/a\n/b", "/b"),
            ("LD_LIBRARY_PATH=/a;/b", "/b/libc.so"),
            ("LD_LIBRARY_PATH=/a;b", "/a;b"),
            ("LD_LIBRARY_PATH=/", "/libc.so.6"),
            ("LD_LIBRARY_PATH=/a:", "/glibc-hwcaps/x86-64-v3/libc.so.6"),
            ("HOME=/", "/etc/ld-musl-x86_64.path"),
            ("HOME=/", "/usr/local/etc/ld-musl-armel.path"),
        ] {
            let code = image.code(&["/app"], &[variable]);
            let covered = code.covered_by(Path::new(destination));
            assert!(covered.is_some(), "{variable:?} {destination}: {code:?}");
            assert_eq!(code.anywhere, None, "{variable:?}");
        }
        for name in LINKER_VARIABLES {
            let code = image.code(&["/app"], &[&format!("{name}=$ORIGIN/../x")]);
            assert_eq!(code.anywhere, Some(name));
        }
        assert_eq!(image.code(&["/app"], &["PS1=$PWD"]).anywhere, None);
    }
}
