//! What the watch answers over HTTP: metrics, results, the page, and whether it is well.
//!
//! Owns the routes, which are kube-notary's. Only what is asked is answered; nothing can be changed
//! from here. Where it listens is the settings' to say, and on this machine alone unless they do.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::influx::Sender;
use super::picture::Picture;
use super::{page, prometheus, results};
use crate::http::message::{Answer, Body, Head, Method};
use crate::http::{Connection, Stop};
use crate::sys::clock;

/// Where the newest picture hangs.
#[derive(Debug, Default)]
pub struct Board(Mutex<Hanging>);

#[derive(Debug, Default)]
struct Hanging {
    picture: Arc<Picture>,
    sender: Option<Arc<Sender>>,
}

impl Board {
    /// Hangs a newer one there. What the sender does meanwhile is seen, too.
    pub fn show(&self, picture: Picture, sender: Option<Arc<Sender>>) {
        *self.lock() = Hanging {
            picture: Arc::new(picture),
            sender,
        };
    }

    /// The picture, as of now: what is an age in it has grown since.
    #[must_use]
    pub fn look(&self) -> Picture {
        let (picture, sender) = {
            let hanging = self.lock();
            (Arc::clone(&hanging.picture), hanging.sender.clone())
        };
        let mut picture = Picture {
            now: clock::now(),
            ..Picture::clone(&picture)
        };
        if let Some(newest) = sender.map(|sender| sender.telling()) {
            let known = picture.told.iter_mut();
            for told in known.filter(|told| told.target == newest.target) {
                *told = newest.clone();
            }
        }
        picture
    }

    fn lock(&self) -> MutexGuard<'_, Hanging> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers until `stop` is told to end.
pub fn run(stop: &Stop, board: &Board) {
    let is_local = stop
        .address()
        .is_ok_and(|address| address.ip().is_loopback());
    let answer = |head: &Head| match is_local && !names_this_machine(head) {
        true => Answer::refusal(421, "host", "ask for 127.0.0.1, [::1] or localhost"),
        false => route(head, board),
    };
    let answer = &answer;
    thread::scope(|scope| {
        stop.accept(scope, move |stream| {
            Connection::new(stream).converse(stop, &|head, _| answer(head));
        });
    });
}

/// Whether the client knows that it talks to this machine. A page of another site that makes its own
/// name lead here (DNS rebinding) has a browser call us by that name.
fn names_this_machine(head: &Head) -> bool {
    // No browser leaves it out.
    let Some(host) = &head.host else {
        return true;
    };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => host.split(':').next(),
    };
    name.is_some_and(|name| {
        name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
    })
}

fn route(head: &Head, board: &Board) -> Answer {
    if !matches!(head.method, Method::Get | Method::Head) {
        return Answer::not_allowed("GET, HEAD");
    }
    let (path, query) = head.path.split_once('?').unwrap_or((&head.path, ""));
    let wants_script = query.split('&').any(|pair| pair == "output=bulk_sign");
    let picture = board.look();
    let sweep = picture.sweep.as_deref();
    match path {
        "/" | "/status" | "/status/" => text("text/html; charset=utf-8", page::html(&picture))
            .with("Content-Security-Policy", page::content_security_policy()),
        "/metrics" => text(prometheus::CONTENT_TYPE, prometheus::exposition(&picture)),
        "/results" if wants_script => text(SCRIPT, results::bulk_sign(sweep)),
        "/bulk_sign" => text(SCRIPT, results::bulk_sign(sweep)),
        "/results" => text("application/json", results::json(sweep)),
        "/healthz" => health(&picture),
        _ => Answer::refusal(404, "not-found", "there is nothing here; see /status/"),
    }
}

const SCRIPT: &str = "text/plain; charset=utf-8";

/// Whether the watch does its work; what it finds is no illness of its own.
fn health(picture: &Picture) -> Answer {
    if picture.is_late() {
        return Answer::refusal(503, "late", "the last sweep is older than it should be");
    }
    text("text/plain; charset=utf-8", "ok\n".to_owned())
}

fn text(kind: &str, body: String) -> Answer {
    Answer::new(200, Body::Bytes(body.into_bytes()))
        .with("Content-Type", kind)
        .with("Cache-Control", "no-store")
        .with("X-Content-Type-Options", "nosniff")
        .with("Referrer-Policy", "no-referrer")
}

#[cfg(test)]
mod tests {
    use super::{Board, names_this_machine, route};
    use crate::http::message::{Body, Head};
    use crate::sys::clock;
    use crate::watch::samples;

    fn ask(board: &Board, method: &str, path: &str) -> (u16, String) {
        let text = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        let (head, _) = Head::parse(text.as_bytes())
            .expect("it is HTTP")
            .expect("it is whole");
        let answer = route(&head, board);
        let Body::Bytes(body) = answer.body else {
            panic!("a file is sent")
        };
        (answer.status, String::from_utf8(body).expect("it is text"))
    }

    #[test]
    fn a_name_that_somebody_else_made_lead_here_is_not_this_machine() {
        for (host, expected) in [
            ("127.0.0.1:9581", true),
            ("127.0.0.1", true),
            ("[::1]:9581", true),
            ("LocalHost:9581", true),
            ("evil.example:9581", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example", false),
            ("[evil", false),
            ("", false),
        ] {
            let text = format!("GET /results HTTP/1.1\r\nHost: {host}\r\n\r\n");
            let head = Head::parse(text.as_bytes()).expect("it is HTTP");
            let (head, _) = head.expect("it is whole");
            assert_eq!(names_this_machine(&head), expected, "{host}");
        }
    }

    #[test]
    fn answers_kube_notarys_paths_and_only_reads() {
        let board = Board::default();
        assert_eq!(ask(&board, "GET", "/healthz").0, 503);
        let mut picture = samples::healthy();
        let sweep = picture.sweep.as_mut().map(std::sync::Arc::make_mut);
        sweep.expect("there is one").begun = clock::now();
        board.show(picture, None);
        for (path, expected) in [
            ("/", "<title>node-1"),
            ("/status/", "<title>node-1"),
            ("/metrics", "# TYPE vcn_verification_status gauge"),
            ("/results", "\"containerID\":\"docker://aaaa"),
            ("/results?output=bulk_sign", "#!/bin/sh"),
            ("/bulk_sign", "#!/bin/sh"),
            ("/healthz", "ok\n"),
        ] {
            let (status, body) = ask(&board, "GET", path);
            assert_eq!(status, 200, "{path}");
            assert!(body.contains(expected), "{path}: {body}");
        }
        assert_eq!(ask(&board, "POST", "/metrics").0, 405);
        assert_eq!(ask(&board, "GET", "/../etc/passwd").0, 404);
    }
}
