//! What one version of the trust root changes, in words for whoever is to sign it.
//!
//! Owns the sentences. That a version may follow is `trust::root`'s to say.

use super::super::moment;
use crate::allowlist::note::VerifierKey;
use crate::trust::root::{KeySet, TrustRoot, TrustSigner, level_name};

/// The lines that differ, and what each difference will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Changes {
    /// Lines that are taken away and put in, with `-` and `+` before them.
    pub(super) lines: Vec<String>,
    /// What that will do.
    pub(super) effects: Vec<String>,
}

impl Changes {
    /// Nothing.
    pub(super) const fn none() -> Self {
        Self {
            lines: Vec::new(),
            effects: Vec::new(),
        }
    }

    /// From `old` to `new`, of which `text` is the text.
    pub(super) fn between(old: (&TrustRoot, &str), new: (&TrustRoot, &str)) -> Self {
        Self {
            lines: lines(old.1, new.1),
            effects: effects(old.0, new.0),
        }
    }
}

/// The order of lines is fixed by the format, so that a line is new or it is not.
fn lines(old: &str, new: &str) -> Vec<String> {
    let (old, new): (Vec<_>, Vec<_>) = (old.lines().collect(), new.lines().collect());
    let gone = old.iter().filter(|line| !new.contains(line));
    let come = new.iter().filter(|line| !old.contains(line));
    gone.map(|line| format!("- {line}"))
        .chain(come.map(|line| format!("+ {line}")))
        .collect()
}

fn effects(old: &TrustRoot, new: &TrustRoot) -> Vec<String> {
    let mut effects = Vec::new();
    let mut say = |text: String| effects.push(text);
    if old.expires != new.expires {
        let (was, is) = (moment::text(old.expires), moment::text(new.expires));
        say(format!("it ends at {is}, and ended at {was}"));
    }
    if old.roots != new.roots {
        say(format!("the next version takes {}", quorum(&new.roots)));
    }
    if old.log != new.log {
        say("the log is signed with another key: what the old one signed verifies no more".into());
    }
    if old.indexers != new.indexers {
        say(format!("an allowlist takes {}", quorum(&new.indexers)));
    }
    if old.exempt != new.exempt {
        say(match &new.exempt {
            Some(exempt) => format!(
                "an exemption, which starts an UNKNOWN image on one node for at most 72 hours, takes {}",
                quorum(exempt)
            ),
            None => "nobody can exempt anything any more, and what is exempt is so no more".into(),
        });
    }
    for (number, signer) in new.signers.iter().enumerate() {
        let before = old.signers.get(number);
        signer_effects(new, before, signer)
            .into_iter()
            .for_each(&mut say);
    }
    let (was, is) = (allow(old), allow(new));
    if was != is {
        say(format!(
            "TRUSTED takes {is}, and took {was}: images that only the others vouch for will not start"
        ));
    }
    let (was, is) = (veto(old), veto(new));
    if was != is {
        say(format!(
            "UNTRUSTED denies when it is said by {is}, and did by {was}"
        ));
    }
    if old.unsupported != new.unsupported {
        say(format!("UNSUPPORTED: {}", new.unsupported.as_str()));
    }
    effects
}

fn signer_effects(root: &TrustRoot, old: Option<&TrustSigner>, new: &TrustSigner) -> Vec<String> {
    let id = new.key.keyid();
    let level = |signer: &TrustSigner| {
        let name = level_name(signer.level).unwrap_or_default();
        format!("{} ({name})", signer.level)
    };
    let Some(old) = old else {
        let organisation = root.organisation(new.organisation);
        let organisation = organisation.map_or("", |organisation| organisation.name.as_str());
        let counts = match root.allow.organisations.contains(&new.organisation) {
            true => "",
            false => ", which is not on the 'allow' line: nothing starts by its word",
        };
        return vec![format!(
            "{id} may make statements from entry {} on, at level {}, for {organisation}{counts}",
            new.from_index,
            level(new)
        )];
    };
    let mut effects = Vec::new();
    if old.level != new.level {
        effects.push(format!(
            "{id} is of level {}, and was of {}",
            level(new),
            level(old)
        ));
    }
    if (old.from_index, old.until_index) != (new.from_index, new.until_index) {
        let until = new.until_index.map(|until| format!(" to {until}"));
        effects.push(format!(
            "statements of {id} count from entry {}{}, and no others",
            new.from_index,
            until.unwrap_or_default()
        ));
    }
    match (old.revoked_from, new.revoked_from) {
        (was, is) if was == is => {}
        (_, Some(from)) => effects.push(format!(
            "what {id} said from entry {from} on is a revoked key's: what only it vouches for will not start"
        )),
        (_, None) => effects.push(format!("{id} is not revoked any more")),
    }
    effects
}

fn quorum(set: &KeySet) -> String {
    let names: Vec<_> = set.keys.iter().map(VerifierKey::keyid).collect();
    format!("{} of {}", set.threshold, names.join(", "))
}

fn allow(root: &TrustRoot) -> String {
    format!(
        "{} of {} at level {} or more",
        root.allow.threshold,
        names(root, &root.allow.organisations),
        root.allow.min_level
    )
}

fn veto(root: &TrustRoot) -> String {
    let any = || "any organisation".to_owned();
    root.veto
        .as_ref()
        .map_or_else(any, |veto| names(root, veto))
}

fn names(root: &TrustRoot, numbers: &[u16]) -> String {
    let names: Vec<_> = numbers
        .iter()
        .filter_map(|number| root.organisation(*number))
        .map(|organisation| organisation.name.as_str())
        .collect();
    names.join(", ")
}
