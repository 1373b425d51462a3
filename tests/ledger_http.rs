//! A ledger read through a real web server (nginx, as Debian ships it), and through a fake one
//! that answers what no honest server does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod nginx;

use std::io::{self, Read as _, Write};
use std::net::TcpListener;
use std::path::Path;

use nginx::{Nginx, free_port};
use vcn_hook::ledger::client::{self, Fresh, ReadError, Sink, TlogRead};
use vcn_hook::ledger::sequencer::Sequencer;
use vcn_hook::ledger::tiles::TileName;
use vcn_hook::ledger::{checkpoint::Checkpoint, log_check};
use vcn_hook::trust::keys::{SecretKey, Signer as _};

fn key() -> SecretKey {
    SecretKey::from_seed("ledger.example/vcn", &[7; 32]).unwrap()
}

/// A log of 300 entries with an index, in a directory that nginx may read.
fn log(directory: &Path) {
    let mut log = Sequencer::create(directory, &key()).unwrap();
    for count in [10, 290_u32] {
        let entries: Vec<[u8; 4]> = (0..count).map(u32::to_be_bytes).collect();
        log.append(&entries, &key()).unwrap();
    }
    // What changed in this very second has no etag that can be trusted; this did not.
    let checkpoint = std::fs::File::open(directory.join("checkpoint")).unwrap();
    let past = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    checkpoint.set_modified(past).unwrap();
    std::fs::create_dir(directory.join("index")).unwrap();
    let pages: Vec<u8> = (0..20_000_u32).flat_map(u32::to_be_bytes).collect();
    std::fs::write(
        directory.join(format!("index/{}.idx", "ab".repeat(32))),
        pages,
    )
    .unwrap();
}

/// A fake server: it sends these bytes to whoever connects, whatever they ask.
fn fake(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer);
        }
    });
    url
}

#[derive(Default)]
struct Memory(Vec<u8>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for Memory {
    fn begin(&mut self, at: u64) -> io::Result<()> {
        self.0.truncate(usize::try_from(at).unwrap());
        Ok(())
    }
}

/// What holds for a ledger however it is reached.
fn reads_whole(reader: &dyn TlogRead) {
    let Fresh::New { bytes, etag } = client::checkpoint(reader, None).unwrap() else {
        panic!("nothing was known yet")
    };
    assert_eq!(
        Checkpoint::verify(&bytes, key().verifier()).unwrap().size,
        300
    );
    assert_eq!(client::checkpoint(reader, etag.as_deref()), Ok(Fresh::Same));
    let other = client::checkpoint(reader, Some("\"other\"")).unwrap();
    assert_eq!(other, Fresh::New { bytes, etag });
    assert_eq!(log_check(reader, key().verifier()).unwrap().size, 300);

    let name = TileName::entries(1, 44);
    let (_, whole) = client::tile(reader, name, 0).unwrap();
    let (_, tail) = client::tile(reader, name, 100).unwrap();
    assert_eq!((tail.from, &tail.bytes[..]), (100, &whole.bytes[100..]));
    // The partial one of an older checkpoint that a log no longer keeps: the full one, cut.
    let (found, _) = client::tile(reader, TileName::entries(0, 200), 0).unwrap();
    assert_eq!(found, TileName::entries(0, 256));
    assert_eq!(
        client::entries(reader, TileName::entries(0, 200))
            .unwrap()
            .len(),
        200
    );
    let missing = client::hashes(reader, TileName::hashes(0, 9, 1)).unwrap_err();
    assert_eq!(
        missing.to_string(),
        format!("the ledger lacks '{}/tile/0/009.p/1'", reader.place())
    );

    assert_eq!(client::root_note(reader, 1), Ok(None));
    assert_eq!(client::index_note(reader, None), Ok(None));
    let id = format!("sha256:{}", "ab".repeat(32)).parse().unwrap();
    let mut sink = Memory::default();
    assert_eq!(
        client::index_file(reader, &id, 2000, 0, &mut sink),
        Ok(80_000)
    );
    let whole = sink.0.clone();
    sink.0.truncate(12_345);
    assert_eq!(
        client::index_file(reader, &id, 2000, 12_345, &mut sink),
        Ok(67_655)
    );
    assert!(sink.0 == whole, "a resumed download differs");
    assert_eq!(
        client::index_file(reader, &id, 2000, 80_000, &mut sink),
        Ok(0)
    );
    let long = client::index_file(reader, &id, 1, 0, &mut Memory::default()).unwrap_err();
    assert!(matches!(long, ReadError::BadAnswer { .. }), "{long}");
    let cap = reader.piece("checkpoint", 0, 10).unwrap_err();
    assert_eq!(
        cap.to_string(),
        format!(
            "bad answer from '{}/checkpoint': longer than 10 bytes",
            reader.place()
        )
    );
}

#[test]
fn a_directory_and_a_web_server_read_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("log");
    log(&root);
    let nginx = Nginx::serve(&root);
    reads_whole(&*client::open(root.to_str().unwrap()).unwrap());
    reads_whole(&*client::open(&format!("file://{}", root.display())).unwrap());
    reads_whole(&*client::open(&nginx.url).unwrap());
    reads_whole(&*client::open(&format!("{}/", nginx.url)).unwrap());
    let private = client::open(&nginx.url)
        .unwrap()
        .piece(".state/tree", 0, 1000);
    assert_eq!(private, Ok(None));
    let moved = client::open(&format!("{}/moved", nginx.url)).unwrap();
    let moved = client::checkpoint(&*moved, None).unwrap_err();
    assert!(
        moved.is_unreachable() && moved.to_string().contains("301"),
        "{moved}"
    );
}

