//! Dashboards, rules and metrics, asked of real databases that a real watch of real containers filled.
//!
//! One Docker with one container of each status serves all cases: everything that ships in
//! packaging/grafana and packaging/prometheus is asked, and an empty answer fails.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test file"
)]

mod support;

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use support::binary;
use support::command::{command, run};
use support::daemon::Daemon;
use support::image::Image;
use support::node::Node;
use support::program;
use support::scratch::Scratch;
use support::telemetry::{Service, eventually, free, get, promtool};
use support::watching::Watching;

const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
const SLEEP: [&str; 2] = ["/bin/sleep", "1000"];

/// A name with everything that an output could take for its own.
const EVIL: &str = "e\"v'i,l =\\ \u{1b}[2J<script>alert(1)</script>\u{202e}";

/// A node on which one container of each status runs.
struct Scene {
    scratch: Scratch,
    daemon: Daemon,
    node: Node,
    trusted: String,
    untrusted: String,
    web: SocketAddr,
}

/// What all cases share; one of them at a time has the watch.
fn scene() -> MutexGuard<'static, Scene> {
    static SCENE: OnceLock<Mutex<Scene>> = OnceLock::new();
    let scene = SCENE.get_or_init(|| Mutex::new(Scene::set()));
    // A case that failed says nothing about the next one.
    scene.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scene {
    fn set() -> Self {
        let scratch = Scratch::new("dashboards");
        let daemon = Daemon::start(&scratch);
        let node = Node::new(&scratch, "node", Some(&daemon));
        node.apply();
        let images = ["good:1", "bad:1", "new:1", "old:1"].map(|tag| Image::saying(tag, tag));
        for image in &images {
            image.load(&daemon);
        }
        for tag in ["good:1", "bad:1", "old:1"] {
            node.notarize(&format!("docker://{tag}"));
        }
        daemon.gated_by(&node.config());
        let trusted = start(&daemon, "web", "good:1");
        let untrusted = start(&daemon, "worm", "bad:1");
        start(&daemon, "relic", "old:1");
        // What nobody notarized comes in while the gate is not there: it came around it, as the record
        // goes back well before it.
        std::thread::sleep(Duration::from_secs(5));
        daemon.ungated();
        start(&daemon, "stranger", "new:1");
        daemon.gated_by(&node.config());
        node.vcn(&["untrust", "docker://bad:1"]).ok();
        node.vcn(&["unsupport", "docker://old:1"]).ok();
        node.sync();
        daemon.run(&["new:1"]).failed();
        // The gate is in, and a canary proves it.
        drop(node.vcn(&["self-test"]));
        let web = free();
        Self {
            scratch,
            daemon,
            node,
            trusted,
            untrusted,
            web,
        }
    }

    /// Has the watch write to this database, and serve.
    fn configure(&self, influx: &str) {
        self.node.configure(&format!(
            "[watch]\nlisten = \"{}\"\ntextfile = {:?}\n[watch.influx]\n{influx}",
            self.web,
            self.scratch.join("vcn-hook.prom")
        ));
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.web)
    }
}

fn start(daemon: &Daemon, name: &str, tag: &str) -> String {
    let words = ["run", "-d", "--network=none", "--name", name];
    daemon
        .docker(&[&words[..], &["--entrypoint", SLEEP[0], tag, SLEEP[1]]].concat())
        .ok()
}

fn dashboard(name: &str) -> Value {
    let path = format!("{}/packaging/grafana/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The queries of all panels, and where each is.
fn queries(dashboard: &Value, key: &str) -> Vec<(String, String)> {
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let title = panel["title"].as_str().unwrap();
            let place = format!("{title} {}", target["refId"].as_str().unwrap());
            queries.push((place, target[key].as_str().unwrap().to_owned()));
        }
    }
    assert!(queries.len() > 20, "the panels were not found");
    queries
}

/// Whether an answer of Prometheus has a number in it.
fn has_number(answer: &[Value]) -> bool {
    let value = |series: &Value| series["value"][1].as_str().map(str::to_owned);
    let mut values = answer.iter().filter_map(value);
    values.any(|value| value.parse::<f64>().is_ok_and(f64::is_finite))
}

