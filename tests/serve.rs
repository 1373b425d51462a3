//! `ledger serve` as a real process, and whatever clients may do to it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test file"
)]

mod nginx;
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nginx::Nginx;
use nix::sys::signal::Signal;
use support::command::{run, sh};
use support::image::Image;
use support::node::Node;
use support::program;
use support::scratch::Scratch;
use support::server::{Client, Server, signer, statement, trusted};
use vcn_hook::allowlist::record::Status;
use vcn_hook::image::digest::Digest;
use vcn_hook::ledger::checkpoint::Checkpoint;
use vcn_hook::ledger::client::{self, Fresh, TlogRead};
use vcn_hook::ledger::log_check;
use vcn_hook::ledger::statement::sign;
use vcn_hook::ledger::tiles::{Row, TileName};
use vcn_hook::trust::keys::{self, SecretKey, Signer as _};

/// A ledger and a publisher who has its first signer's key.
fn ledger(scratch: &Scratch, name: &str) -> Node {
    let node = Node::bare(scratch, name, None);
    let directory = node.ledger();
    let directory = directory.to_str().unwrap();
    node.vcn(&["ledger", "init", directory, "--origin", "ledger.test/vcn"])
        .ok();
    node
}

fn log_key(node: &Node) -> SecretKey {
    let path = node.ledger().join(".state/keys/log");
    keys::open(&path, &mut |_: &Path| None).unwrap()
}

/// The size that the published checkpoint says.
fn size(log: &dyn TlogRead, node: &Node) -> u64 {
    let Fresh::New { bytes, .. } = client::checkpoint(log, None).unwrap() else {
        panic!("nothing was known")
    };
    Checkpoint::verify(&bytes, log_key(node).verifier())
        .unwrap()
        .size
}

/// All entries of a log, its hashes checked.
fn entries(place: &str, node: &Node) -> Vec<Vec<u8>> {
    let log = client::open(place).unwrap();
    let size = log_check(&*log, log_key(node).verifier()).unwrap().size;
    TileName::all(Row::Entries, size)
        .flat_map(|name| client::entries(&*log, name).unwrap())
        .collect()
}

fn image(node: &Node, n: usize) -> String {
    let path = node.base().join(format!("tiny-{n}.tar"));
    fs::write(&path, Image::tiny(n).archive()).unwrap();
    format!("docker-archive:{}", path.display())
}

