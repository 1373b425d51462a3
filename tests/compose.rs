//! The watch as a container beside those that it watches, started as vcn-watchdog was.
//!
//! A throw-away machine has Docker on its ordinary paths and the gate in its way; the files are those of
//! packaging/watch. The image is made from nothing but the static binary, so `make build` comes first.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test file"
)]

mod support;

use serde_json::Value;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use support::command::Ran;
use support::image::Image;
use support::machine::Machine;
use support::scratch::Scratch;
use support::telemetry::{eventually, free, get};

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/watch");

/// The binary that `make build` made; no other is static.
fn static_binary() -> PathBuf {
    let built = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/target/x86_64-unknown-linux-musl/release/vcn-hook"
    );
    let path = std::env::var_os("VCN_HOOK_BIN").map_or_else(|| PathBuf::from(built), PathBuf::from);
    assert!(path.is_file(), "no '{}': run make build", path.display());
    path
}

fn compose(machine: &Machine, words: &str) -> Ran {
    machine.sh(&format!(
        "cd /srv/watch && NODENAME=node-1 CHECK_INTERVAL=1 docker-compose {words}"
    ))
}

/// Whether the page for machines says that this container's image is TRUSTED.
fn trusted(web: SocketAddr, id: &str) -> Result<(), String> {
    let (_, body) = get(&format!("http://{web}/results"));
    let results: Value = serde_json::from_str(&body).map_err(|_| body.clone())?;
    let mut images = results.as_array().into_iter().flatten();
    let image = images.find(|image| image["containers"].to_string().contains(id));
    match image {
        Some(image) if image["verification"]["status"] == 0 => Ok(()),
        _ => Err(body),
    }
}

#[test]
fn build_and_up_as_printed_watches_without_a_socket_once_it_is_notarized_itself() {
    let scratch = Scratch::new("compose");
    let machine = Machine::of_host(&scratch);
    let web = free();
    fs::copy(static_binary(), machine.path("/usr/bin/vcn-hook")).unwrap();
    machine.init_ledger();
    machine.vcn(&["enroll", "/srv/ledger"]).ok();
    machine.write(
        "/etc/vcn-hook/conf.d/60-test.toml",
        format!("[watch]\nlisten = \"{web}\"\n"),
    );
    machine.dockerd();
    machine
        .run_with(&["docker", "load"], &Image::app("good:1").archive())
        .ok();
    machine.vcn(&["notarize", "docker://good:1"]).ok();
    machine.vcn(&["configure", "--runtime", "docker"]).ok();
    machine.reload_dockerd();
    machine.vcn(&["mode", "enforce", "--yes"]).ok();

    machine
        .sh("mkdir -p /srv/watch && cp /usr/bin/vcn-hook /srv/watch/")
        .ok();
    for name in ["Dockerfile", "docker-compose.yml"] {
        let text = fs::read(format!("{SHIPPED}/{name}")).unwrap();
        machine.write(&format!("/srv/watch/{name}"), text);
    }
    compose(&machine, "build").ok();
    // The gate judges the watch as anybody.
    let refused = compose(&machine, "up -d").failed();
    assert!(refused.contains("vcn-hook"), "{refused}");
    machine.vcn(&["notarize", "docker://vcn-hook-watch"]).ok();
    compose(&machine, "up -d").ok();

    let words = [
        "docker",
        "run",
        "-d",
        "--network=none",
        "--name=web",
        "--entrypoint=/bin/sleep",
    ];
    let id = machine
        .run(&[&words[..], &["good:1", "1000"]].concat())
        .ok();
    let line = format!("Container {} (", &id[..12]);
    eventually("its line in the log", || {
        let logs = compose(&machine, "logs --no-color");
        let said = logs
            .out
            .lines()
            .find(|text| text.contains(&line))
            .map(str::to_owned);
        said.filter(|text| text.contains("check successful"))
            .map(drop)
            .ok_or_else(|| format!("{logs:?}"))
    });
    let own = machine
        .run(&[
            "docker",
            "inspect",
            "--format={{.Id}}",
            "watch_vcn-hook-watch_1",
        ])
        .ok();
    for id in [&id, &own] {
        eventually("its result", || trusted(web, id));
    }
    // It talks to no engine, and may write nothing of the host's.
    let mounts = machine
        .run(&["docker", "inspect", "--format={{json .Mounts}}", &own])
        .ok();
    assert!(!mounts.contains(".sock"), "{mounts}");
    let mounts: Value = serde_json::from_str(&mounts).unwrap();
    for mount in mounts.as_array().unwrap() {
        assert!(mount["Type"] == "volume" || mount["RW"] == false, "{mount}");
    }
    compose(&machine, "down").ok();
    in_a_swarm(&machine, web, &id);
}

/// The same image as a service of a Swarm of one node.
fn in_a_swarm(machine: &Machine, web: SocketAddr, id: &str) {
    let text = fs::read(format!("{SHIPPED}/docker-stack.yml")).unwrap();
    machine.write("/srv/watch/docker-stack.yml", text);
    machine
        .sh("docker swarm init --advertise-addr 127.0.0.1 --listen-addr 127.0.0.1:2377")
        .ok();
    machine
        .sh("cd /srv/watch && docker stack deploy -c docker-stack.yml vcn-hook")
        .ok();
    eventually("the service's result", || {
        trusted(web, id).map_err(|last| {
            let tasks = machine.sh("docker service ps --no-trunc vcn-hook_watch");
            format!("{last}\n{tasks:?}")
        })
    });
    machine.sh("docker swarm leave --force").ok();
}

#[test]
fn the_swarm_stack_is_one_on_each_node_and_says_the_same() {
    let read = |name: &str| fs::read_to_string(format!("{SHIPPED}/{name}")).unwrap();
    let stack = read("docker-stack.yml");
    assert!(
        stack.contains("mode: global") && !stack.contains(".sock\n"),
        "{stack}"
    );
    let binds = |text: &str| -> Vec<String> {
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with("- /"));
        lines
            .map(str::to_owned)
            .filter(|line| line != "- /proc:/proc:ro")
            .collect()
    };
    assert_eq!(binds(&stack), binds(&read("docker-compose.yml")));
    for bind in binds(&stack) {
        assert!(bind.contains(":ro"), "{bind}");
    }
}