#[test]
fn every_query_of_every_panel_and_rule_is_answered_by_real_databases() {
    let scene = scene();
    let influx = Service::influxdb(&scene.scratch, "mydb");
    scene.configure(&format!("url = \"{}\"\ndb = \"mydb\"\n", influx.url("")));
    let watch = Watching::start(&scene.node, PATH, &["--interval", "1"]);
    let prometheus = Service::prometheus(&scene.scratch, scene.web);
    // Rates need starts while somebody looks.
    eventually("a scrape", || {
        match prometheus.promql("vcn_hook_refusals_total").len() {
            0 => Err("none".to_owned()),
            _ => Ok(()),
        }
    });
    for _ in 0..2 {
        scene.daemon.run(&["good:1"]).ok();
        scene.daemon.run(&["new:1"]).failed();
    }
    panels_of_prometheus(&prometheus);
    rules(&prometheus);
    panels_of_influxdb(&influx);
    served(&scene);
    watch.end();
}

fn panels_of_prometheus(prometheus: &Service) {
    for (place, expr) in queries(&dashboard("vcn-hook-prometheus.json"), "expr") {
        let expr = expr
            .replace("$instance", ".*")
            .replace("$__rate_interval", "1m");
        eventually(&format!("{place}: {expr}"), || {
            let answer = prometheus.promql(&expr);
            has_number(&answer)
                .then_some(())
                .ok_or_else(|| format!("{answer:?}"))
        });
    }
    let (_, labels) =
        get(&prometheus.url("/api/v1/label/instance/values?match[]=vcn_hook_build_info"));
    assert!(labels.contains("127.0.0.1"), "{labels}");
    // What is shown is what runs: the hostile and the good side by side, by kube-notary's own queries.
    let value = |query: &str| {
        prometheus.promql(query)[0]["value"][1]
            .as_str()
            .unwrap()
            .to_owned()
    };
    for (status, name) in [(0, "web"), (1, "worm"), (2, "stranger"), (3, "relic")] {
        let query = format!("count(vcn_verification_status{{name=\"{name}\"}} == {status})");
        assert_eq!(value(&query), "1", "{query}");
    }
    let around = "vcn_hook_container_verdict{name=\"stranger\",entered=\"by-gate\"}";
    assert_eq!(prometheus.promql(around).len(), 0);
}

/// Of each rule, what it compares is there; that it fires is promtool's to show.
fn rules(prometheus: &Service) {
    promtool(&["check", "rules", "alerts.yml"], b"").ok();
    promtool(&["test", "rules", "alerts.test.yml"], b"").ok();
    let (_, loaded) = get(&prometheus.url("/api/v1/rules"));
    let loaded: Value = serde_json::from_str(&loaded).unwrap();
    let rules = loaded["data"]["groups"][0]["rules"].as_array().unwrap();
    assert!(rules.len() > 10, "{loaded}");
    for rule in rules {
        let expr = rule["query"].as_str().unwrap();
        let compared = [" == ", " > ", " < "]
            .iter()
            .find_map(|sign| expr.rsplit_once(sign))
            .unwrap_or_else(|| panic!("{expr} compares nothing"));
        let query = compared.0;
        eventually(&format!("{}: {query}", rule["name"]), || {
            let answer = prometheus.promql(query);
            has_number(&answer)
                .then_some(())
                .ok_or_else(|| format!("{answer:?}"))
        });
    }
    eventually("the alert about the worm", || {
        let firing = "ALERTS{alertname=\"VcnHookMustNotRun\",name=\"worm\"}";
        let answer = prometheus.promql(firing);
        (answer.len() == 1)
            .then_some(())
            .ok_or_else(|| format!("{answer:?}"))
    });
}

fn panels_of_influxdb(influx: &Service) {
    let board = dashboard("vcn-hook-influxdb.json");
    for (place, query) in queries(&board, "query") {
        let query = query
            .replace("$hostname", ".*")
            .replace("$timeFilter", "time > now() - 10m")
            .replace("$__interval", "1s");
        eventually(&format!("{place}: {query}"), || {
            let answer = influx.influxql("mydb", &query);
            let series = answer["series"].as_array().cloned().unwrap_or_default();
            let rows = series
                .iter()
                .flat_map(|one| one["values"].as_array().unwrap());
            let mut numbers =
                rows.filter(|row| row.as_array().unwrap()[1..].iter().any(Value::is_number));
            numbers.next().map(drop).ok_or_else(|| format!("{answer}"))
        });
    }
    let variable = board["templating"]["list"][0]["query"].as_str().unwrap();
    let names = influx.influxql("mydb", variable);
    assert!(names.to_string().contains("node-1"), "{names}");
}