#[test]
fn every_public_file_is_served_with_its_headers_and_nothing_else_is() {
    let scratch = Scratch::new("serve-read");
    let node = ledger(&scratch, "node");
    let key = signer(&node);
    let server = Server::start(&node, &node.ledger());
    for n in 0..3 {
        server.add(&trusted(&format!("app-{n}"), n, &key)).index();
    }
    std::thread::sleep(Duration::from_millis(500));
    let table = fs::read_dir(node.ledger().join("index"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .find(|name| name.ends_with(".idx"))
        .unwrap();
    let table = format!("/index/{table}");
    for (path, lasting) in [
        ("/checkpoint", false),
        ("/index/note", false),
        ("/root/1.note", false),
        ("/tile/entries/000.p/3", true),
        ("/tile/0/000.p/1", true),
        (&*table, true),
    ] {
        let bytes = fs::read(node.ledger().join(&path[1..])).unwrap();
        let whole = server.get(path, "");
        assert_eq!((whole.status, &whole.body), (200, &bytes), "{path}");
        let caching = if lasting {
            "public, max-age=31536000, immutable"
        } else {
            "no-cache"
        };
        assert_eq!(
            whole.header("cache-control").as_deref(),
            Some(caching),
            "{path}"
        );
        let etag = whole.header("etag").unwrap();
        assert!(etag.starts_with('"') && etag.ends_with('"'), "{etag}");
        let known = server.get(path, &format!("If-None-Match: {etag}\r\n"));
        assert_eq!((known.status, known.body.len()), (304, 0), "{path}");
        assert_eq!(known.header("etag"), Some(etag.clone()));
        assert_eq!(known.header("cache-control").as_deref(), Some(caching));
        let other = server.get(path, "If-None-Match: \"other\"\r\n");
        assert_eq!((other.status, &other.body), (200, &bytes));

        let part = server.get(path, "Range: bytes=5-8\r\n");
        assert_eq!((part.status, &part.body[..]), (206, &bytes[5..9]), "{path}");
        let length = bytes.len();
        let range = Some(format!("bytes 5-8/{length}"));
        assert_eq!(part.header("content-range"), range);
        let tail = server.get(path, "Range: bytes=7-\r\n");
        assert_eq!((tail.status, &tail.body[..]), (206, &bytes[7..]));
        let beyond = server.get(path, &format!("Range: bytes={length}-\r\n"));
        let range = Some(format!("bytes */{length}"));
        assert_eq!(
            (beyond.status, beyond.header("content-range")),
            (416, range)
        );
        let changed = server.get(path, "Range: bytes=5-8\r\nIf-Range: \"other\"\r\n");
        assert_eq!((changed.status, &changed.body), (200, &bytes));

        let mut client = Client::connect(server.address).unwrap();
        let head = format!("HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        client.send(head.as_bytes()).unwrap();
        let head = client.answer(true).unwrap();
        assert_eq!(head.header("content-length"), Some(length.to_string()));
        assert_eq!((head.status, head.header("etag")), (200, Some(etag)));
        // The connection goes on where the answer to HEAD ended.
        client
            .send(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
        assert_eq!(client.answer(false).unwrap().status, 404);

        let posted = server.raw(format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        ));
        assert_eq!(posted.status, 405);
        assert_eq!(posted.header("allow").as_deref(), Some("GET, HEAD"));
    }
    let got = server.get("/add", "");
    assert_eq!(
        (got.status, got.header("allow").as_deref()),
        (405, Some("POST"))
    );
}

#[test]
fn private_state_and_every_other_path_do_not_exist() {
    let scratch = Scratch::new("serve-private");
    let node = ledger(&scratch, "node");
    let server = Server::start(&node, &node.ledger());
    fs::write(node.base().join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink(
        node.base().join("secret"),
        node.ledger().join("root/9.note"),
    )
    .unwrap();
    let mut paths: Vec<String> = [
        "/",
        "//",
        "/.state",
        "/.state/",
        "/.state/tree",
        "/.state/keys/log",
        "/.state/lock",
        "//.state/tree",
        "/./.state/tree",
        "/tile/../.state/tree",
        "/index/../.state/keys/log",
        "/tile/0/../../.state/tree",
        "/../../etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/%2e%2e/secret",
        "/%2estate/tree",
        "/.state%2ftree",
        "/index/..%5c.state/tree",
        "/checkpoint/../.state/tree",
        "/index",
        "/index/",
        "/root",
        "/root/",
        "/root/0.note",
        "/root/2.note",
        "/checkpoint?x",
        "/checkpoint#x",
        "/favicon.ico",
        "/metrics",
        "/add/",
        "/add?x=1",
        "*",
        "http://x/.state/tree",
        "/root/9.note",
    ]
    .map(str::to_owned)
    .into();
    paths.push(format!("/{}", "a/".repeat(2000)));
    for path in &paths {
        let answer = server.get(path, "");
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let expected = if path == "/root/9.note" { 500 } else { 404 };
        let expected = if path.starts_with("/add") {
            404
        } else {
            expected
        };
        assert_eq!(answer.status, expected, "{path}: {answer:?}");
        assert!(
            !text.contains("secret") && !text.contains("BEGIN"),
            "{path}: {text}"
        );
    }
    // curl, which would tidy the path up if it were not told otherwise.
    let url = format!("{}/tile/../.state/keys/log", server.url);
    let curl = sh(
        "curl",
        &[
            "-s",
            "--path-as-is",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            &url,
        ],
    );
    assert_eq!(curl.ok(), "404");
}

#[test]
fn only_a_known_signers_statement_that_would_count_gets_into_the_log() {
    let scratch = Scratch::new("serve-refuse");
    let node = ledger(&scratch, "node");
    let key = signer(&node);
    let server = Server::start(&node, &node.ledger());
    let log = client::open(&server.url).unwrap();
    let first = trusted("app", 0, &key);
    let withdrawn = sign(&statement("app", Status::Untrusted, 1), &key).unwrap();
    assert_eq!(server.add(&first).index(), 0);
    assert_eq!(server.add(&withdrawn).index(), 1);
    let stranger = SecretKey::from_seed("default", &[9; 32]).unwrap();
    let named = SecretKey::from_seed("somebody", &[9; 32]).unwrap();
    let mut forged = String::from_utf8(trusted("other", 2, &key)).unwrap();
    let at = forged.find("\"sig\":\"").unwrap() + 7;
    let swapped = if &forged[at..=at] == "A" { "B" } else { "A" };
    forged.replace_range(at..=at, swapped);
    let elsewhere = {
        let mut elsewhere = statement("other", Status::Trusted, 2);
        elsewhere.origin = "ledger.example/other".to_owned();
        sign(&elsewhere, &key).unwrap()
    };
    let spaced = [&trusted("other", 2, &key)[..], b" "].concat();
    for (entry, status, code) in [
        // Replayed: what was withdrawn stays withdrawn, in new bytes too.
        (trusted("app", 0, &key).clone(), 200, "repeated"),
        (
            {
                let mut again = statement("app", Status::Trusted, 1);
                again.time += 1;
                sign(&again, &key).unwrap()
            },
            409,
            "superseded",
        ),
        (trusted("other", 3, &key), 409, "ahead"),
        (trusted("other", 2, &stranger), 403, "unknown-signer"),
        (trusted("other", 2, &named), 403, "unknown-signer"),
        (forged.into_bytes(), 403, "bad-signature"),
        (elsewhere, 403, "other-origin"),
        (spaced, 400, "malformed"),
        (b"".to_vec(), 400, "malformed"),
        (b"{\"payloadType\":\"text/plain\"}".to_vec(), 400, "foreign"),
        (vec![b'x'; 16 * 1024], 400, "malformed"),
        (vec![b'x'; 16 * 1024 + 1], 413, "too-large"),
    ] {
        let answer = server.add(&entry);
        if code == "repeated" {
            assert_eq!(
                (answer.index(), &answer.json()["repeated"]),
                (0, &true.into())
            );
        } else {
            assert_eq!(answer.refusal(), (status, code.to_owned()));
        }
        assert_eq!(size(&*log, &node), 2, "{code}");
    }
    assert_eq!(entries(&server.url, &node), [first, withdrawn]);
}

#[test]
fn a_body_is_bounded_and_its_length_is_said_once() {
    let scratch = Scratch::new("serve-body");
    let node = ledger(&scratch, "node");
    let server = Server::start(&node, &node.ledger());
    let post = |lines: &str| server.raw(format!("POST /add HTTP/1.1\r\nHost: x\r\n{lines}\r\n"));
    for (lines, status, code) in [
        ("Content-Length: 99999999999\r\n", 413, "too-large"),
        (
            "Content-Length: 20000\r\nExpect: 100-continue\r\n",
            413,
            "too-large",
        ),
        ("", 411, "length-required"),
        ("Transfer-Encoding: chunked\r\n", 411, "length-required"),
        (
            "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
            411,
            "length-required",
        ),
        (
            "Content-Length: 3\r\nContent-Length: 4\r\n",
            400,
            "malformed-request",
        ),
        ("Content-Length: -1\r\n", 400, "malformed-request"),
        ("Content-Length: 3\r\nExpect: more\r\n", 417, "expectation"),
    ] {
        assert_eq!(post(lines).refusal(), (status, code.to_owned()), "{lines}");
    }
    assert_eq!(server.raw("GET / HTTP/1.1\r\n\r\n").status, 400);
    assert_eq!(server.raw("GET / HTTP/3.0\r\nHost: x\r\n\r\n").status, 505);
    assert_eq!(server.raw("\x16\x03\x01\x02\x00\r\n\r\n").status, 400);
    let many = "A: b\r\n".repeat(100);
    assert_eq!(server.get("/checkpoint", &many).status, 431);
    let long = format!("A: {}\r\n", "b".repeat(20_000));
    assert_eq!(server.get("/checkpoint", &long).status, 431);

    // A client that floods is answered before it is cut off.
    let flood = node.base().join("flood");
    fs::write(&flood, vec![b'x'; 5_000_000]).unwrap();
    let url = format!("{}/add", server.url);
    let body = format!("@{}", flood.display());
    for more in ["Expect:", "Expect: 100-continue"] {
        let curl = sh("curl", &["-s", "-H", more, "--data-binary", &body, &url]);
        assert!(curl.ok().contains("too-large"), "{more}");
    }
    // And one that waits to be asked is asked.
    let entry = node.base().join("entry");
    fs::write(&entry, trusted("app", 0, &signer(&node))).unwrap();
    let body = format!("@{}", entry.display());
    let curl = sh(
        "curl",
        &[
            "-s",
            "-H",
            "Expect: 100-continue",
            "--data-binary",
            &body,
            &url,
        ],
    );
    assert_eq!(curl.json()["index"], 0, "{curl:?}");
    assert!(
        server.resident_kb() < 64 * 1024,
        "{} KiB",
        server.resident_kb()
    );
}

#[test]
fn slow_clients_are_ended_and_keep_nobody_waiting() {
    let scratch = Scratch::new("serve-slow");
    let node = ledger(&scratch, "node");
    let key = signer(&node);
    let server = Server::start(&node, &node.ledger());
    // More connections than there are places: idle ones, and ones in the middle of a head or body.
    let mut idle: Vec<_> = (0..100)
        .map(|_| Client::connect(server.address).unwrap())
        .collect();
    let begun = Instant::now();
    let mut slow: Vec<_> = [
        &b"GET /checkpoint HTTP/1.1\r\nHost:"[..],
        b"POST /add HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc",
    ]
    .iter()
    .cycle()
    .take(20)
    .map(|bytes| {
        let mut client = Client::connect(server.address).unwrap();
        client.send(bytes).unwrap();
        client
    })
    .collect();
    for n in 0..50 {
        let before = Instant::now();
        server.add(&trusted(&format!("app-{n}"), n, &key)).index();
        assert!(
            before.elapsed() < Duration::from_secs(3),
            "{n}: {:?}",
            before.elapsed()
        );
    }
    assert!(server.threads() < 140, "{} threads", server.threads());
    // A byte now and then does not help: the whole has its time.
    let mut dripping = Client::connect(server.address).unwrap();
    let dripped = Instant::now();
    let mut alive = true;
    while alive && dripped.elapsed() < Duration::from_secs(25) {
        alive = dripping.send(b"G").is_ok();
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!(
        dripped.elapsed() < Duration::from_secs(20),
        "it drips for ever"
    );
    for client in &mut slow {
        let answer = client.answer(false).unwrap();
        assert_eq!(answer.refusal(), (408, "too-slow".to_owned()));
        assert!(client.is_closed());
    }
    assert!(
        begun.elapsed() < Duration::from_secs(40),
        "{:?}",
        begun.elapsed()
    );
    for client in &mut idle {
        assert!(client.is_closed());
    }
}

#[test]
fn eight_publishers_at_once_are_all_in_the_log_in_order() {
    let scratch = Scratch::new("serve-eight");
    let node = ledger(&scratch, "node");
    let key = signer(&node);
    let server = Server::start(&node, &node.ledger());
    let found = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for publisher in 0..8 {
            let (found, key, address) = (&found, &key, server.address);
            scope.spawn(move || {
                let mut client = Client::connect(address).unwrap();
                for n in 0..60 {
                    let entry = trusted(&format!("app-{publisher}-{n}"), 0, key);
                    let index = client.add(&entry).unwrap().index();
                    let twice = client.add(&entry).unwrap();
                    assert_eq!(
                        (twice.index(), &twice.json()["repeated"]),
                        (index, &true.into())
                    );
                    assert_eq!(found.lock().unwrap().insert(index, entry), None);
                }
            });
        }
    });
    let found = found.into_inner().unwrap();
    assert_eq!(
        found.keys().copied().collect::<Vec<_>>(),
        (0..480).collect::<Vec<_>>()
    );
    assert_eq!(
        entries(&server.url, &node),
        found.into_values().collect::<Vec<_>>()
    );
    // The same statement from eight at once is one entry.
    let entry = trusted("the-same", 480, &key);
    let places: Vec<u64> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| server.add(&entry).index()))
            .collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(places, [480; 8]);
    assert_eq!(entries(&server.url, &node).len(), 481);
}

#[test]
fn nothing_acknowledged_is_lost_when_it_is_killed() {
    let scratch = Scratch::new("serve-kill");
    let node = ledger(&scratch, "node");
    let key = signer(&node);
    let acknowledged = Mutex::new(BTreeMap::new());
    let next = AtomicU64::new(0);
    for round in 0..12 {
        let mut server = Server::start(&node, &node.ledger());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let (acknowledged, next, key, address) =
                    (&acknowledged, &next, &key, server.address);
                scope.spawn(move || {
                    let Ok(mut client) = Client::connect(address) else {
                        return;
                    };
                    loop {
                        let entry = trusted(&format!("app-{}", next.fetch_add(1, SeqCst)), 0, key);
                        let Ok(answer) = client.add(&entry) else {
                            return;
                        };
                        acknowledged.lock().unwrap().insert(answer.index(), entry);
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(60 + 17 * round));
            server.signal(Signal::SIGKILL);
            server.ended();
        });
    }
    let server = Server::start(&node, &node.ledger());
    let entries = entries(&server.url, &node);
    let acknowledged = acknowledged.into_inner().unwrap();
    assert!(
        acknowledged.len() > 50,
        "only {} were acknowledged",
        acknowledged.len()
    );
    for (index, entry) in &acknowledged {
        assert!(
            entries.get(usize::try_from(*index).unwrap()) == Some(entry),
            "entry {index} is lost"
        );
    }
    // Whoever did not hear the answer sends it again and is told the place, not given another.
    let unheard = entries
        .iter()
        .enumerate()
        .find(|(at, _)| !acknowledged.contains_key(&(*at as u64)));
    if let Some((at, entry)) = unheard {
        assert_eq!(server.add(entry).index(), at as u64);
    }
    drop(server);
    node.vcn(&["ledger", "check", node.ledger().to_str().unwrap()])
        .ok();
}

#[test]
fn a_signal_ends_it_after_every_answer_that_is_owed() {
    let scratch = Scratch::new("serve-stop");
    let node = ledger(&scratch, "node");
    let key = signer(&node);
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut server = Server::start(&node, &node.ledger());
        let (answered, broken) = (AtomicU64::new(0), AtomicU64::new(0));
        let idle = Client::connect(server.address).unwrap();
        std::thread::scope(|scope| {
            for publisher in 0..8 {
                let (answered, broken, key, address) = (&answered, &broken, &key, server.address);
                scope.spawn(move || {
                    let mut client = Client::connect(address).unwrap();
                    for n in 0.. {
                        let entry = trusted(&format!("{signal}-{publisher}-{n}"), 0, key);
                        match client.add(&entry) {
                            Ok(answer) => {
                                answer.index();
                                answered.fetch_add(1, SeqCst);
                                if answer.header("connection").is_some() {
                                    return;
                                }
                            }
                            Err(_) => {
                                broken.fetch_add(1, SeqCst);
                                return;
                            }
                        }
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(300));
            server.signal(signal);
            assert_eq!(server.ended(), Some(0));
        });
        drop(idle);
        let answered = answered.into_inner();
        assert!(answered > 8, "{answered}");
        assert_eq!(broken.into_inner(), 0, "clients were cut off");
    }
    let checked = node.vcn(&[
        "-o",
        "json",
        "ledger",
        "check",
        node.ledger().to_str().unwrap(),
    ]);
    let checked = checked.exits(0).json();
    assert_eq!(
        checked["index"]["logSize"], checked["logSize"],
        "what it took is indexed"
    );
}

#[test]
fn one_process_serves_a_ledger_and_others_may_append_beside_it() {
    let scratch = Scratch::new("serve-lock");
    let node = ledger(&scratch, "node");
    let key = signer(&node);
    let directory = node.ledger();
    let directory = directory.to_str().unwrap();
    let server = Server::start(&node, &node.ledger());
    let second = node.vcn(&["ledger", "serve", directory, "--listen", "127.0.0.1:0"]);
    let said = second.exits(1).err;
    assert!(said.contains("another process serves the ledger"), "{said}");
    for n in 0..5 {
        server.add(&trusted(&format!("a-{n}"), 0, &key)).index();
        node.vcn(&["notarize", "--ledger", directory, &image(&node, n)])
            .ok();
    }
    assert_eq!(entries(&server.url, &node).len(), 10);
    let missing = node.vcn(&["ledger", "serve", "/nonexistent"]);
    assert_eq!(missing.code, 16, "{missing:?}");
    let nonsense = node.vcn(&["ledger", "serve", directory, "--listen", "nowhere"]);
    assert_eq!(nonsense.code, 64, "{nonsense:?}");
}

#[test]
fn publishers_and_nodes_use_it_over_http_alone() {
    let scratch = Scratch::new("serve-use");
    let keeper = ledger(&scratch, "keeper");
    let server = Server::start(&keeper, &keeper.ledger());
    let fingerprint = keeper.base().join("ledger/root/1.note");
    let fingerprint = vcn_hook::trust::root::fingerprint(&fs::read(fingerprint).unwrap()).unwrap();
    let fingerprint = fingerprint.to_string();
    let node = Node::bare(&scratch, "node", None);
    fs::create_dir_all(node.base().join("home/.config/vcn-hook/keys")).unwrap();
    for name in ["default", "default.pub"] {
        let at = format!("home/.config/vcn-hook/keys/{name}");
        fs::copy(keeper.base().join(&at), node.base().join(&at)).unwrap();
    }
    // Not enrolled: by the fingerprint, or with a word that nobody vouches.
    let app = image(&node, 1);
    let wrong = format!("sha256:{}", "0".repeat(64));
    let refused = node.vcn(&["notarize", "--ledger", &server.url, "--root", &wrong, &app]);
    assert_eq!(refused.code, 14, "{refused:?}");
    node.vcn(&[
        "notarize",
        "--ledger",
        &server.url,
        "--root",
        &fingerprint,
        &app,
    ])
    .ok();
    let said = node
        .vcn(&["notarize", "--ledger", &server.url, &app])
        .exits(0)
        .err;
    assert!(said.contains(&fingerprint), "{said}");

    node.vcn(&["enroll", &server.url, "--root", &fingerprint])
        .ok();
    let verified = |image: &str| node.vcn(&["verify", image]).code;
    assert_eq!(verified(&app), 0);
    node.vcn(&["untrust", &app, "--reason", "a test"]).ok();
    assert_eq!(verified(&app), 1);
    node.vcn(&["notarize", &app]).ok();
    assert_eq!(verified(&app), 0);
    node.vcn(&["unsupport", &app]).ok();
    assert_eq!(verified(&app), 3);
    let several = [2, 3, 4].map(|n| image(&node, n));
    let words: Vec<_> = ["notarize"]
        .into_iter()
        .chain(several.iter().map(String::as_str))
        .collect();
    node.vcn(&words).ok();
    for image in &several {
        assert_eq!(verified(image), 0);
    }
    let log = client::open(&server.url).unwrap();
    let before = size(&*log, &keeper);
    // A key that the trust root does not name states nothing.
    node.vcn(&["keygen", "stranger"]).ok();
    let refused = node.vcn(&["notarize", "--key", "stranger", &app]);
    assert_eq!(
        (refused.code, size(&*log, &keeper)),
        (14, before),
        "{refused:?}"
    );
    drop(server);
    let away = node.vcn(&["notarize", &app]);
    assert_eq!(away.code, 16, "{away:?}");
}

#[test]
fn nginx_serves_the_same_directory_while_statements_come_in() {
    let scratch = Scratch::new("serve-nginx");
    let node = ledger(&scratch, "node");
    let key = signer(&node);
    let server = Server::start(&node, &node.ledger());
    let nginx = Nginx::before(&node.ledger(), &server.url);
    let done = Arc::new(AtomicBool::new(false));
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut rounds = 0;
            while !done.load(SeqCst) {
                let log = client::open(&nginx.url).unwrap();
                log_check(&*log, log_key(&node).verifier()).unwrap();
                rounds += 1;
            }
            rounds
        });
        // Statements go through nginx, which passes them on.
        let address = nginx.url.strip_prefix("http://").unwrap().parse().unwrap();
        let mut client = Client::connect(address).unwrap();
        for n in 0..300 {
            let index = client
                .add(&trusted(&format!("app-{n}"), 0, &key))
                .unwrap()
                .index();
            assert_eq!(index, n);
        }
        done.store(true, SeqCst);
        assert!(reading.join().unwrap() > 3);
    });
    assert_eq!(entries(&nginx.url, &node), entries(&server.url, &node));
    let private = client::open(&nginx.url)
        .unwrap()
        .piece(".state/tree", 0, 1000);
    assert_eq!(private, Ok(None));
    node.vcn(&["enroll", &nginx.url, "--root", &fingerprint(&node)])
        .ok();
    let app = image(&node, 1);
    node.vcn(&["notarize", &app]).ok();
    assert_eq!(node.vcn(&["verify", &app]).code, 0);
}