#[test]
fn tells_a_ledger_that_is_away_from_one_that_is_wrong() {
    let url = format!("http://127.0.0.1:{}", free_port());
    let away = client::checkpoint(&*client::open(&url).unwrap(), None).unwrap_err();
    assert!(away.is_unreachable(), "{away}");
    assert!(
        away.to_string()
            .starts_with(&format!("cannot reach '{url}/checkpoint'")),
        "{away}"
    );
    let away = client::open("/nonexistent/log").unwrap_err();
    assert!(away.is_unreachable(), "{away}");
    let scheme = client::open("ftp://ledger.example").unwrap_err();
    assert!(!scheme.is_unreachable(), "{scheme}");
}

#[test]
fn hostile_answers_are_refused_within_their_bounds() {
    const BODY: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";
    const MANY: usize = 40_000;
    let flood: &'static [u8] = Box::leak([BODY, &[b'x'; MANY]].concat().into_boxed_slice());
    let header: &'static [u8] = Box::leak(
        [b"HTTP/1.1 200 OK\r\nX: ", &[b'x'; 1 << 20][..], b"\r\n\r\n"]
            .concat()
            .into_boxed_slice(),
    );
    for (answer, unreachable) in [
        (flood, false),
        (header, false),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", false),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx", false),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n", false),
        (b"not http at all\r\n\r\n", false),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", true),
        (b"", true),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", true),
        (b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", true),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", true),
        // Nothing was known, so nothing can be unchanged.
        (b"HTTP/1.1 304 Not Modified\r\n\r\n", true),
        (b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-0/1\r\nContent-Length: 1\r\n\r\nx", true),
    ] {
        let reader = client::open(&fake(answer)).unwrap();
        let refused = client::checkpoint(&*reader, None).unwrap_err();
        let shown = String::from_utf8_lossy(&answer[..answer.len().min(60)]).into_owned();
        assert_eq!(refused.is_unreachable(), unreachable, "{shown}: {refused}");
    }
    // A range that was not asked for.
    let other = fake(
        b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 5-5/6\r\nContent-Length: 1\r\n\r\nx",
    );
    let refused = client::open(&other)
        .unwrap()
        .piece("x", 4, 100)
        .unwrap_err();
    assert!(!refused.is_unreachable(), "{refused}");
    // A server that knows no ranges sends everything, and that is said.
    let whole = fake(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
    let piece = client::open(&whole)
        .unwrap()
        .piece("x", 2, 100)
        .unwrap()
        .unwrap();
    assert_eq!((piece.from, &piece.bytes[..]), (0, &b"abc"[..]));
}