/// What the port answers, while Docker, Prometheus and InfluxDB are there.
fn served(scene: &Scene) {
    let (status, metrics) = get(&scene.url("/metrics"));
    assert_eq!(status, 200);
    let checked = promtool(&["check", "metrics"], metrics.as_bytes());
    assert_eq!(checked.code, 0, "{checked:?}");
    let written = fs::read_to_string(scene.scratch.join("vcn-hook.prom")).unwrap();
    let names = |text: &str| -> BTreeSet<String> {
        let lines = text.lines().filter(|line| line.starts_with("# TYPE "));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(names(&written), names(&metrics));
    let (_, results) = get(&scene.url("/results"));
    let results: Value = serde_json::from_str(&results).unwrap();
    let of = |id: &str| {
        let id = format!("docker://{id}");
        let images = results.as_array().unwrap().iter();
        let mut found = images.filter(|image| {
            let containers = image["containers"].as_array().unwrap();
            containers
                .iter()
                .any(|container| container["containerID"] == *id)
        });
        found.next().unwrap()["verification"]["status"].clone()
    };
    assert_eq!(
        (of(&scene.trusted), of(&scene.untrusted)),
        (0.into(), 1.into())
    );
    let (_, script) = get(&scene.url("/results?output=bulk_sign"));
    assert!(
        script.contains("notarize --name 'new:1' docker://"),
        "{script}"
    );
    assert!(!script.contains("--name 'bad:1'"), "{script}");
    assert_eq!(get(&scene.url("/healthz")), (200, "ok\n".to_owned()));
}

#[test]
fn the_seeds_own_script_gives_its_points_and_so_does_the_watch() {
    let scene = scene();
    let influx = Service::influxdb(&scene.scratch, "mydb");
    let home = scene.scratch.folder("seeds");
    // The script asks for 'influx:8086', whose name curl is told: nothing in the script is changed.
    let rule = format!("connect-to = \"influx:8086:{}\"\n", influx.address);
    fs::write(home.join(".curlrc"), rule).unwrap();
    drop(fs::remove_file(home.join("vcn")));
    std::os::unix::fs::symlink(binary(), home.join("vcn")).unwrap();
    let said = |name: &str| fs::File::create(home.join(name)).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/seeds/verify");
    let mut verify = Command::new(program("bash"));
    scene.node.environment(&mut verify);
    verify
        .arg(script)
        .env("PATH", format!("{}:{PATH}", home.display()))
        .env("HOME", &home)
        .env("HOSTNAME", "a-sidecar")
        .env("NODENAME", "node-1")
        .env("DOCKER_HOST", scene.daemon.host())
        .env("VCN_HOOK_CONFIG", scene.node.config())
        .stdin(Stdio::null())
        .stdout(said("out"))
        .stderr(said("err"))
        .process_group(0);
    let mut verify = verify.spawn().unwrap();
    let points = |field: &str| {
        let query = format!("SELECT last({field}) FROM vcn_verification GROUP BY *");
        let answer = influx.influxql("mydb", &query);
        let series = answer["series"].as_array().cloned().unwrap_or_default();
        let found = series
            .iter()
            .map(|one| (one["tags"].to_string(), one["values"][0][1].to_string()));
        found.collect::<BTreeSet<_>>()
    };
    eventually("the script's points", || match points("failed").len() {
        4 => Ok(()),
        count => Err(format!(
            "{count}: {}",
            fs::read_to_string(home.join("err")).unwrap()
        )),
    });
    let group = nix::unistd::Pid::from_raw(i32::try_from(verify.id()).unwrap());
    nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL).unwrap();
    verify.wait().unwrap();
    let (good, bad) = (&scene.trusted[..12], &scene.untrusted[..12]);
    let out = fs::read_to_string(home.join("out")).unwrap();
    let err = fs::read_to_string(home.join("err")).unwrap();
    assert!(out.contains(&format!("Container {good} (")), "{out}");
    assert!(out.contains("level: 2, status: 0)"), "{out}");
    let failed = format!("Container {bad} (bad:1) verification failed");
    assert!(err.lines().any(|line| line == failed), "{err}");
    let theirs = ["failed", "status", "level"].map(points);
    // The watch writes the same, of the same containers, into a database of its own.
    influx.influxql("", "DROP DATABASE mydb");
    influx.influxql("", "CREATE DATABASE mydb");
    scene.configure(&format!("url = \"{}\"\ndb = \"mydb\"\n", influx.url("")));
    let mut once = scene.node.command(&["watch", "--once"]);
    once.env("PATH", PATH).env("NODENAME", "node-1");
    let once = run(once);
    let known = scene.daemon.docker(&["ps", "-q"]).ok();
    let ours = ["failed", "status", "level"].map(|field| {
        let of_this_engine =
            |(tags, _): &(String, String)| known.lines().any(|id| tags.contains(id));
        points(field)
            .into_iter()
            .filter(of_this_engine)
            .collect::<BTreeSet<_>>()
    });
    assert_eq!(ours, theirs, "{once:?}");
}