fn fingerprint(node: &Node) -> String {
    let note = fs::read(node.ledger().join("root/1.note")).unwrap();
    vcn_hook::trust::root::fingerprint(&note)
        .unwrap()
        .to_string()
}

#[test]
fn a_ledger_that_lies_about_its_answer_is_found_out() {
    let scratch = Scratch::new("serve-lie");
    let node = ledger(&scratch, "node");
    let server = Server::start(&node, &node.ledger());
    let fingerprint = fingerprint(&node);
    let app = image(&node, 1);
    for (n, (answer, code, words)) in [
        (
            "{\"index\":0,\"status\":\"applied\",\"repeated\":false}",
            13,
            "is not there",
        ),
        (
            "{\"index\":7,\"status\":\"applied\",\"repeated\":false}",
            13,
            "publishes no such entry",
        ),
        (
            "{\"index\":0,\"status\":\"queued\",\"repeated\":false}",
            13,
            "answer is none",
        ),
        ("all is well", 13, "answer is none"),
    ]
    .into_iter()
    .enumerate()
    {
        if n == 0 {
            server.add(&trusted("first", 0, &signer(&node))).index();
        }
        let liar = liar(&server.url, answer);
        let ran = run({
            let mut command =
                node.command(&["notarize", "--ledger", &liar, "--root", &fingerprint, &app]);
            command.env("HOME", node.base().join("home"));
            command
        });
        assert_eq!(ran.code, code, "{answer}: {ran:?}");
        assert!(ran.err.contains(words), "{answer}: {ran:?}");
    }
}

