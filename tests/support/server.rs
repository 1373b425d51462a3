//! `ledger serve` as a process of its own, and clients that speak to it byte by byte.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use vcn_hook::allowlist::record::Status;
use vcn_hook::image::digest::{ChainId, Digest};
use vcn_hook::ledger::statement::{Statement, Subject, SubjectKind, sign};
use vcn_hook::trust::keys::{self, SecretKey};

use super::node::Node;

/// The process; ended when this is dropped.
#[derive(Debug)]
pub struct Server {
    process: Child,
    pub url: String,
    pub address: SocketAddr,
}

impl Server {
    /// Serves a directory, and returns once it listens.
    pub fn start(node: &Node, directory: &Path) -> Self {
        let mut command = node.command(&["-o", "json", "ledger", "serve"]);
        command.arg(directory).args(["--listen", "127.0.0.1:0"]);
        // `timeout` in front of it would be what the signals reach.
        let words: Vec<_> = command.get_args().skip(3).map(ToOwned::to_owned).collect();
        let mut direct = std::process::Command::new(&words[0]);
        direct.args(&words[1..]).env_clear();
        node.environment(&mut direct);
        let mut process = direct.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let ready: serde_json::Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: '{line}'"));
        let url = ready["url"].as_str().unwrap().to_owned();
        let address = url.strip_prefix("http://").unwrap().parse().unwrap();
        Self {
            process,
            url,
            address,
        }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.process.id()).unwrap())
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Waits for the end and says how it ended; a process that does not end fails the test.
    pub fn ended(&mut self) -> Option<i32> {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(30) {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it does not end");
    }

    /// Open files and threads of the process.
    pub fn threads(&self) -> usize {
        let path = format!("/proc/{}/task", self.process.id());
        std::fs::read_dir(path).unwrap().count()
    }

    pub fn resident_kb(&self) -> u64 {
        let path = format!("/proc/{}/status", self.process.id());
        let text = std::fs::read_to_string(path).unwrap();
        let line = text.lines().find(|line| line.starts_with("VmHWM")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Sends these bytes on a new connection and reads one answer.
    pub fn raw(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut client = Client::connect(self.address).unwrap();
        client.send(request.as_ref()).unwrap();
        client.answer(false).unwrap()
    }

    /// GET with these header lines, each ending in CR LF.
    pub fn get(&self, path: &str, lines: &str) -> Answer {
        self.raw(format!("GET {path} HTTP/1.1\r\nHost: x\r\n{lines}\r\n"))
    }

    pub fn add(&self, entry: &[u8]) -> Answer {
        Client::connect(self.address).unwrap().add(entry).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One connection.
#[derive(Debug)]
pub struct Client(TcpStream);

impl Client {
    pub fn connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(40)))?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    pub fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write_all(bytes)
    }

    /// One statement, and its answer.
    pub fn add(&mut self, entry: &[u8]) -> std::io::Result<Answer> {
        let head = format!(
            "POST /add HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
            entry.len()
        );
        self.send(&[head.as_bytes(), entry].concat())?;
        self.answer(false)
    }

    /// Reads one answer; that of HEAD has no body whatever it says.
    pub fn answer(&mut self, of_head: bool) -> std::io::Result<Answer> {
        let mut bytes = Vec::new();
        let mut byte = [0];
        while !bytes.ends_with(b"\r\n\r\n") {
            if self.0.read(&mut byte)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            bytes.push(byte[0]);
        }
        let head = String::from_utf8(bytes).unwrap();
        let mut answer = Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head,
            body: Vec::new(),
        };
        let length = answer.header("content-length").unwrap_or_default();
        if !of_head && let Ok(length) = length.parse() {
            answer.body = vec![0; length];
            self.0.read_exact(&mut answer.body)?;
        }
        Ok(answer)
    }

    /// Whether the other side has closed the connection.
    pub fn is_closed(&mut self) -> bool {
        matches!(self.0.read(&mut [0]), Ok(0) | Err(_))
    }
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<String> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The place of a statement that was taken.
    #[track_caller]
    pub fn index(&self) -> u64 {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()["index"].as_u64().unwrap()
    }

    /// Status and code of a refusal.
    #[track_caller]
    pub fn refusal(&self) -> (u16, String) {
        let code = self.json()["error"]["code"].as_str().unwrap().to_owned();
        (self.status, code)
    }
}

/// The signer that `ledger init` made.
pub fn signer(node: &Node) -> SecretKey {
    let path = node.base().join("home/.config/vcn-hook/keys/default");
    keys::open(&path, &mut |_: &Path| None).unwrap()
}

/// A statement about the config that is called `name`.
pub fn statement(name: &str, status: Status, after: u64) -> Statement {
    Statement {
        subjects: vec![Subject {
            name: name.to_owned(),
            digest: Digest::of(name.as_bytes()),
            kind: SubjectKind::Config {
                chain: Some(ChainId::from_digest(Digest::of(b"chain"))),
            },
        }],
        status,
        origin: "ledger.test/vcn".to_owned(),
        after,
        time: 1_790_000_000,
        not_after: 0,
        kind: "docker".to_owned(),
        name: format!("docker://{name}"),
        size: 1,
        company: String::new(),
        website: String::new(),
        reason: String::new(),
    }
}

/// A TRUSTED of this signer, as an entry.
pub fn trusted(name: &str, after: u64, key: &SecretKey) -> Vec<u8> {
    sign(&statement(name, Status::Trusted, after), key).unwrap()
}
