//! Whether the layers that are mounted are what their paths hold now.
//!
//! The kernel names a mount's layers as they were called when it was mounted:
//! whoever mounts something else under a layer's name and then puts the names
//! right again is not seen there. Overlayfs gives a file of a lower layer that
//! file's own inode number, so the code that will run tells where it is from.

use std::io;
use std::path::PathBuf;

use super::Rootfs;
use super::code::Code;
use crate::sys::lookup::{Root, plain_inode};

/// More layers than overlayfs lets engines stack (Docker's own limit is 125).
pub(crate) const MAX_LAYERS: usize = 128;

/// The first program of the container that is not the one in the topmost of its layers that has it.
/// What lies in the upper layer is `upper`'s to judge.
///
/// # Errors
/// The operating system's.
pub(crate) fn foreign(root: &Root, code: &Code, rootfs: &Rootfs) -> io::Result<Option<PathBuf>> {
    for program in code.programs() {
        let Some(mounted) = root.inode(program)? else {
            continue;
        };
        let inside = program.strip_prefix("/").unwrap_or(program);
        if let Some(upper) = &rootfs.upper
            && plain_inode(&upper.join(inside))?.is_some()
        {
            continue;
        }
        let mut there = None;
        for layer in &rootfs.lowers {
            there = plain_inode(&layer.join(inside))?;
            if there.is_some() {
                break;
            }
        }
        if there != Some(mounted) {
            return Ok(Some(program.to_path_buf()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::foreign;
    use crate::engine::Rootfs;
    use crate::engine::code::Code;
    use crate::sys::lookup::Root;
    use std::fs;
    use std::path::Path;

    /// Hard links stand in for overlayfs: one inode, seen through the mount and through its layer.
    #[test]
    fn a_program_is_the_one_of_its_topmost_layer_or_foreign() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["merged/bin", "upper", "top/bin", "low/bin"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        fs::write(at("low/bin/app"), "low").unwrap();
        fs::hard_link(at("low/bin/app"), at("merged/bin/app")).unwrap();
        let rootfs = Rootfs {
            path: at("merged"),
            lowers: vec![at("top"), at("low")],
            upper: Some(at("upper")),
        };
        let code = Code {
            files: vec![
                "/etc/ld.so.preload".into(),
                "/bin/app".into(),
                "/bin/none".into(),
            ],
            ..Code::default()
        };
        let root = Root::open(&rootfs.path).unwrap();
        let look = || foreign(&root, &code, &rootfs).unwrap();
        assert_eq!(look(), None);

        // The layer's path now holds another file.
        fs::rename(at("low/bin/app"), at("low/bin/old")).unwrap();
        fs::write(at("low/bin/app"), "another").unwrap();
        assert_eq!(look().as_deref(), Some(Path::new("/bin/app")));
        fs::remove_file(at("low/bin/app")).unwrap();
        assert_eq!(look().as_deref(), Some(Path::new("/bin/app")));
        fs::rename(at("low/bin/old"), at("low/bin/app")).unwrap();
        assert_eq!(look(), None);

        // A layer above has it too, and is not what is mounted.
        fs::write(at("top/bin/app"), "top").unwrap();
        assert_eq!(look().as_deref(), Some(Path::new("/bin/app")));
        fs::remove_file(at("top/bin/app")).unwrap();

        // A directory of that layer that is a symlink leads nowhere.
        fs::remove_dir(at("top/bin")).unwrap();
        std::os::unix::fs::symlink("/bin", at("top/bin")).unwrap();
        assert_eq!(look(), None);

        fs::create_dir(at("upper/bin")).unwrap();
        fs::write(at("upper/bin/app"), "changed").unwrap();
        assert_eq!(look(), None);
    }
}