#[test]
fn the_page_says_at_a_glance_what_is_wrong_in_a_real_browser() {
    let scene = scene();
    scene
        .node
        .configure(&format!("[watch]\nlisten = \"{}\"\n", scene.web));
    // A fake record of a refusal, as engines permit no such names; what is real is how it is shown.
    let line = serde_json::json!({
        "schema": "vcn-hook/decision/v1", "time": "2026-01-01T00:00:00Z", "verdict": "deny",
        "code": "unknown", "detail": EVIL, "hint": EVIL, "container": {"id": EVIL, "name": EVIL},
        "image": EVIL, "config": null, "engine": "docker", "verb": "create", "mode": "enforce",
        "duration_us": 400,
    });
    let file = fs::OpenOptions::new()
        .append(true)
        .open(scene.node.decisions_file());
    std::io::Write::write_all(&mut file.unwrap(), format!("{line}\n").as_bytes()).unwrap();
    let watch = Watching::start(&scene.node, PATH, &["--interval", "1"]);
    let shot = std::env::var_os("VCN_HOOK_SCREENSHOT").map_or_else(
        || scene.scratch.join("status.png"),
        std::path::PathBuf::from,
    );
    let browse = |what: &str| {
        let profile = scene.scratch.join("chromium");
        let ran = run(command(
            program("chromium"),
            [
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--hide-scrollbars",
                "--enable-logging=stderr",
                "--window-size=1200,1500",
                &format!("--user-data-dir={}", profile.display()),
                what,
                &scene.url("/status/"),
            ],
        ));
        assert!(!ran.err.contains("Content Security Policy"), "{ran:?}");
        ran
    };
    let dom = browse("--dump-dom").out;
    browse(&format!("--screenshot={}", shot.display()));
    assert!(fs::read(&shot).unwrap().starts_with(b"\x89PNG"));
    let at = |text: &str| dom.find(text).unwrap_or_else(|| panic!("no {text}: {dom}"));
    assert!(at("things are wrong on this node") < at("UNTRUSTED: "));
    assert!(at("worm (docker, ") < at("<h2>What runs</h2>"));
    assert!(at("stranger (docker, ") < at("<h2>What runs</h2>"));
    at(">web<br>");
    assert!(!dom.contains("<script"), "{dom}");
    assert!(at("&lt;script&gt;alert(1)&lt;/script&gt;") > at("What was refused lately"));
    watch.end();
}

