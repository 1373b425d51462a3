//! The packages under test, and clean machines to put them on.

use super::binary;
use super::command::sh;
use super::machine::Machine;
use super::scratch::Scratch;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A release of Debian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    Bookworm,
    Trixie,
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        })
    }
}

fn sources() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Debian's package of the binary under test, as `make deb` makes it.
pub fn deb(scratch: &Scratch, version: &str) -> PathBuf {
    deb_from(sources(), &scratch.folder("packages"), version)
}

/// The same from a copy of the sources.
pub fn deb_from(sources: &Path, out: &Path, version: &str) -> PathBuf {
    made(sources, "deb", out, version);
    out.join(format!("vcn-hook_{version}_amd64.deb"))
}

/// The rpm of the binary under test, as `make rpm` makes it.
pub fn rpm(scratch: &Scratch, version: &str) -> PathBuf {
    rpm_from(sources(), &scratch.folder("packages"), version)
}

/// The same from a copy of the sources.
pub fn rpm_from(sources: &Path, out: &Path, version: &str) -> PathBuf {
    made(sources, "rpm", out, version);
    out.join(format!("vcn-hook-{version}-1.x86_64.rpm"))
}

/// Builds another rpm, from the text of its spec.
pub fn other_rpm(scratch: &Scratch, name: &str, spec: &str) -> PathBuf {
    let base = scratch.folder(name);
    let path = base.join("other.spec");
    std::fs::write(&path, spec).unwrap();
    let define = |name: &str| format!("{name} {}", base.display());
    let rpms = base.join("rpms");
    sh(
        "rpmbuild",
        &[
            "--quiet",
            "-bb",
            "--define",
            &define("_topdir"),
            "--define",
            &format!("_rpmdir {}", rpms.display()),
            "--define",
            "_build_name_fmt %%{NAME}.rpm",
            "--define",
            "_build_id_links none",
            path.to_str().unwrap(),
        ],
    )
    .ok();
    rpms.join(format!("{name}.rpm"))
}

/// Runs `make TARGET` on what is built already.
fn made(sources: &Path, target: &str, out: &Path, version: &str) {
    let mut make = Command::new("make");
    make.args(["-s", "-o", "build", target])
        .arg(format!("VERSION={version}"))
        .arg(format!("DIST={}", out.display()))
        .arg(format!("BINARY={}", binary().display()))
        .current_dir(sources)
        .env("SOURCE_DATE_EPOCH", "1790000000");
    let output = make.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// What `make install` installs, below a folder.
pub fn staged(scratch: &Scratch, prefix: &str) -> PathBuf {
    let stage = scratch.folder("stage");
    let output = Command::new("make")
        .args(["-s", "install"])
        .arg(format!("DESTDIR={}", stage.display()))
        .arg(format!("PREFIX={prefix}"))
        .arg(format!("BINARY={}", binary().display()))
        .current_dir(sources())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    stage
}

/// The sources at another place, without what was built.
pub fn copy_of_sources(scratch: &Scratch, place: &str) -> PathBuf {
    let copy = scratch.folder(place).join("sources");
    let script = "git -C \"$1\" ls-files -z -c -o --exclude-standard | (cd \"$1\" && xargs -0 cp -a --parents -t \"$2\")";
    std::fs::create_dir_all(&copy).unwrap();
    sh(
        "bash",
        &[
            "-c",
            script,
            "copy",
            sources().to_str().unwrap(),
            copy.to_str().unwrap(),
        ],
    )
    .ok();
    copy
}

/// A clean Debian root with Docker in it, and nothing of ours. Nobody writes to it.
pub fn root(suite: Suite) -> PathBuf {
    let made = Command::new(sources().join("tests/roots.sh"))
        .arg(suite.to_string())
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    String::from_utf8(made.stdout).unwrap().trim().into()
}

/// A machine on such a root.
pub fn clean_machine(scratch: &Scratch, suite: Suite) -> Machine {
    let machine = Machine::of(scratch, &root(suite));
    machine.run(&["rm", "/usr/bin/vcn-hook"]).ok();
    machine
}
