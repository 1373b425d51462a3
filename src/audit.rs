//! The decision record: one line of JSON for each start that was judged, and one entry in the journal.
//!
//! Owns the record's form, `vcn-hook/decision/v1` (docs/formats.md). A record
//! that cannot be written changes no verdict; it is counted.

mod again;
pub mod follow;
pub mod passages;

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::image::digest::Digest;
use crate::image::identity::Identity;
use crate::sys::clock::rfc3339;
use crate::sys::file::{append_own, append_owned};
use crate::sys::journal;
use crate::verdict::{ReasonCode, Verdict};

pub use again::is_on_record;

/// The file in the run directory that grows by one byte for each record that could not be written.
pub const UNRECORDED: &str = "unrecorded";

/// One decision.
#[derive(Debug, Clone, Copy)]
pub struct Decision<'a> {
    /// Unix seconds.
    pub time: u64,
    /// What came of it on this node.
    pub verdict: &'a Verdict,
    /// Whether it was let through only because the node is in audit mode.
    pub would_deny: bool,
    /// The node's mode.
    pub mode: &'a str,
    /// The runtime's verb.
    pub verb: &'a str,
    /// What is known of the container.
    pub subject: Subject<'a>,
    /// Log size and time of the allowlist that answered, if one did.
    pub allowlist: Option<(u64, u64)>,
    /// The runtime's process: the one that the gate becomes, or that has called it as a hook.
    pub runtime: u32,
    /// How long it took.
    pub duration: Duration,
}

/// What is known of the container that a decision is about.
#[derive(Debug, Clone, Copy, Default)]
pub struct Subject<'a> {
    /// The runtime's id of it.
    pub id: &'a str,
    /// The name that people know it by.
    pub name: Option<&'a str>,
    /// What the user asked for.
    pub image: Option<&'a str>,
    /// The image, if it was bound to one.
    pub identity: Option<&'a Identity>,
}

/// Where records go.
#[derive(Debug, Clone, Copy)]
pub struct Sinks<'a> {
    /// The file that lines are appended to.
    pub decisions: &'a Path,
    /// The directory of the counter of lines that were not.
    pub run_dir: &'a Path,
    /// journald's socket.
    pub journal: &'a Path,
}

#[derive(Serialize)]
struct Line<'a> {
    schema: &'static str,
    time: String,
    verdict: &'static str,
    code: &'static str,
    detail: &'a str,
    hint: &'a str,
    container: Container<'a>,
    image: Option<&'a str>,
    config: Option<String>,
    chain: Option<String>,
    /// Present only when nothing but root's word says that the files are the image's.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unbound: bool,
    manifest: Option<String>,
    engine: Option<&'static str>,
    verb: &'a str,
    runtime_pid: u32,
    mode: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    would_deny: bool,
    allowlist: Option<Allowlist>,
    duration_us: u64,
}

#[derive(Serialize)]
struct Container<'a> {
    id: &'a str,
    name: Option<&'a str>,
}

#[derive(Serialize)]
struct Allowlist {
    log_size: u64,
    time: String,
}

/// Writes one decision to all sinks. What cannot be written is counted in the run directory.
pub fn record(decision: &Decision<'_>, sinks: &Sinks<'_>) {
    let mut line = line(decision);
    line.push('\n');
    if append_owned(sinks.decisions, line.as_bytes()).is_err() {
        // Nothing is left to tell it to when this fails too; whoever is on call sees it grow.
        let _ = append_owned(&sinks.run_dir.join(UNRECORDED), b".");
    }
    // The journal is a convenience: the file is the record.
    let _ = send(decision, sinks.journal);
}

/// Writes a decision about a user's own container as that user: to the journal, where the kernel says whose
/// it is, and to the user's own file. Either may be missing, and then says nothing.
pub fn record_own(decision: &Decision<'_>, file: Option<&Path>, journal: &Path) {
    let mut line = line(decision);
    line.push('\n');
    // The user is told nothing: neither the engine nor this start depends on it.
    let _ = file.map(|file| append_own(file, line.as_bytes()));
    let _ = send(decision, journal);
}

