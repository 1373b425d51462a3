//! Prometheus's text exposition format 0.0.4: how families, samples and labels are written.
//!
//! Owns the escaping, and how long a label may be. What is measured is the file's above.

use std::fmt::Write as _;

use crate::escape::Escaped;

pub(super) const GAUGE: &str = "gauge";
pub(super) const COUNTER: &str = "counter";

/// Characters of a label: longer image names are no names.
const MAX_LABEL: usize = 256;

/// The text as far as it is written. Writing to it cannot fail.
#[derive(Default)]
pub(super) struct Text(String);

impl Text {
    pub(super) fn finish(self) -> String {
        self.0
    }

    /// Begins a family of samples.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str, value: impl std::fmt::Display) {
        self.family(name, GAUGE, help);
        self.raw(name, "", value);
    }

    /// Writes one for each value of a label.
    pub(super) fn gauges<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: [(&str, usize); N],
    ) {
        self.family(name, GAUGE, help);
        for (value, count) in values {
            self.labelled(name, &[(label, value)], count);
        }
    }

    pub(super) fn labelled(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        value: impl std::fmt::Display,
    ) {
        self.raw(name, &rendered(labels), value);
    }

    /// Writes a sample; the labels are rendered.
    pub(super) fn raw(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }
}

/// Labels as a sample has them.
pub(super) fn rendered(labels: &[(&str, &str)]) -> String {
    let mut text = String::from("{");
    for (at, (name, value)) in labels.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let _ = write!(text, "{comma}{name}=\"{}\"", label(value));
    }
    text.push('}');
    text
}

/// A label's value: no terminal obeys it, and no line ends in it.
fn label(value: &str) -> String {
    let short: String = value.chars().take(MAX_LABEL).collect();
    let visible = Escaped(&short).to_string();
    // A backslash of ours, or a quote of theirs, would end what Prometheus reads.
    visible.replace('\\', "\\\\").replace('"', "\\\"")
}
