//! The root file system as the kernel has it mounted.
//!
//! Owns overlayfs' option string (`Documentation/filesystems/overlayfs.rst`).
//! What the layers are layers of is the engines' to say.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use super::{Rootfs, trouble};
use crate::sys::lookup::cleaned;
use crate::sys::mount::{Mount, Mounts};
use crate::sys::mountinfo::{Line, unescape};
use crate::verdict::{ReasonCode, Undecided};

/// An overlay's directories, as they were written when it was mounted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overlay {
    /// The read-only layers, topmost first.
    pub lowers: Vec<PathBuf>,
    /// The writable layer.
    pub upper: Option<PathBuf>,
}

/// Why an overlay's options are not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverlayError {
    /// A path has an escape that means different things to different kernels.
    Escape,
    /// A layer is empty: data-only layers hold content that no layer of an image explains.
    DataOnly,
    /// An option that may name further directories.
    Option,
    /// Lower directories are named in two ways at once, or not at all.
    Lowers,
}

/// Whose mount table is asked what a root file system is made of.
#[derive(Debug)]
pub struct View {
    mounts: Mounts,
    /// Whether the table is of a process whose root directory this is.
    from_inside: bool,
}

impl View {
    /// This process's own: a runtime sees the root file system mounted before the container is there.
    #[must_use]
    pub const fn own() -> Self {
        Self {
            mounts: Mounts::ask(),
            from_inside: false,
        }
    }

    /// That of a process in the container, which the mounts of its engine need not be visible to.
    #[must_use]
    pub fn from_inside(lines: Vec<Line>) -> Self {
        Self {
            mounts: Mounts::of(lines),
            from_inside: true,
        }
    }

    /// What is mounted as the root file system that the engine mounts at `path`.
    ///
    /// # Errors
    /// As [`rootfs`].
    pub fn rootfs(&self, path: &Path, home: &Path) -> Result<Rootfs, Undecided> {
        let at = if self.from_inside {
            Path::new("/")
        } else {
            path
        };
        let (_, mounted) = rootfs(&self.mounts, at, home)?;
        Ok(Rootfs {
            path: path.to_path_buf(),
            ..mounted
        })
    }
}

/// Looks at what is mounted at `path`, which must be the root of an overlay.
///
/// Relative directories are those of a mount whose options did not fit in a page:
/// engines then mount from within `home`.
///
/// # Errors
/// `unbound` when it is something else, `unreadable` when the kernel does not say.
pub fn rootfs(mounts: &Mounts, path: &Path, home: &Path) -> Result<(Mount, Rootfs), Undecided> {
    let mount = mounts
        .holding(path)
        .map_err(|error| trouble::mounts(path, &error))?;
    if mount.point != path || mount.kind != "overlay" || mount.root != Path::new("/") {
        let (kind, point) = (&mount.kind, mount.point.display());
        let detail = format!(
            "the root file system '{}' is not an overlay of layers: it is on the {kind} at '{point}'",
            path.display()
        );
        let hint = "only the overlay2 driver and overlayfs snapshots can be bound to an image";
        return Err(Undecided::new(ReasonCode::Unbound, detail, hint));
    }
    let overlay = parse_overlay(&mount.options).map_err(|error| {
        let detail = format!(
            "the mount at '{}' is not understood: {error}",
            path.display()
        );
        Undecided::new(
            ReasonCode::Unbound,
            detail,
            "remove the container and create it again",
        )
    })?;
    let absolute = |directory: &PathBuf| cleaned(&home.join(directory));
    let rootfs = Rootfs {
        path: path.to_path_buf(),
        lowers: overlay.lowers.iter().map(absolute).collect(),
        upper: overlay.upper.as_ref().map(absolute),
    };
    Ok((mount, rootfs))
}

/// Follows the short links through which engines mount layers, `l/<name>` to `../<id>/diff`.
///
/// # Errors
/// `unreadable`.
pub fn follow_links(home: &Path, lowers: Vec<PathBuf>) -> Result<Vec<PathBuf>, Undecided> {
    let links = home.join("l");
    lowers
        .into_iter()
        .map(|lower| {
            if lower.parent() != Some(&links) {
                return Ok(lower);
            }
            let target = std::fs::read_link(&lower)
                .map_err(|error| trouble::unreadable("the layer", &lower, &error))?;
            Ok(cleaned(&links.join(target)))
        })
        .collect()
}