/// A server that passes reading on and answers every statement with the same words.
fn liar(honest: &str, answer: &'static str) -> String {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let honest = honest.strip_prefix("http://").unwrap().to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, honest) = (stream.unwrap(), honest.clone());
            std::thread::spawn(move || {
                let mut request = vec![0; 32 * 1024];
                let Ok(count) = stream.read(&mut request) else {
                    return;
                };
                request.truncate(count);
                if request.starts_with(b"POST") {
                    let text = format!(
                        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{answer}",
                        answer.len()
                    );
                    drop(stream.write_all(text.as_bytes()));
                    return;
                }
                let text = String::from_utf8(request).unwrap();
                let text = text.replacen("\r\n", "\r\nConnection: close\r\n", 1);
                let mut behind = std::net::TcpStream::connect(honest).unwrap();
                behind.write_all(text.as_bytes()).unwrap();
                let mut whole = Vec::new();
                behind.read_to_end(&mut whole).unwrap();
                drop(stream.write_all(&whole));
            });
        }
    });
    url
}

#[test]
fn a_lost_answer_is_asked_for_again_and_counts_once() {
    let scratch = Scratch::new("serve-lost");
    let node = ledger(&scratch, "node");
    let server = Server::start(&node, &node.ledger());
    // The first answers to statements are swallowed after the server has given them.
    let swallowed = Arc::new(AtomicU64::new(0));
    let url = forgetful(&server.url, &swallowed);
    let app = image(&node, 1);
    let fingerprint = fingerprint(&node);
    node.vcn(&["notarize", "--ledger", &url, "--root", &fingerprint, &app])
        .ok();
    assert_eq!(swallowed.load(SeqCst), 2);
    assert_eq!(entries(&server.url, &node).len(), 1);
}

