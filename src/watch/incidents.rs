//! What is wrong now, so that each wrong is told once, and once more when it is over.
//!
//! Owns what makes two findings the same: the container and the reason. What is wrong with the whole
//! node is one incident, however many containers it concerns.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::act::Deed;
use super::alert::{Alert, Event};
use super::look::is_undecided;
use super::sweep::{Sweep, Watched};
use crate::verdict::Reason;

/// What is wrong now, by what it is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incidents(BTreeMap<String, Alert>);

/// The key of what is wrong with everything.
const NODE: &str = "node";

impl Incidents {
    /// Takes what a look found and what was done, and says what somebody is to be told.
    pub fn learn(&mut self, sweep: &Sweep, deeds: &[Deed]) -> Vec<Alert> {
        let mut alerts = Vec::new();
        let found = found(sweep);
        let running: BTreeMap<_, _> = sweep.containers.iter().map(|w| (key(w), w)).collect();
        for (key, before) in &self.0 {
            if found.contains_key(key) {
                continue;
            }
            let event = match (before.container.is_some(), running.get(key)) {
                // While nobody can decide, or look, nothing is over.
                (true, Some(watched)) if is_undecided(&watched.verdict) => continue,
                (true, None) if sweep.is_partial => continue,
                (true, None) => Event::Gone,
                (true, Some(_)) | (false, _) => Event::Recovered,
            };
            alerts.push((key.clone(), before.ended(event, sweep.begun)));
        }
        for (key, _) in &alerts {
            self.0.remove(key);
        }
        let mut alerts: Vec<_> = alerts.into_iter().map(|(_, alert)| alert).collect();
        for (key, (reason, watched)) in found {
            let deed = deeds.iter().find(|deed| deed.key == key);
            let known = self.0.get(&key);
            let is_new = known.is_none_or(|known| known.code != reason.code.as_str());
            let event = match (is_new, deed) {
                (true, _) => Event::Failed,
                (false, Some(deed)) if deed.is_news(known.and_then(|k| k.deed.as_deref())) => {
                    Event::Acted
                }
                (false, _) => continue,
            };
            let mut alert = Alert::about(watched, event, reason, &sweep.node, sweep.begun);
            alert.deed = deed.map(Deed::words);
            alerts.push(alert.clone());
            self.0.insert(key, alert);
        }
        alerts
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What is wrong now: why, and with which container.
fn found(sweep: &Sweep) -> BTreeMap<String, (&Reason, Option<&Watched>)> {
    let mut found = BTreeMap::new();
    if let Some(reason) = &sweep.undecided {
        found.insert(NODE.to_owned(), (reason, None));
    }
    for trouble in &sweep.troubles {
        found.insert(format!("trouble {}", trouble.detail), (trouble, None));
    }
    for watched in &sweep.containers {
        if !watched.passes() && !is_undecided(&watched.verdict) {
            found.insert(key(watched), (watched.verdict.reason(), Some(watched)));
        }
    }
    found
}

/// By what a container is known from one look to the next.
#[must_use]
pub fn key(watched: &Watched) -> String {
    match watched.id.as_str() {
        "" => format!("process {} {}", watched.pid, watched.ticks),
        id => format!("container {id}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Event, Incidents};
    use crate::verdict::{Reason, ReasonCode, Verdict};
    use crate::watch::sweep::tests::{container, sweep};
    use crate::watch::sweep::{Sweep, Watched};

    fn denied(id: &str, code: ReasonCode) -> Watched {
        Watched {
            verdict: Verdict::Deny(Reason::new(code, "d", "")),
            ..container(id)
        }
    }

    fn told(incidents: &mut Incidents, sweep: &Sweep) -> Vec<(Event, String, String)> {
        let alerts = incidents.learn(sweep, &[]).into_iter();
        let about = |alert: &crate::watch::alert::Alert| {
            let container = alert.container.as_ref();
            container.map_or_else(|| "node".to_owned(), |container| container.id.clone())
        };
        alerts
            .map(|alert| (alert.event, about(&alert), alert.code))
            .collect()
    }

    #[test]
    fn each_wrong_is_told_once_and_once_more_when_it_is_over() {
        use ReasonCode::{Unknown, Untrusted};
        let mut incidents = Incidents::default();
        let fine = || sweep(vec![container("a"), container("b")]);
        let told = |incidents: &mut Incidents, sweep: Sweep| told(incidents, &sweep);
        assert_eq!(told(&mut incidents, fine()), []);
        let wrong = || sweep(vec![denied("a", Unknown), container("b")]);
        let failed = |code: &str| vec![(Event::Failed, "a".to_owned(), code.to_owned())];
        assert_eq!(told(&mut incidents, wrong()), failed("unknown"));
        assert_eq!(told(&mut incidents, wrong()), []);
        // For another reason it is another wrong.
        let other = || sweep(vec![denied("a", Untrusted), container("b")]);
        assert_eq!(told(&mut incidents, other()), failed("untrusted"));
        let over = vec![(Event::Recovered, "a".to_owned(), "untrusted".to_owned())];
        assert_eq!(told(&mut incidents, fine()), over);
        assert!(incidents.is_empty());
        assert_eq!(told(&mut incidents, other()), failed("untrusted"));
        let gone = vec![(Event::Gone, "a".to_owned(), "untrusted".to_owned())];
        assert_eq!(told(&mut incidents, sweep(vec![container("b")])), gone);
    }

    #[test]
    fn what_has_no_id_is_the_same_however_its_start_is_rounded() {
        let mut incidents = Incidents::default();
        for (started, news) in [(7, 1), (8, 0), (7, 0)] {
            let nobodys = Watched {
                started,
                ..denied("", ReasonCode::NoIdentity)
            };
            assert_eq!(incidents.learn(&sweep(vec![nobodys]), &[]).len(), news);
        }
    }

    #[test]
    fn a_wrong_of_the_node_is_one_and_ends_no_other() {
        use ReasonCode::{Stale, Untrusted};
        let mut incidents = Incidents::default();
        incidents.learn(&sweep(vec![denied("a", Untrusted), container("b")]), &[]);
        let stale = || Sweep {
            undecided: Some(Reason::new(Stale, "d", "")),
            ..sweep(vec![denied("a", Stale), denied("b", Stale)])
        };
        let node = |event, code: &str| (event, "node".to_owned(), code.to_owned());
        let failed = [node(Event::Failed, "stale")];
        assert_eq!(told(&mut incidents, &stale()), failed);
        assert_eq!(told(&mut incidents, &stale()), []);
        let again = sweep(vec![denied("a", Untrusted), container("b")]);
        assert_eq!(
            told(&mut incidents, &again),
            [node(Event::Recovered, "stale")]
        );
        // What cannot be looked at is not gone.
        let blind = Sweep {
            troubles: vec![Reason::new(ReasonCode::Unreadable, "x", "")],
            is_partial: true,
            ..sweep(Vec::new())
        };
        let failed = [node(Event::Failed, "unreadable")];
        assert_eq!(told(&mut incidents, &blind), failed);
        assert_eq!(incidents.len(), 2);
        // A file that cannot be read hides nothing that runs: what is not there has gone.
        let seeing = Sweep {
            is_partial: false,
            ..blind
        };
        let gone = (Event::Gone, "a".to_owned(), "untrusted".to_owned());
        assert_eq!(told(&mut incidents, &seeing), [gone]);
    }

    #[test]
    fn a_deed_is_told_of_when_it_is_done_and_once_when_it_fails() {
        use crate::config::watch::Action;
        use crate::watch::act::{Deed, Outcome};
        let mut incidents = Incidents::default();
        let wrong = sweep(vec![denied("a", ReasonCode::Untrusted)]);
        let mut told = |outcome| {
            let key = super::key(&container("a"));
            let action = Action::Stop;
            let deeds = [Deed {
                key,
                action,
                outcome,
            }];
            let alerts = incidents.learn(&wrong, &deeds).into_iter();
            alerts.map(|alert| alert.event).collect::<Vec<_>>()
        };
        assert_eq!(told(Outcome::Limited), [Event::Failed]);
        assert_eq!(told(Outcome::Limited), []);
        assert_eq!(told(Outcome::Failed("x".to_owned())), [Event::Acted]);
        assert_eq!(told(Outcome::Failed("y".to_owned())), []);
        assert_eq!(told(Outcome::Done), [Event::Acted]);
        assert_eq!(told(Outcome::Done), [Event::Acted]);
    }
}