/// Parses the options of an overlay as the kernel prints them.
///
/// # Errors
/// [`OverlayError`] for whatever could make the list of layers another than it seems.
pub fn parse_overlay(options: &[u8]) -> Result<Overlay, OverlayError> {
    let mut together: Option<Vec<PathBuf>> = None;
    let mut one_by_one = Vec::new();
    let mut upper = None;
    for option in options.split(|byte| *byte == b',') {
        let equals = option.iter().position(|byte| *byte == b'=');
        let (name, value) = option.split_at(equals.unwrap_or(option.len()));
        let value = value.strip_prefix(b"=").unwrap_or_default();
        match name {
            b"lowerdir" if together.is_none() => together = Some(lowers(value)?),
            b"lowerdir+" => one_by_one.push(directory(value)?),
            b"upperdir" if upper.is_none() => upper = Some(directory(value)?),
            b"workdir" | b"redirect_dir" => {}
            // A later kernel's options are harmless unless they name directories.
            name if name.windows(3).any(|part| part == b"dir") => return Err(OverlayError::Option),
            _ => {}
        }
    }
    let lowers = match together {
        Some(lowers) if one_by_one.is_empty() => lowers,
        None if !one_by_one.is_empty() => one_by_one,
        _ => return Err(OverlayError::Lowers),
    };
    Ok(Overlay { lowers, upper })
}

fn lowers(value: &[u8]) -> Result<Vec<PathBuf>, OverlayError> {
    value.split(|byte| *byte == b':').map(directory).collect()
}

fn directory(value: &[u8]) -> Result<PathBuf, OverlayError> {
    let plain = unescape(value).ok_or(OverlayError::Escape)?;
    // Before Linux 6.5 a backslash in the text escapes; since, it is part of the name. No engine uses one.
    if plain.contains(&b'\\') || plain.contains(&b':') {
        return Err(OverlayError::Escape);
    }
    if plain.is_empty() {
        return Err(OverlayError::DataOnly);
    }
    Ok(OsString::from_vec(plain).into())
}

impl std::fmt::Display for OverlayError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Escape => "a directory's name has a colon or a backslash",
            Self::DataOnly => "it has data-only layers",
            Self::Option => "it has an option that may name further directories",
            Self::Lowers => "its lower directories are not named once",
        })
    }
}

impl std::error::Error for OverlayError {}

#[cfg(test)]
mod tests {
    use super::{Overlay, OverlayError, parse_overlay};

    fn overlay(lowers: &[&str], upper: Option<&str>) -> Overlay {
        Overlay {
            lowers: lowers.iter().map(Into::into).collect(),
            upper: upper.map(Into::into),
        }
    }

    #[test]
    fn reads_the_options_of_every_mount_interface() {
        for (options, expected) in [
            (
                "lowerdir=/v/l/A:/v/l/B,upperdir=/v/1/diff,workdir=/v/1/work,index=off",
                overlay(&["/v/l/A", "/v/l/B"], Some("/v/1/diff")),
            ),
            (
                "lowerdir=l/A:l/B,upperdir=1/diff,workdir=1/work,xino=off,uuid=on,nouserxattr",
                overlay(&["l/A", "l/B"], Some("1/diff")),
            ),
            (
                "lowerdir+=/a,lowerdir+=/b,redirect_dir=on,metacopy=on",
                overlay(&["/a", "/b"], None),
            ),
            (
                "context=x,lowerdir=/with\\040space:/comma\\054",
                overlay(&["/with space", "/comma,"], None),
            ),
        ] {
            assert_eq!(parse_overlay(options.as_bytes()), Ok(expected), "{options}");
        }
    }

    #[test]
    fn refuses_what_two_kernels_read_differently() {
        for (options, error) in [
            ("lowerdir=/a\\134:/b", OverlayError::Escape),
            ("lowerdir=/a\\072b", OverlayError::Escape),
            ("lowerdir=/a\\", OverlayError::Escape),
            ("lowerdir=/a::/data", OverlayError::DataOnly),
            ("lowerdir=/a,datadir+=/b", OverlayError::Option),
            ("lowerdir=/a,lowerdir=/b", OverlayError::Option),
            ("lowerdir=/a,lowerdir+=/b", OverlayError::Lowers),
            ("upperdir=/a", OverlayError::Lowers),
            ("lowerdir=/a,upperdir=/b,upperdir=/c", OverlayError::Option),
            ("", OverlayError::Lowers),
        ] {
            assert_eq!(parse_overlay(options.as_bytes()), Err(error), "{options}");
        }
    }
}