#[test]
fn a_terminal_shows_the_same_until_a_key_ends_it() {
    let scene = scene();
    scene.configure("url = \"http://127.0.0.1:9\"\ndb = \"mydb\"\n");
    let (binary, config) = (binary(), scene.node.config());
    let line = format!(
        "'{}' -c '{}' status --watch",
        binary.display(),
        config.display()
    );
    // A key is typed again and again, as one that is typed before the screen is there is not read.
    let mut typed = command(
        program("bash"),
        [
            "-c",
            "while sleep 1 && printf q; do :; done | script -qec \"$0\" /dev/null",
            &line,
        ],
    );
    scene.node.environment(&mut typed);
    typed
        .env("PATH", PATH)
        .env("NODENAME", EVIL)
        .env("TERM", "xterm");
    let shown = run(typed);
    assert_eq!(shown.code, 0, "{shown:?}");
    let (begun, rest) = shown.out.split_once("\u{1b}[?1049h").expect("a screen");
    assert!(begun.is_empty(), "{shown:?}");
    let (screen, after) = rest.split_once("\u{1b}[?1049l").expect("its end");
    assert!(
        after.trim().is_empty() || after.contains("\u{1b}[?25h"),
        "{after:?}"
    );
    for text in ["wrong on this node", "worm", "stranger", "UNTRUSTED", "web"] {
        assert!(screen.contains(text), "no {text}: {screen}");
    }
    assert!(
        !screen.contains("\u{1b}[2J<script>") && !screen.contains('\u{202e}'),
        "{screen}"
    );
    // Where nobody looks, it is said once, and machines have it as JSON.
    let once = scene.node.vcn(&["status", "--watch"]);
    assert!(once.code == 0 && once.out.contains("worm"), "{once:?}");
    let json = scene.node.vcn(&["-o", "json", "status", "--watch"]).json();
    assert_eq!(json["schema"], "vcn-hook/sweep/v1", "{json}");
}

