//! Where a sweep is shown: the port, the text file, the database.
//!
//! Owns the life of what serves and sends: begun when the settings say so, begun anew when they say
//! something else, ended with the watch. Whatever fails is remarked once, and tried again after the
//! next sweep; none of it delays a sweep.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::decisions::Record;
use super::influx::{self, Sender};
use super::node;
use super::picture::{Picture, Telling};
use super::prometheus::exposition;
use super::server::{self, Board};
use super::sweep::Sweep;
use crate::config::Config;
use crate::config::outputs::{Influx, InfluxTarget};
use crate::http::Stop;
use crate::sys::clock;
use crate::sys::file::{read_owned, replace_volatile};

/// Connections to the port at once. Each may hold an answer of some megabytes for half a minute, whoever asks.
const MAX_CONNECTIONS: usize = 32;

/// Room for one password or token.
const MAX_SECRET: u64 = 4 << 10;

/// Everything that shows sweeps.
#[derive(Debug)]
pub struct Outputs {
    /// Whether there is one sweep only, for which nothing is served.
    once: bool,
    /// The watch's own directory.
    directory: PathBuf,
    record: Record,
    board: Arc<Board>,
    port: Option<Port>,
    points: Option<Points>,
    remarked: Vec<String>,
}

/// A port that is listened on.
#[derive(Debug)]
struct Port {
    asked: SocketAddr,
    stop: Stop,
    thread: JoinHandle<()>,
}

/// Points, and who sends them.
#[derive(Debug)]
struct Points {
    server: influx::Server,
    sender: Arc<Sender>,
    thread: Option<JoinHandle<()>>,
}

impl Outputs {
    /// Nothing is shown yet, and what waits will be in `directory`. With `once`, nothing will be served.
    #[must_use]
    pub fn new(config: &Config, directory: &Path, once: bool) -> Self {
        Self {
            once,
            directory: directory.to_owned(),
            record: Record::of(&config.decisions),
            board: Arc::default(),
            port: None,
            points: None,
            remarked: Vec::new(),
        }
    }