/// The record as one line of JSON, without control characters, for whatever shows it.
#[must_use]
pub fn line(decision: &Decision<'_>) -> String {
    let reason = decision.verdict.reason();
    let identity = decision.subject.identity;
    let line = Line {
        schema: "vcn-hook/decision/v1",
        time: rfc3339(decision.time),
        verdict: decision.verdict.as_str(),
        code: reason.code.as_str(),
        detail: &reason.detail,
        hint: &reason.hint,
        container: Container {
            id: decision.subject.id,
            name: decision.subject.name,
        },
        image: decision.subject.image,
        config: identity.map(|identity| identity.config.to_string()),
        chain: identity.and_then(|identity| Some(identity.chain?.to_string())),
        unbound: identity.is_some_and(Identity::is_unbound),
        manifest: identity.and_then(|identity| Some(identity.manifest?.to_string())),
        engine: identity.map(|identity| identity.engine.as_str()),
        verb: decision.verb,
        runtime_pid: decision.runtime,
        mode: decision.mode,
        would_deny: decision.would_deny,
        allowlist: decision.allowlist.map(|(log_size, time)| Allowlist {
            log_size,
            time: rfc3339(time),
        }),
        duration_us: decision.duration.as_micros().try_into().unwrap_or(u64::MAX),
    };
    // Text and numbers under fixed names: there is nothing in it that JSON cannot say.
    escape_controls(&serde_json::to_string(&line).unwrap_or_default())
}

