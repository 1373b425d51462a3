//! What somebody is told: that a container fails, that it does no longer, that something was done.
//!
//! Owns the two forms of it: one or two lines for people, as vcn-watchdog had them, and JSON,
//! `vcn-hook/alert/v1` (docs/watch.md). Names in it come from outside and are escaped in both.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::sweep::{Entered, Watched};
use crate::escape::Escaped;
use crate::sys::clock::rfc3339;
use crate::verdict::Reason;

/// One thing that somebody is told, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Counts up on this node, so that one that comes twice is known by it.
    pub number: u64,
    /// Unix seconds.
    pub time: u64,
    /// The node.
    pub node: String,
    /// What happened.
    pub event: Event,
    /// Whom it is about; `None` for the node itself.
    pub container: Option<Subject>,
    /// The stable reason code.
    pub code: String,
    /// One sentence.
    pub detail: String,
    /// What to do next.
    pub hint: String,
    /// What was done about it, or would have been: `paused`, `would be stopped`, ...
    pub deed: Option<String>,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// A verification failed, or nothing can be verified.
    Failed,
    /// It succeeds again.
    Recovered,
    /// A container that failed runs no longer.
    Gone,
    /// Something was done about a container that somebody has been told of before.
    Acted,
}

/// The container that an alert is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Whose it is.
    pub engine: String,
    /// The id that its engine knows it by.
    pub id: String,
    /// The name that people know it by.
    pub name: Option<String>,
    /// What the user asked for.
    pub image: String,
    /// The image's config digest.
    pub config: Option<String>,
    /// vcn's word for what the ledger says.
    pub status: String,
    /// `by-gate`, `around` or `before`.
    pub entered: String,
}

/// The name of the JSON form; it changes when a field changes its meaning.
const SCHEMA: &str = "vcn-hook/alert/v1";

/// As many characters as Docker and Podman show.
const SHORT_ID: usize = 12;

/// Characters of a name, as many as an image's with its digest. Engines permit names without end, and what is told of one must fit in the
/// environment of a program, in its pipe, and a thousand times in the file of what waits.
const MAX_NAME: usize = 330;

impl Alert {
    /// Puts an alert about a container, or about the node, together. It has no number yet.
    #[must_use]
    pub fn about(
        container: Option<&Watched>,
        event: Event,
        reason: &Reason,
        node: &str,
        time: u64,
    ) -> Self {
        Self {
            number: 0,
            time,
            node: node.to_owned(),
            event,
            container: container.map(Subject::of),
            code: reason.code.as_str().to_owned(),
            detail: reason.detail.clone(),
            hint: reason.hint.clone(),
            deed: None,
        }
    }

    /// The same matter with another end.
    #[must_use]
    pub fn ended(&self, event: Event, time: u64) -> Self {
        Self {
            event,
            time,
            number: 0,
            deed: None,
            ..self.clone()
        }
    }

    /// The first line, in vcn-watchdog's words where it had any.
    #[must_use]
    pub fn headline(&self) -> String {
        let what = match (&self.container, self.event) {
            (Some(_), Event::Failed) => "verification failed",
            (Some(_), Event::Recovered) => "verification successful again",
            (Some(_), Event::Gone) => "no longer runs",
            (Some(_), Event::Acted) => self.deed.as_deref().unwrap_or("acted upon"),
            (None, Event::Failed | Event::Acted) => "not everything can be verified",
            (None, Event::Recovered | Event::Gone) => "verification possible again",
        };
        match &self.container {
            Some(container) => format!(
                "Container {} ({}) {what}",
                Escaped(container.short_id()),
                Escaped(&container.image)
            ),
            None => format!("Node {} {what}", Escaped(&self.node)),
        }
    }

