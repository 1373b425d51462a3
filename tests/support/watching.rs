//! The watch as a process of its own, and a receiver that stands for Slack and says so.

use super::node::Node;
use serde_json::Value;
use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A fake: it stands where Slack, or any webhook, does, and keeps what it is sent.
#[derive(Debug, Clone)]
pub struct Receiver {
    pub address: SocketAddr,
    got: Arc<Mutex<Vec<Value>>>,
    answers: Arc<Mutex<VecDeque<u16>>>,
}

impl Receiver {
    /// Listens on a port of its own, which is then free.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let receiver = Self {
            address: listener.local_addr().unwrap(),
            got: Arc::default(),
            answers: Arc::default(),
        };
        let (got, answers) = (receiver.got.clone(), receiver.answers.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serve(stream, &got, &answers);
            }
        });
        receiver
    }

    /// A port on which nobody listens.
    pub fn nobody() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
    }

    /// The next answers are these statuses; after them it answers 200.
    pub fn answer(&self, statuses: &[u16]) {
        *self.answers.lock().unwrap() = statuses.iter().copied().collect();
    }

    pub fn url(&self) -> String {
        format!("http://{}/services/T000/SECRET", self.address)
    }

    /// What was sent and taken, as far as it has this text in it.
    pub fn about(&self, text: &str) -> Vec<String> {
        let got = self.got.lock().unwrap();
        let got = got.iter().map(Value::to_string);
        got.filter(|body| body.contains(text)).collect()
    }

    /// How many were taken.
    pub fn count(&self) -> usize {
        self.got.lock().unwrap().len()
    }

    /// Waits until so many were taken that have this text in them.
    #[track_caller]
    pub fn wait_for(&self, text: &str, count: usize) -> Vec<String> {
        let begun = Instant::now();
        loop {
            let about = self.about(text);
            if about.len() >= count {
                return about;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{count} times '{text}' are not in {:#?}",
                self.got.lock().unwrap()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn serve(stream: TcpStream, got: &Mutex<Vec<Value>>, answers: &Mutex<VecDeque<u16>>) {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|read| read > 0) && line.trim() != "" {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let status = answers.lock().unwrap().pop_front().unwrap_or(200);
    if status == 200 {
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        got.lock().unwrap().push(body);
    }
    let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    drop(reader.get_mut().write_all(answer.as_bytes()));
}

/// The watch; ended when this is dropped.
#[derive(Debug)]
pub struct Watching {
    process: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Watching {
    /// Starts it, and returns when its first look is over.
    #[track_caller]
    pub fn start(node: &Node, path: &str, args: &[&str]) -> Self {
        Self::start_by(&[], node, path, args)
    }

    /// The same by a command that becomes it, such as `unshare`.
    #[track_caller]
    pub fn start_by(by: &[&str], node: &Node, path: &str, args: &[&str]) -> Self {
        let command = node.command(&[&["watch"], args].concat());
        // `timeout` in front of it would be what the signals reach.
        let own = command.get_args().skip(3).map(ToOwned::to_owned);
        let words: Vec<_> = by.iter().map(Into::into).chain(own).collect();
        let mut direct = Command::new(&words[0]);
        direct.args(&words[1..]).env_clear().env("PATH", path);
        node.environment(&mut direct);
        let [out, err] = ["watch.out", "watch.err"].map(|name| node.base().join(name));
        let file = |path| fs::OpenOptions::new().create(true).append(true).open(path);
        let notify = node.base().join("notify");
        drop(fs::remove_file(&notify));
        // A fake: it stands where systemd does.
        let manager = std::os::unix::net::UnixDatagram::bind(&notify).unwrap();
        manager.set_read_timeout(Some(PATIENCE)).unwrap();
        let process = direct
            .env("NOTIFY_SOCKET", &notify)
            .env("NODENAME", "node-1")
            .stdin(Stdio::null())
            .stdout(file(&out).unwrap())
            .stderr(file(&err).unwrap())
            .spawn()
            .unwrap();
        let watching = Self { process, out, err };
        let mut said = Vec::new();
        while !said.iter().any(|line: &String| line.starts_with("STATUS=")) {
            let mut bytes = [0; 4096];
            let length = manager.recv(&mut bytes);
            let length = length.unwrap_or_else(|error| panic!("{error}: {}", watching.err()));
            said.push(String::from_utf8_lossy(&bytes[..length]).into_owned());
        }
        assert_eq!(said[0], "READY=1");
        watching
    }

    pub fn out(&self) -> String {
        fs::read_to_string(&self.out).unwrap()
    }

    pub fn err(&self) -> String {
        fs::read_to_string(&self.err).unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// A line of its `/proc/<pid>/status` that is of memory, such as `VmRSS:`, in KiB.
    pub fn memory(&self, line: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let value = status.lines().find_map(|text| text.strip_prefix(line));
        value
            .unwrap()
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap()
    }

    /// How many bytes it has read, from wherever.
    pub fn read(&self) -> u64 {
        let io = fs::read_to_string(format!("/proc/{}/io", self.pid())).unwrap();
        let rchar = io.lines().find_map(|line| line.strip_prefix("rchar: "));
        rchar.unwrap().parse().unwrap()
    }

    /// Where in the kernel a thread of this name waits; empty where there is none.
    pub fn waits_in(&self, name: &str) -> String {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap();
        let mut threads = threads.map(|thread| thread.unwrap().path());
        let named = |thread: &PathBuf| {
            fs::read_to_string(thread.join("comm")).is_ok_and(|comm| comm.trim() == name)
        };
        let thread = threads.find(named);
        thread.map_or_else(String::new, |thread| {
            fs::read_to_string(thread.join("wchan")).unwrap_or_default()
        })
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.pid()).unwrap()), signal).unwrap();
    }

    /// Has it look once more, and waits until it has: a line about this container comes again.
    #[track_caller]
    pub fn look_again(&self, id: &str) {
        let id = &id[..12];
        let lines = || self.out().matches(id).count() + self.err().matches(id).count();
        let before = lines();
        self.signal(Signal::SIGHUP);
        wait_until("another look", || lines() > before);
    }

    /// Asks it to end, and waits.
    #[track_caller]
    pub fn end(mut self) {
        self.signal(Signal::SIGTERM);
        let status = self.process.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.err());
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[track_caller]
pub fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < PATIENCE, "no {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
