//! What is left of a layer's archive, as `verify --deep` reads it: tar-split's lines, and tar itself.

use std::io::Read;

use vcn_hook::deep::tar::{Kind, Members};
use vcn_hook::deep::tar_split::TarSplit;

use super::archives::checksums_again;
use super::{MEMORY, Target};

pub const LAYER: Target = Target {
    words: &[
        "ustar\0",
        "ustar  \0",
        "././@LongLink\0",
        "path=",
        "linkpath=",
        "size=",
        "uid=",
        "SCHILY.xattr.user.a=",
        "GNU.sparse.major=1",
        ".wh..wh..opq",
        ".wh.",
        "../",
        "77777777777\0",
        "\u{80}\0\0\0",
    ],
    repair: Some(checksums_again),
    longest: 32 << 10,
    memory: 2 * MEMORY,
    ..Target::new("layer", "archives of layers", layer)
};

pub const TAR_SPLIT: Target = Target {
    words: &[
        "{\"type\":1,\"size\":",
        "{\"type\":2,\"payload\":\"",
        "\"payload\":null",
        "\"name_raw\":\"",
        "\"position\":0}\n",
        "AAAAAAAA",
        "9007199254740991",
        "-1",
    ],
    longest: 32 << 10,
    memory: 2 * MEMORY,
    ..Target::new("tar-split", "what engines keep of a layer's archive", tar_split)
};

fn layer(bytes: &[u8]) -> bool {
    let mut members = Members::new(bytes);
    let mut content = 0;
    loop {
        match members.member() {
            Ok(Some(member)) => {
                assert!(member.size == 0 || member.kind == Kind::File, "{member:?}");
                assert!(member.mode <= 0o7777, "{member:?}");
                let skipped = std::io::copy(
                    &mut (&mut members.archive).take(member.size),
                    &mut std::io::sink(),
                );
                content += skipped.unwrap();
            }
            Ok(None) => break,
            Err(_) => return false,
        }
    }
    assert!(content <= bytes.len() as u64, "content from nowhere");
    members.finish().is_ok()
}

fn tar_split(bytes: &[u8]) -> bool {
    let mut members = Members::new(TarSplit::new(bytes));
    loop {
        match members.member() {
            Ok(Some(member)) if member.size > 0 => match members.archive.content() {
                Ok(Some(content)) => assert!(content.size > 0, "an empty place"),
                Ok(None) | Err(_) => return false,
            },
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(_) => return false,
        }
    }
    members.finish().is_ok()
}