fn forgetful(honest: &str, swallowed: &Arc<AtomicU64>) -> String {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let honest = honest.strip_prefix("http://").unwrap().to_owned();
    let swallowed = Arc::clone(swallowed);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, honest, swallowed) =
                (stream.unwrap(), honest.clone(), Arc::clone(&swallowed));
            std::thread::spawn(move || {
                let mut request = Vec::new();
                let mut some = vec![0; 32 * 1024];
                // The body follows its head at once, in the same piece or in the next.
                stream
                    .set_read_timeout(Some(Duration::from_millis(300)))
                    .unwrap();
                while let Ok(count) = stream.read(&mut some) {
                    request.extend_from_slice(&some[..count]);
                    let post = request.starts_with(b"POST");
                    if count == 0 || (!post && request.ends_with(b"\r\n\r\n")) {
                        break;
                    }
                }
                let end = request.iter().position(|byte| *byte == b'\n').unwrap() + 1;
                request.splice(end..end, *b"Connection: close\r\n");
                let mut behind = std::net::TcpStream::connect(honest).unwrap();
                behind.write_all(&request).unwrap();
                let mut whole = Vec::new();
                behind.read_to_end(&mut whole).unwrap();
                if request.starts_with(b"POST") && swallowed.load(SeqCst) < 2 {
                    swallowed.fetch_add(1, SeqCst);
                    return;
                }
                drop(stream.write_all(&whole));
            });
        }
    });
    url
}

