//! A registry on a loopback port, for images that are really pulled.

use super::program;
use super::scratch::Scratch;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

/// The registry. It ends with its scratch folder.
#[derive(Debug)]
pub struct Registry {
    /// `127.0.0.1:PORT`.
    pub address: String,
}

impl Registry {
    /// Starts it on a free port.
    pub fn start(scratch: &Scratch) -> Self {
        let base = scratch.folder("registry");
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let address = format!("127.0.0.1:{port}");
        let config = base.join("config.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: {address}}}\n",
            base.join("data").display()
        );
        fs::write(&config, text).unwrap();
        let mut server = Command::new(program("docker-registry"));
        server.arg("serve").arg(&config);
        scratch.start("registry", &base.join("log"), &mut server);
        let begun = Instant::now();
        while TcpStream::connect(&address).is_err() {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "the registry does not answer"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Self { address }
    }
}
