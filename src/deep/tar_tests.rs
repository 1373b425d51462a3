use super::{Kind, Member, Members, record, records};
use std::collections::BTreeMap;
use std::io::Read as _;
use tar::{Builder, EntryType, Header};

fn header(kind: EntryType, path: &str, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_path(path).unwrap();
    header.set_mode(0o4755);
    header.set_uid(1);
    header.set_gid(2);
    header.set_size(size);
    header.set_cksum();
    header
}

/// Reads all members, and the content of files with them.
fn all(bytes: &[u8]) -> std::io::Result<Vec<Member>> {
    let mut members = Members::new(bytes);
    let mut found = Vec::new();
    while let Some(member) = members.member()? {
        let mut content = vec![0; usize::try_from(member.size).unwrap()];
        members.archive.read_exact(&mut content)?;
        found.push(member);
    }
    members.finish()?;
    assert_eq!(members.archive, b"", "nothing is left");
    Ok(found)
}

fn file(path: &str, size: u64) -> Member {
    Member {
        path: path.into(),
        link: Vec::new(),
        kind: Kind::File,
        mode: 0o4755,
        uid: 1,
        gid: 2,
        size,
        device: (0, 0),
        xattrs: BTreeMap::new(),
    }
}

#[test]
fn members_are_read_with_all_that_belongs_to_them() {
    let mut builder = Builder::new(Vec::new());
    let pax = b"13 path=new/\n12 uid=1000\n26 SCHILY.xattr.user.a=\n\n\n";
    let mut records = header(EntryType::XHeader, "x", pax.len() as u64);
    records.set_cksum();
    builder
        .append(&header(EntryType::Regular, "a", 3), &b"abc"[..])
        .unwrap();
    builder.append(&records, &pax[..]).unwrap();
    builder
        .append(&header(EntryType::Directory, "old", 0), &b""[..])
        .unwrap();
    builder
        .append(&header(EntryType::XGlobalHeader, "g", 5), &b"6 a=b"[..])
        .unwrap();
    let long = "n".repeat(300);
    let mut named = Header::new_gnu();
    named.set_mode(0o644);
    named.set_size(1);
    builder.append_data(&mut named, &long, &b"x"[..]).unwrap();
    let bytes = builder.into_inner().unwrap();
    let found = all(&bytes).unwrap();
    let [first, second, third] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(*first, file("a", 3));
    let directory = Member {
        kind: Kind::Directory,
        uid: 1000,
        xattrs: BTreeMap::from([(b"user.a".to_vec(), b"\n\n".to_vec())]),
        ..file("new/", 0)
    };
    assert_eq!(*second, directory);
    assert_eq!((third.path.as_slice(), third.size), (long.as_bytes(), 1));
}

#[test]
fn a_number_may_be_left_out() {
    let mut blank = Header::new_gnu();
    blank.as_old_mut().name[0] = b'a';
    blank.set_entry_type(EntryType::Char);
    blank.set_cksum();
    let found = all(blank.as_bytes()).unwrap();
    let device = Member {
        kind: Kind::CharacterDevice,
        mode: 0,
        uid: 0,
        gid: 0,
        ..file("a", 0)
    };
    assert_eq!(found, [device]);
}

#[test]
fn an_archive_may_end_at_any_whole_block() {
    let mut builder = Builder::new(Vec::new());
    builder
        .append(&header(EntryType::Regular, "a", 512), &[1; 512][..])
        .unwrap();
    let bytes = builder.into_inner().unwrap();
    for end in [1024, 1536, 2048] {
        assert_eq!(all(&bytes[..end]).unwrap(), [file("a", 512)], "{end}");
    }
    for end in [1, 511, 1025, 1535] {
        let mut members = Members::new(&bytes[..end]);
        let mut end_of = || -> std::io::Result<()> {
            while let Some(member) = members.member()? {
                let mut content = vec![0; usize::try_from(member.size).unwrap()];
                members.archive.read_exact(&mut content)?;
            }
            Ok(())
        };
        end_of().expect_err("it is cut short");
    }
}

#[test]
fn what_no_engine_unpacks_is_an_error() {
    let mut sparse = Builder::new(Vec::new());
    let pax = b"22 GNU.sparse.major=1\n";
    sparse
        .append(&header(EntryType::XHeader, "x", 22), &pax[..])
        .unwrap();
    sparse
        .append(&header(EntryType::Regular, "a", 0), &b""[..])
        .unwrap();
    let one = |kind| {
        let mut builder = Builder::new(Vec::new());
        builder.append(&header(kind, "a", 0), &b""[..]).unwrap();
        builder.into_inner().unwrap()
    };
    let mut wrong = one(EntryType::Regular);
    wrong[0] = b'b';
    let mut hole = one(EntryType::Regular);
    hole.splice(0..0, [0; 512]);
    let mut endless = header(EntryType::XHeader, "x", 2 << 20);
    endless.set_cksum();
    for (bytes, why) in [
        (sparse.into_inner().unwrap(), "sparse"),
        (one(EntryType::GNUSparse), "type 'S'"),
        (one(EntryType::Continuous), "type '7'"),
        (wrong, "checksum"),
        (hole, "empty block"),
        (endless.as_bytes().to_vec(), "megabyte"),
    ] {
        let error = all(&bytes).expect_err(why).to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn a_pax_record_has_the_length_that_it_says() {
    assert_eq!(
        record(b"9 a=\n1=2\nrest"),
        Some((&b"a"[..], &b"\n1=2"[..], &b"rest"[..]))
    );
    for bytes in [
        "",
        "5 a=b",
        "5a=b\n",
        "7 a=b\n",
        "6 a_b\n",
        "x a=b\n",
        "0 ",
        "99999999999999999999 a",
    ] {
        assert_eq!(record(bytes.as_bytes()), None, "{bytes}");
    }
    records(b"6 a=b\n6").unwrap_err();
}
