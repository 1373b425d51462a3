//! Real `InfluxDB`, `Prometheus` and `VictoriaMetrics`, and questions to them.

use super::command::{Ran, command, run, run_with};
use super::program;
use super::scratch::Scratch;
use serde_json::Value;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// An address on which nobody listens.
pub fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// What a web server answers; 0 for no answer.
pub fn get(url: &str) -> (u16, String) {
    let ran = run(command(
        program("curl"),
        ["-sS", "-m", "20", "-w", "\n%{http_code}", url],
    ));
    let (body, status) = ran.out.rsplit_once('\n').unwrap_or(("", "0"));
    (status.parse().unwrap_or(0), body.to_owned())
}

/// Waits until something is so, and says what it last was when it never is.
#[track_caller]
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(last) => assert!(begun.elapsed() < PATIENCE, "{what}: {last}"),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A server of its own; ended when this is dropped.
#[derive(Debug)]
pub struct Service {
    pub address: SocketAddr,
    words: Vec<String>,
    log: PathBuf,
    process: Option<Child>,
}

impl Service {
    fn of(scratch: &Scratch, name: &'static str, address: SocketAddr, words: Vec<String>) -> Self {
        let mut service = Self {
            address,
            words,
            log: scratch.join(&format!("{name}.log")),
            process: None,
        };
        service.start();
        service
    }

    /// InfluxDB 1, with one database.
    pub fn influxdb(scratch: &Scratch, database: &str) -> Self {
        let base = scratch.folder("influxdb");
        let (http, rpc) = (free(), free());
        let config = base.join("config");
        let text = format!(
            "reporting-disabled = true\nbind-address = \"{rpc}\"\n[meta]\ndir = {:?}\n\
             [data]\ndir = {:?}\nwal-dir = {:?}\n[http]\nbind-address = \"{http}\"\n",
            base.join("meta"),
            base.join("data"),
            base.join("wal")
        );
        fs::write(&config, text).unwrap();
        let words = ["influxd", "run", "-config", config.to_str().unwrap()];
        let service = Self::of(scratch, "influxdb", http, words.map(str::to_owned).to_vec());
        eventually("InfluxDB answers", || match get(&service.url("/ping")) {
            (204, _) => Ok(()),
            other => Err(format!("{other:?}\n{}", service.log())),
        });
        // The folder may be another case's, too.
        service.influxql("", &format!("DROP DATABASE \"{database}\""));
        service.influxql("", &format!("CREATE DATABASE \"{database}\""));
        service
    }

    /// Prometheus, with the rules and targets that ship, but each second, and of this target.
    pub fn prometheus(scratch: &Scratch, target: SocketAddr) -> Self {
        let base = scratch.folder("prometheus");
        let address = free();
        let shipped = |name: &str| {
            let path = format!("{}/packaging/prometheus/{name}", env!("CARGO_MANIFEST_DIR"));
            fs::read_to_string(path).unwrap()
        };
        let config = shipped("prometheus.yml")
            .replace("127.0.0.1:9581", &target.to_string())
            .replace("60s", "1s");
        fs::write(base.join("prometheus.yml"), config).unwrap();
        fs::write(base.join("alerts.yml"), shipped("alerts.yml")).unwrap();
        let words = [
            "prometheus".to_owned(),
            format!("--config.file={}", base.join("prometheus.yml").display()),
            format!("--storage.tsdb.path={}", base.join("data").display()),
            format!("--web.listen-address={address}"),
        ];
        let service = Self::of(scratch, "prometheus", address, words.to_vec());
        eventually("Prometheus answers", || {
            match get(&service.url("/-/ready")) {
                (200, _) => Ok(()),
                other => Err(format!("{other:?}\n{}", service.log())),
            }
        });
        service
    }

    /// `VictoriaMetrics`, which takes what InfluxDB 2 is sent.
    pub fn victoria_metrics(scratch: &Scratch) -> Self {
        let base = scratch.folder("victoria-metrics");
        let address = free();
        let words = [
            "victoria-metrics".to_owned(),
            format!("-storageDataPath={}", base.display()),
            format!("-httpListenAddr={address}"),
            // What was written can be asked for at once.
            "-search.latencyOffset=0s".to_owned(),
        ];
        let service = Self::of(scratch, "victoria-metrics", address, words.to_vec());
        eventually("VictoriaMetrics answers", || {
            match get(&service.url("/health")) {
                (200, _) => Ok(()),
                other => Err(format!("{other:?}\n{}", service.log())),
            }
        });
        service
    }

    /// Starts it, for the first time or once more.
    pub fn start(&mut self) {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log);
        let log = log.unwrap();
        let (first, rest) = self.words.split_first().unwrap();
        let mut command = Command::new(program(first));
        command
            .args(rest)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0);
        self.process = Some(command.spawn().unwrap());
    }

    /// Kills it, as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(process.kill());
            drop(process.wait());
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Asks InfluxDB; times are in seconds.
    #[track_caller]
    pub fn influxql(&self, database: &str, query: &str) -> Value {
        let url = self.url("/query");
        let (db, q) = (format!("db={database}"), format!("q={query}"));
        let words = ["-sS", "-m", "20", &url, "--data-urlencode", &db];
        let words = [
            &words[..],
            &["--data-urlencode", &q, "--data-urlencode", "epoch=s"],
        ]
        .concat();
        let answer = run(command(program("curl"), words)).json();
        let result = answer["results"][0].clone();
        assert!(
            answer["error"].is_null() && result["error"].is_null(),
            "{query}: {answer}"
        );
        result
    }

    /// Asks Prometheus, or who answers as it does, for the value now.
    #[track_caller]
    pub fn promql(&self, query: &str) -> Vec<Value> {
        let url = self.url("/api/v1/query");
        let q = format!("query={query}");
        let words = ["-sS", "-m", "20", &url, "--data-urlencode", &q];
        let answer = run(command(program("curl"), words)).json();
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        answer["data"]["result"].as_array().unwrap().clone()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs promtool on files that ship.
pub fn promtool(words: &[&str], input: &[u8]) -> Ran {
    let mut command = command(program("promtool"), words);
    let folder = format!("{}/packaging/prometheus", env!("CARGO_MANIFEST_DIR"));
    command.current_dir(folder);
    run_with(command, input)
}