    /// Shows a sweep wherever the settings say, and says what is in the way of that, once.
    pub fn show(
        &mut self,
        config: &Config,
        sweep: &Sweep,
        interval: Duration,
        told: Vec<Telling>,
    ) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.record.path() != config.decisions {
            self.record = Record::of(&config.decisions);
        }
        if let Err(error) = self.record.read_on() {
            remarks.push(format!(
                "cannot read '{}': {error}",
                config.decisions.display()
            ));
        }
        remarks.extend(self.serve(config).err());
        remarks.extend(self.send(config).err());
        let now = clock::now();
        let mut picture = Picture {
            now,
            interval: interval.as_secs(),
            sweep: Some(Arc::new(sweep.clone())),
            decisions: self.record.decisions.clone(),
            node: node::read(config, now),
            told,
        };
        if let Some(points) = &self.points {
            let lines = influx::line::points(&picture);
            if let Err(error) = points.sender.push(&lines) {
                remarks.push(format!("cannot keep points for InfluxDB: {error}"));
            }
            picture.told.push(points.sender.telling());
        }
        if let Some(path) = &config.watch.outputs.textfile {
            let written = replace_volatile(path, exposition(&picture).as_bytes(), 0o644);
            remarks.extend(
                written
                    .err()
                    .map(|error| format!("cannot write '{}': {error}", path.display())),
            );
        }
        let sender = self
            .points
            .as_ref()
            .map(|points| Arc::clone(&points.sender));
        self.board.show(picture, sender);
        let new = remarks
            .iter()
            .filter(|remark| !self.remarked.contains(remark));
        let new: Vec<_> = new.cloned().collect();
        self.remarked = remarks;
        new
    }

    /// Ends what serves and sends. With `once`, sends what waits before, within that time.
    pub fn end(&mut self, within: Duration) -> Vec<String> {
        let mut remarks = Vec::new();
        if let Some(port) = self.port.take() {
            port.end();
        }
        if let Some(points) = self.points.take() {
            if self.once && !points.sender.flush(within) {
                let error = points.sender.telling().error.unwrap_or_default();
                remarks.push(format!(
                    "points wait for InfluxDB, for the next watch to send: {error}"
                ));
            }
            points.end(within);
        }
        remarks
    }

    fn serve(&mut self, config: &Config) -> Result<(), String> {
        let asked = config.watch.outputs.listen.filter(|_| !self.once);
        if self.port.as_ref().map(|port| port.asked) == asked {
            return Ok(());
        }
        if let Some(port) = self.port.take() {
            port.end();
        }
        let Some(asked) = asked else {
            return Ok(());
        };
        let failed =
            |error: io::Error| format!("cannot serve metrics and pages on {asked}: {error}");
        let listener = TcpListener::bind(asked).map_err(failed)?;
        let stop = Stop::at_most(MAX_CONNECTIONS, listener);
        let (ending, board) = (stop.clone(), Arc::clone(&self.board));
        let serving = thread::Builder::new().spawn(move || server::run(&ending, &board));
        let thread = serving.map_err(failed)?;
        self.port = Some(Port {
            asked,
            stop,
            thread,
        });
        Ok(())
    }

    fn send(&mut self, config: &Config) -> Result<(), String> {
        let asked = config.watch.outputs.influx.as_ref();
        // Read each time, as a password or a token may be another one by now. While there is none, whoever
        // sends goes on with the last one.
        let server = asked.map(server_of).transpose()?;
        if self.points.as_ref().map(|points| &points.server) == server.as_ref() {
            return Ok(());
        }
        if let Some(points) = self.points.take() {
            points.end(Duration::ZERO);
        }
        let Some(server) = server else {
            return Ok(());
        };
        let failed = |error: io::Error| format!("cannot send points to '{}': {error}", server.url);
        let directory = self.directory.join("influx");
        let sender = Arc::new(Sender::open(&directory, &server).map_err(failed)?);
        let thread = match self.once {
            true => None,
            false => {
                let sending = Arc::clone(&sender);
                let thread = thread::Builder::new().spawn(move || sending.run());
                Some(thread.map_err(failed)?)
            }
        };
        self.points = Some(Points {
            server,
            sender,
            thread,
        });
        Ok(())
    }
}

impl Port {
    fn end(self) {
        self.stop.stop();
        // A thread that panicked serves nobody, either.
        let _ = self.thread.join();
    }
}

impl Points {
    /// A request that hangs is not waited for: its points are on disk.
    fn end(self, within: Duration) {
        self.sender.end();
        let begun = Instant::now();
        let sends = || {
            self.thread
                .as_ref()
                .is_some_and(|thread| !thread.is_finished())
        };
        while sends() && begun.elapsed() < within {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

fn server_of(asked: &Influx) -> Result<influx::Server, String> {
    let target = match &asked.target {
        InfluxTarget::V1 { db, user } => influx::Target::V1 {
            db: db.clone(),
            user: match user {
                None => None,
                Some((user, file)) => Some((user.clone(), first_line(file)?)),
            },
        },
        InfluxTarget::V2 {
            org,
            bucket,
            token_file,
        } => influx::Target::V2 {
            org: org.clone(),
            bucket: bucket.clone(),
            token: first_line(token_file)?,
        },
    };
    Ok(influx::Server {
        url: asked.url.clone(),
        target,
    })
}

fn first_line(path: &Path) -> Result<String, String> {
    let bytes = read_owned(path, MAX_SECRET);
    let bytes = bytes.map_err(|error| format!("cannot read '{}': {error}", path.display()))?;
    let line = bytes
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let text = std::str::from_utf8(line).ok().map(str::trim);
    match text.filter(|text| !text.is_empty() && text.chars().all(|c| !c.is_control())) {
        Some(text) => Ok(text.to_owned()),
        None => Err(format!(
            "'{}' has no text in its first line",
            path.display()
        )),
    }
}
