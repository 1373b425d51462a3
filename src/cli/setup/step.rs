//! The steps of a setup: their order, what each is for, and the plain commands that do the same.
//!
//! Owns the words. What a step does is the verb's of its name.

use crate::cli::args;

/// The steps, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Enroll,
    Configure,
    Baseline,
    SelfTest,
    Enforce,
}

impl Step {
    /// All of them.
    pub(super) const ALL: [Self; 5] = [
        Self::Enroll,
        Self::Configure,
        Self::Baseline,
        Self::SelfTest,
        Self::Enforce,
    ];

    /// Its name.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Enroll => "enroll",
            Self::Configure => "configure",
            Self::Baseline => "baseline",
            Self::SelfTest => "self-test",
            Self::Enforce => "enforce",
        }
    }

    /// What it is for.
    pub(super) const fn purpose(self) -> &'static str {
        match self {
            Self::Enroll => {
                "Follow the ledger, in audit mode: everything starts, and what would be refused is recorded."
            }
            Self::Configure => "Put the gate where the engines start containers.",
            Self::Baseline => "Notarize what runs here and what is stored here, after showing it.",
            Self::SelfTest => "Prove with two canaries that the gate sees what starts.",
            Self::Enforce => {
                "Refuse from now on, after showing what would be refused; and prove that too."
            }
        }
    }

    /// The plain commands that do the same.
    pub(super) fn commands(self, args: &args::Setup) -> Vec<String> {
        let key = args
            .key
            .as_ref()
            .map(|key| format!(" --key {}", quoted(key)));
        let key = key.unwrap_or_default();
        let plain = |words: &str| vec![format!("vcn-hook {words}")];
        match self {
            Self::Enroll => {
                let ledger = args.ledger.as_deref().unwrap_or("DIR|URL");
                let root = args
                    .root
                    .as_ref()
                    .map(|root| format!(" --root {}", quoted(root)));
                vec![
                    "vcn-hook mode audit".to_owned(),
                    format!(
                        "vcn-hook enroll {}{}",
                        quoted(ledger),
                        root.unwrap_or_default()
                    ),
                ]
            }
            Self::Configure => {
                let way = args.runtime.and_then(args::Way::target);
                let way = way.map(|way| format!(" --runtime {way}"));
                plain(&format!("configure{}", way.unwrap_or_default()))
            }
            Self::Baseline => plain(&format!("baseline{key}")),
            Self::SelfTest => vec![
                format!("vcn-hook self-test --publish{key}"),
                "vcn-hook self-test".to_owned(),
            ],
            Self::Enforce => vec![
                "vcn-hook mode enforce".to_owned(),
                "vcn-hook self-test".to_owned(),
            ],
        }
    }
}

/// A word as a shell takes it.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/.:_-+@|".contains(c);
    match word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Step, quoted};
    use crate::cli::args::Setup;

    #[test]
    fn the_plain_commands_are_what_a_shell_takes() {
        let args = Setup {
            ledger: Some("/srv/my ledger".to_owned()),
            root: Some("sha256:0f3c".to_owned()),
            key: Some("it's".to_owned()),
            ..Setup::default()
        };
        let commands: Vec<_> = Step::ALL
            .iter()
            .flat_map(|step| step.commands(&args))
            .collect();
        assert_eq!(
            commands,
            [
                "vcn-hook mode audit",
                "vcn-hook enroll '/srv/my ledger' --root sha256:0f3c",
                "vcn-hook configure",
                "vcn-hook baseline --key 'it'\\''s'",
                "vcn-hook self-test --publish --key 'it'\\''s'",
                "vcn-hook self-test",
                "vcn-hook mode enforce",
                "vcn-hook self-test",
            ]
        );
        assert_eq!(
            quoted("https://l.example:9580/x"),
            "https://l.example:9580/x"
        );
        assert_eq!(quoted("$(reboot)"), "'$(reboot)'");
    }
}
