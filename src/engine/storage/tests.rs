//! Where Podman's containers are, and what a user namespace makes of layers.

use std::path::{Path, PathBuf};

use super::{Layout, without_mapping};
use crate::engine::Rootfs;

#[test]
fn knows_the_roots_that_are_listed_by_whatever_name() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let base = folder.path().canonicalize().expect("it is there");
    let root = base.join("storage");
    std::fs::create_dir(&root).expect("made");
    let alias = base.join("alias");
    std::os::unix::fs::symlink(&root, &alias).expect("linked");
    for (listed, bundle, known) in [
        (&root, root.join("overlay-containers/abc/userdata"), true),
        (&alias, alias.join("overlay-containers/abc/userdata"), true),
        (&alias, root.join("overlay-containers/abc/userdata"), true),
        (&root, root.join("overlay-containers/other/userdata"), false),
        (&root, root.join("overlay-containers/abc"), false),
        (&root, root.join("containers/abc/userdata"), false),
        (&root, base.join("overlay-containers/abc/userdata"), false),
    ] {
        let layout = Layout::of(&bundle, "abc", std::slice::from_ref(listed));
        let found = layout.as_ref().map(|layout| &layout.root);
        assert_eq!(found, known.then_some(&root), "{}", bundle.display());
    }
    let layout = Layout::of(
        &alias.join("overlay-containers/abc/userdata"),
        "abc",
        std::slice::from_ref(&root),
    );
    // Listed by its real name and called by another: that other one is not listed.
    assert_eq!(layout, None);
}

#[test]
fn a_mapped_layer_is_the_one_at_its_place_and_no_other() {
    let home = Path::new("/s/overlay");
    let own = home.join("own/mapped");
    let expected = Rootfs {
        lowers: vec!["/s/overlay/top/diff".into(), "/s/overlay/low/diff".into()],
        ..Rootfs::default()
    };
    for (found, real) in [
        (["0/l/A", "0/l/B"], ["/s/overlay/l/A", "/s/overlay/l/B"]),
        (
            ["0/diff", "1/diff"],
            ["/s/overlay/top/diff", "/s/overlay/low/diff"],
        ),
        (
            ["1/diff", "0/diff"],
            [
                "/s/overlay/own/mapped/1/diff",
                "/s/overlay/own/mapped/0/diff",
            ],
        ),
        (
            ["1/l/A", "0/x"],
            ["/s/overlay/own/mapped/1/l/A", "/s/overlay/own/mapped/0/x"],
        ),
    ] {
        let lowers = found.map(|name| own.join(name)).to_vec();
        let real = real.map(PathBuf::from).to_vec();
        assert_eq!(without_mapping(home, &own, lowers, &expected), real);
    }
}