    /// The whole text: the headline, and below it why, and what was done.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.headline();
        text.push('\n');
        text.push_str(&self.why());
        text
    }

    /// Why, in one line.
    #[must_use]
    pub fn why(&self) -> String {
        let mut why = match self.event {
            Event::Failed => format!("{} ({})", Escaped(&self.detail), self.code),
            Event::Recovered | Event::Gone | Event::Acted => {
                format!("it was: {} ({})", Escaped(&self.detail), self.code)
            }
        };
        if self.event == Event::Failed {
            if let Some(container) = &self.container
                && container.entered == "around"
            {
                why.push_str("; it came round the gate");
            }
            if let Some(deed) = &self.deed {
                why.push_str(&format!("; it {}", Escaped(deed)));
            }
            if !self.hint.is_empty() {
                why.push_str(&format!("; {}", Escaped(&self.hint)));
            }
        }
        if self.container.is_some() {
            why.push_str(&format!(" [{}]", Escaped(&self.node)));
        }
        why
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "schema": SCHEMA,
            "id": format!("{}:{}", self.node, self.number),
            "time": rfc3339(self.time),
            "node": self.node,
            "event": self.event,
            "container": self.container,
            "code": self.code,
            "detail": self.detail,
            "hint": self.hint,
            "action": self.deed,
            "text": self.text(),
        })
    }
}

fn cut(name: &str) -> String {
    name.chars().take(MAX_NAME).collect()
}

impl Subject {
    fn of(watched: &Watched) -> Self {
        Self {
            engine: watched.engine.to_owned(),
            id: cut(&watched.id),
            name: watched.name.as_deref().map(cut),
            image: cut(&watched.image_name()),
            config: watched.config.map(|config| config.to_string()),
            status: watched.status.as_str().to_owned(),
            entered: Entered::as_str(&watched.entered).to_owned(),
        }
    }

    /// The id as `docker ps` shows it.
    #[must_use]
    pub fn short_id(&self) -> &str {
        self.id.get(..SHORT_ID).unwrap_or(&self.id)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Alert, Event, Subject};
    use crate::verdict::{Reason, ReasonCode};
    use crate::watch::sweep::Watched;
    use crate::watch::sweep::tests::container;

    pub(crate) fn alert() -> Alert {
        Alert {
            number: 7,
            time: 1_709_210_096,
            node: "n1".to_owned(),
            event: Event::Failed,
            container: Some(Subject {
                engine: "docker".to_owned(),
                id: "0123456789abcdef".to_owned(),
                name: Some("web".to_owned()),
                image: "app:1".to_owned(),
                config: None,
                status: "UNTRUSTED".to_owned(),
                entered: "by-gate".to_owned(),
            }),
            code: "untrusted".to_owned(),
            detail: "it is UNTRUSTED by acme".to_owned(),
            hint: "run another version".to_owned(),
            deed: None,
        }
    }

    #[test]
    fn says_it_in_the_watchdogs_words_and_why_below() {
        let failed = alert();
        assert_eq!(
            failed.text(),
            "Container 0123456789ab (app:1) verification failed\n\
             it is UNTRUSTED by acme (untrusted); run another version [n1]"
        );
        let recovered = failed.ended(Event::Recovered, 1);
        assert_eq!(
            recovered.text(),
            "Container 0123456789ab (app:1) verification successful again\n\
             it was: it is UNTRUSTED by acme (untrusted) [n1]"
        );
        let node = Alert {
            container: None,
            ..failed
        };
        assert!(
            node.text()
                .starts_with("Node n1 not everything can be verified\n")
        );
    }

    #[test]
    fn what_is_told_of_the_longest_name_fits_in_a_pipe() {
        let endless = "\u{1b}".repeat(1 << 20);
        let watched = Watched {
            id: endless.clone(),
            name: Some(endless.clone()),
            image: Some(endless.clone()),
            ..container("a")
        };
        let reason = Reason::new(ReasonCode::Unknown, endless.clone(), endless);
        let told = Alert::about(Some(&watched), Event::Failed, &reason, "n1", 1);
        assert!(told.json().to_string().len() < 64 << 10);
    }

    #[test]
    fn no_name_makes_a_line_of_its_own() {
        let mut hostile = alert();
        if let Some(container) = &mut hostile.container {
            container.image = "a\nContainer b (c) check successful\u{1b}[2J\u{202e}".to_owned();
        }
        assert_eq!(hostile.text().lines().count(), 2);
        assert!(!hostile.text().contains('\u{1b}'), "{}", hostile.text());
    }
}