/// Escapes, as JSON does, what a terminal would obey; JSON itself lets most of it stand.
#[must_use]
pub fn escape_controls(json: &str) -> String {
    let mut plain = String::with_capacity(json.len());
    for char in json.chars() {
        let reorders = matches!(char, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if char.is_control() || reorders {
            plain.push_str(&format!("\\u{:04x}", u32::from(char)));
        } else {
            plain.push(char);
        }
    }
    plain
}

/// The id under which the journal's catalogue explains a reason: a name of its own for each code, made from
/// the code, so that neither needs a table.
#[must_use]
pub fn message_id(code: ReasonCode) -> String {
    let mut id = Digest::of(format!("vcn-hook reason {code}").as_bytes()).hex();
    id.truncate(32);
    id
}

fn send(decision: &Decision<'_>, socket: &Path) -> std::io::Result<()> {
    let reason = decision.verdict.reason();
    let priority = match decision.verdict {
        Verdict::Deny(_) => "4",
        Verdict::Warn(_) => "5",
        Verdict::Allow(_) => "6",
    };
    let message = format!(
        "{} {}: {reason}",
        decision.verdict.as_str(),
        decision.subject.id
    );
    let config = decision
        .subject
        .identity
        .map(|identity| identity.config.to_string());
    let chain = decision
        .subject
        .identity
        .and_then(|identity| Some(identity.chain?.to_string()));
    let unbound = decision.subject.identity.filter(|i| i.is_unbound());
    let known = [
        ("CONTAINER_NAME", decision.subject.name),
        ("IMAGE_NAME", decision.subject.image),
        ("VCN_HOOK_CONFIG", config.as_deref()),
        ("VCN_HOOK_CHAIN", chain.as_deref()),
        ("VCN_HOOK_UNBOUND", unbound.map(|_| "1")),
    ];
    let id = message_id(reason.code);
    let mut fields = vec![
        ("MESSAGE", message.as_str()),
        ("PRIORITY", priority),
        ("SYSLOG_IDENTIFIER", "vcn-hook"),
        ("MESSAGE_ID", id.as_str()),
        ("VCN_HOOK_VERDICT", decision.verdict.as_str()),
        ("VCN_HOOK_CODE", reason.code.as_str()),
        ("VCN_HOOK_VERB", decision.verb),
        ("VCN_HOOK_MODE", decision.mode),
        ("CONTAINER_ID_FULL", decision.subject.id),
    ];
    fields.extend(
        known
            .iter()
            .filter_map(|(name, value)| Some((*name, (*value)?))),
    );
    journal::send(socket, &fields)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Decision, Sinks, Subject, line, record};
    use crate::image::digest::{ChainId, Digest};
    use crate::image::identity::{EngineKind, Identity};
    use crate::verdict::{Reason, ReasonCode, Verdict};

    fn identity() -> Identity {
        Identity {
            config: Digest::of(b"config"),
            chain: Some(ChainId::from_digest(Digest::of(b"chain"))),
            manifest: None,
            engine: EngineKind::Docker,
        }
    }

    fn denied(detail: &str) -> Verdict {
        Verdict::Deny(Reason::new(ReasonCode::Unknown, detail, "notarize it"))
    }

    fn decision<'a>(verdict: &'a Verdict, subject: Subject<'a>) -> Decision<'a> {
        Decision {
            time: 1_709_210_096,
            verdict,
            would_deny: false,
            mode: "enforce",
            verb: "create",
            subject,
            allowlist: Some((7, 1_709_210_000)),
            runtime: 42,
            duration: Duration::from_micros(412),
        }
    }

    #[test]
    fn says_everything_in_one_line() {
        let identity = identity();
        let subject = Subject {
            id: "abc",
            name: Some("web"),
            image: Some("app:1"),
            identity: Some(&identity),
        };
        let expected = format!(
            concat!(
                r#"{{"schema":"vcn-hook/decision/v1","time":"2024-02-29T12:34:56Z","verdict":"deny","#,
                r#""code":"unknown","detail":"no word","hint":"notarize it","#,
                r#""container":{{"id":"abc","name":"web"}},"image":"app:1","config":"{}","chain":"{}","#,
                r#""manifest":null,"engine":"docker","verb":"create","runtime_pid":42,"mode":"enforce","#,
                r#""allowlist":{{"log_size":7,"time":"2024-02-29T12:33:20Z"}},"duration_us":412}}"#
            ),
            identity.config,
            identity.chain.expect("it is bound")
        );
        assert_eq!(line(&decision(&denied("no word"), subject)), expected);
    }

    #[test]
    fn an_unbound_identity_is_called_so() {
        let identity = Identity {
            chain: None,
            engine: EngineKind::Bundle,
            ..identity()
        };
        let subject = Subject {
            id: "abc",
            identity: Some(&identity),
            ..Subject::default()
        };
        let text = line(&decision(&denied("d"), subject));
        assert!(
            text.contains(r#""chain":null,"unbound":true,"manifest":null,"engine":"bundle""#),
            "{text}"
        );
    }

    #[test]
    fn lets_no_name_reach_a_terminal_raw() {
        let subject = Subject {
            id: "abc",
            name: Some("\u{1b}[2J\n\u{9b}\u{202e}é"),
            ..Subject::default()
        };
        let text = line(&decision(&denied("d"), subject));
        assert!(
            text.contains(r#""name":"\u001b[2J\n\u009b\u202eé""#),
            "{text}"
        );
        let parsed: serde_json::Value = serde_json::from_str(&text).expect("still JSON");
        assert_eq!(parsed["container"]["name"], "\u{1b}[2J\n\u{9b}\u{202e}é");
    }

    #[test]
    fn the_journal_gets_the_decision_in_fields_of_its_own() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let socket = directory.path().join("journal");
        // A fake: it stands where journald does, and shows the bytes that journald would get.
        let journal = std::os::unix::net::UnixDatagram::bind(&socket).expect("the name is free");
        let identity = identity();
        let subject = Subject {
            id: "abc",
            name: Some("web\nPRIORITY=0"),
            image: Some("app:1"),
            identity: Some(&identity),
        };
        let decisions = directory.path().join("decisions.jsonl");
        let sinks = Sinks {
            decisions: &decisions,
            run_dir: directory.path(),
            journal: &socket,
        };
        let verdict = denied("no word");
        record(&decision(&verdict, subject), &sinks);
        let mut bytes = [0; 4096];
        let size = journal.recv(&mut bytes).expect("one datagram");
        let text = String::from_utf8_lossy(&bytes[..size]);
        for field in [
            "VCN_HOOK_CODE=unknown\n",
            "VCN_HOOK_VERB=create\n",
            "CONTAINER_ID_FULL=abc\n",
        ] {
            assert!(text.contains(field), "{field:?} in {text}");
        }
        assert!(text.contains("no word"), "{text}");
        // A line break in a name is framed by its length: it makes no field of its own.
        let fields = text
            .lines()
            .filter(|line| line.starts_with("PRIORITY="))
            .count();
        assert!(fields <= 2 && text.contains("CONTAINER_NAME\n"), "{text}");
    }

    #[test]
    fn counts_what_it_cannot_write() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let decisions = directory.path().join("none/decisions.jsonl");
        let sinks = Sinks {
            decisions: &decisions,
            run_dir: directory.path(),
            journal: &directory.path().join("nobody"),
        };
        let verdict = denied("d");
        record(&decision(&verdict, Subject::default()), &sinks);
        record(&decision(&verdict, Subject::default()), &sinks);
        let counter = std::fs::metadata(directory.path().join(super::UNRECORDED));
        // Only root's directories count, so nobody else can see the counter grow.
        if nix::unistd::geteuid().is_root() {
            assert_eq!(counter.expect("it was made").len(), 2);
        }
    }
}