#[test]
fn points_outlive_a_database_that_is_killed_and_none_is_there_twice() {
    let scene = scene();
    let mut influx = Service::influxdb(&scene.scratch, "mydb");
    scene.configure(&format!("url = \"{}\"\ndb = \"mydb\"\n", influx.url("")));
    let seen = |influx: &Service| {
        let answer = influx.influxql("mydb", "SELECT running FROM vcn_hook");
        let rows = answer["series"][0]["values"].as_array().cloned();
        let rows = rows.unwrap_or_default();
        rows.iter()
            .map(|row| row[0].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    let watch = Watching::start(&scene.node, PATH, &["-o", "json", "--interval", "1"]);
    let looks = |watch: &Watching| watch.out().matches("vcn-hook/sweep/v1").count();
    eventually("a first point", || match seen(&influx).len() {
        0 => Err("none".to_owned()),
        _ => Ok(()),
    });
    influx.kill();
    let (killed, before) = (Instant::now(), looks(&watch));
    // A minute, in which it is tried again less and less often.
    std::thread::sleep(Duration::from_secs(60).saturating_sub(killed.elapsed()));
    assert!(
        looks(&watch) > before + 20,
        "sweeps do not go on without it"
    );
    // A watch that ends meanwhile leaves what waits to the next one.
    watch.end();
    let watch = Watching::start(&scene.node, PATH, &["-o", "json", "--interval", "1"]);
    influx.start();
    let (status, page) = get(&scene.url("/metrics"));
    assert!(
        status == 200 && page.contains("target=\"influx\""),
        "{page}"
    );
    eventually("everything arrives", || {
        let (_, metrics) = get(&scene.url("/metrics"));
        let none = metrics.contains("vcn_hook_delivery_waiting{target=\"influx\"} 0");
        let expected = looks(&watch);
        (none && expected > before + 8).then_some(()).ok_or(metrics)
    });
    let out = watch.out();
    watch.end();
    let mut stream = serde_json::Deserializer::from_str(&out).into_iter::<Value>();
    let mut told = BTreeSet::new();
    while let Some(Ok(sweep)) = stream.next() {
        told.insert(sweep["time"].as_str().unwrap().to_owned());
    }
    // The last ones are sent by whoever watches next.
    let mut once = scene.node.command(&["watch", "--once"]);
    once.env("PATH", PATH).env("NODENAME", "node-1");
    drop(run(once));
    let times = seen(&influx);
    let unique: BTreeSet<_> = times.iter().copied().collect();
    assert_eq!(unique.len(), times.len(), "a point is there twice");
    let mut arrived = BTreeSet::new();
    for time in unique {
        let mut date = command(
            "date",
            ["-u", "+%Y-%m-%dT%H:%M:%SZ", "-d", &format!("@{time}")],
        );
        arrived.insert(
            String::from_utf8(date.output().unwrap().stdout)
                .unwrap()
                .trim()
                .to_owned(),
        );
    }
    let lost: Vec<_> = told.difference(&arrived).collect();
    assert_eq!(lost, Vec::<&String>::new(), "of {} points", told.len());
}

#[test]
fn version_two_takes_the_same_points_by_a_token() {
    let scene = scene();
    let victoria = Service::victoria_metrics(&scene.scratch);
    let token = scene.scratch.join("token");
    fs::write(&token, "a-token\n").unwrap();
    scene.configure(&format!(
        "url = \"{}\"\norg = \"acme\"\nbucket = \"containers\"\ntoken_file = {token:?}\n",
        victoria.url("")
    ));
    let mut once = scene.node.command(&["watch", "--once"]);
    once.env("PATH", PATH).env("NODENAME", EVIL);
    let once = run(once);
    assert!(!once.err.contains("points wait"), "{once:?}");
    let id = &scene.trusted[..12];
    let query = format!("vcn_verification_failed{{container_id=\"{id}\"}}");
    let found = eventually("the point", || {
        let answer = victoria.promql(&query);
        answer.first().cloned().ok_or_else(|| "none".to_owned())
    });
    assert_eq!(found["value"][1], "0");
    assert_eq!(found["metric"]["container_name"], "good:1");
    // Whatever the node is called, it is one tag, and no terminal obeys it.
    let name = found["metric"]["hostname"].as_str().unwrap();
    assert_eq!(
        name,
        "e\"v'i,l =// /u{1b}[2J<script>alert(1)</script>/u{202e}"
    );
}

#[test]
fn dashboards_have_what_grafana_asks_of_one_that_is_imported() {
    for (name, plugin) in [
        ("vcn-hook-prometheus.json", "prometheus"),
        ("vcn-hook-influxdb.json", "influxdb"),
    ] {
        let board = dashboard(name);
        assert!(
            board["id"].is_null() && board["uid"].as_str().unwrap().len() <= 40,
            "{name}"
        );
        assert!(board["schemaVersion"].as_u64().unwrap() >= 30 && board["title"].is_string());
        let input = &board["__inputs"][0];
        assert_eq!(
            (&input["type"], &input["pluginId"]),
            (&"datasource".into(), &plugin.into())
        );
        let uid = format!("${{{}}}", input["name"].as_str().unwrap());
        let required = board["__requires"].as_array().unwrap();
        let has =
            |kind: &str, id: &Value| required.iter().any(|r| r["type"] == kind && r["id"] == *id);
        assert!(has("grafana", &"grafana".into()) && has("datasource", &plugin.into()));
        let mut ids = BTreeSet::new();
        let mut places = Vec::new();
        for panel in board["panels"].as_array().unwrap() {
            assert!(
                ids.insert(panel["id"].as_u64().unwrap()),
                "{name}: an id is there twice"
            );
            assert!(has("panel", &panel["type"]), "{panel}");
            assert_eq!(
                (&panel["datasource"]["uid"], &panel["datasource"]["type"]),
                (&uid.clone().into(), &plugin.into())
            );
            let mut letters = BTreeSet::new();
            for target in panel["targets"].as_array().unwrap() {
                assert_eq!(target["datasource"]["uid"], uid, "{target}");
                assert!(
                    letters.insert(target["refId"].as_str().unwrap()),
                    "{target}"
                );
            }
            let at = |side: &str| panel["gridPos"][side].as_u64().unwrap();
            let (x, y, w, h) = (at("x"), at("y"), at("w"), at("h"));
            assert!(x + w <= 24 && w > 0 && h > 0, "{panel}");
            for (ox, oy, ow, oh) in &places {
                let apart = x >= ox + ow || *ox >= x + w || y >= oy + oh || *oy >= y + h;
                assert!(
                    apart,
                    "{name}: two panels cover each other: {}",
                    panel["title"]
                );
            }
            places.push((x, y, w, h));
        }
        for variable in board["templating"]["list"].as_array().unwrap() {
            assert_eq!(variable["datasource"]["uid"], uid);
            let used = format!("${}", variable["name"].as_str().unwrap());
            assert!(
                board["panels"].to_string().contains(&used),
                "{used} is not used"
            );
        }
    }
}
