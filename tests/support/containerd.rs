//! A private containerd.

use super::command::{Ran, command, run};
use super::program;
use super::scratch::Scratch;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// Its root, and a client that works in Docker's namespace. It ends with its scratch folder.
pub fn containerd(scratch: &Scratch) -> (PathBuf, impl Fn(&[&str]) -> Ran + Sync + use<>) {
    let base = scratch.folder("containerd");
    let (root, address) = (base.join("root"), base.join("c.sock"));
    let config = base.join("config.toml");
    let text = format!(
        "version = 2\nroot = {root:?}\nstate = {:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
         [grpc]\naddress = {address:?}\n",
        base.join("state"),
    );
    fs::write(&config, text).unwrap();
    let mut server = Command::new(program("containerd"));
    server.arg("--config").arg(&config);
    scratch.start("containerd", &base.join("log"), &mut server);
    let ctr = move |args: &[&str]| {
        let address = address.to_str().unwrap();
        let mut client = command(program("ctr"), ["-a", address, "-n", "moby"]);
        client.args(args);
        run(client)
    };
    let begun = Instant::now();
    while ctr(&["version"]).code != 0 {
        let log = || fs::read_to_string(base.join("log")).unwrap_or_default();
        assert!(begun.elapsed() < Duration::from_secs(30), "{}", log());
        std::thread::sleep(Duration::from_millis(100));
    }
    (root, ctr)
}