#[test]
fn a_signer_that_a_new_trust_root_names_may_state_at_once() {
    let scratch = Scratch::new("serve-root");
    let node = ledger(&scratch, "node");
    let server = Server::start(&node, &node.ledger());
    let newcomer = SecretKey::from_seed("newcomer", &[5; 32]).unwrap();
    let entry = trusted("app", 0, &newcomer);
    assert_eq!(
        server.add(&entry).refusal(),
        (403, "unknown-signer".to_owned())
    );
    let first = fs::read(node.ledger().join("root/1.note")).unwrap();
    let mut root = vcn_hook::trust::root::TrustRoot::verify_initial(&first).unwrap();
    root.version = 2;
    let mut added = root.signers[0].clone();
    added.key = newcomer.verifier().clone();
    root.signers.push(added);
    let note =
        support::ledger::signed(root.format().unwrap(), &support::ledger::key(&node, "root"));
    fs::write(node.ledger().join("root/2.note"), note).unwrap();
    assert_eq!(server.add(&entry).index(), 0);
    let digest = Digest::of(b"app");
    drop(server);
    let listed = node
        .vcn(&["ledger", "check", node.ledger().to_str().unwrap()])
        .ok();
    assert!(listed.contains("Applied"), "{listed} {digest}");
    assert!(program("curl").is_file());
}
