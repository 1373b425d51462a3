//! The node as a page for people: what is wrong first, then what runs, and what was refused.
//!
//! Owns what is on it, and in which order. It loads nothing, runs no script, asks for itself again after some seconds, and
//! shows names from outside as text whatever is in them.

mod markup;

pub use markup::content_security_policy;
use markup::{Page, Shown};

use super::decisions::Refusal;
use super::picture::Picture;
use super::problems::{Problem, Severity, problems};
use super::sweep::{Entered, Layers, Watched};
use crate::policy::freshness::duration;
use crate::sys::clock::rfc3339;

/// More rows help nobody; `/results` has all.
const MAX_ROWS: usize = 1000;

/// Refusals that are shown.
const MAX_REFUSALS: usize = 20;

/// Writes the page.
#[must_use]
pub fn html(picture: &Picture) -> String {
    let problems = problems(picture);
    let mut page = Page::default();
    let node = picture
        .sweep
        .as_ref()
        .map_or("this node", |sweep| &sweep.node);
    page.head(node, problems.len());
    page.state(picture, &problems);
    page.problems(&problems);
    page.running(picture);
    page.refused(picture);
    page.gate(picture);
    page.told(picture);
    page.foot(picture);
    page.finish()
}

impl Page {
    /// One line that can be read from across the room.
    fn state(&mut self, picture: &Picture, problems: &[Problem]) {
        let running = picture
            .sweep
            .as_ref()
            .map_or(0, |sweep| sweep.containers.len());
        let (class, text) = match problems.first().map(|problem| problem.severity) {
            None => (
                "ok",
                format!(
                    "All well: {} and may run",
                    counted(running, "container runs", "containers run")
                ),
            ),
            Some(Severity::Danger) => {
                let wrong = counted(problems.len(), "thing is wrong", "things are wrong");
                ("danger", format!("{wrong} on this node"))
            }
            Some(Severity::Warning) => {
                let wrong = counted(problems.len(), "thing needs", "things need");
                ("warning", format!("{wrong} attention on this node"))
            }
        };
        self.add(format!(
            "<div class=\"state {class}\" id=\"state\">{text}</div>"
        ));
    }

    fn problems(&mut self, problems: &[Problem]) {
        self.add("<ol class=\"problems\">");
        for problem in problems.iter().take(MAX_ROWS) {
            let class = match problem.severity {
                Severity::Danger => "danger",
                Severity::Warning => "warning",
            };
            let (what, next) = (Shown(&problem.what), Shown(&problem.next));
            self.add(format!(
                "<li class=\"{class}\">{what}<span class=\"next\">{next}</span></li>"
            ));
        }
        self.add("</ol>");
    }

    fn running(&mut self, picture: &Picture) {
        self.add("<h2>What runs</h2>");
        let Some(sweep) = &picture.sweep else {
            return self.add("<p>Nothing was looked at yet.</p>");
        };
        if sweep.containers.is_empty() {
            return self.add("<p>No container runs.</p>");
        }
        self.table(
            &[
                "May run",
                "Status",
                "Container",
                "Image",
                "Vouched for by",
                "Started",
                "Why",
            ],
            sweep
                .worst_first()
                .into_iter()
                .take(MAX_ROWS)
                .map(|found| row(found, picture.now)),
        );
        if sweep.containers.len() > MAX_ROWS {
            self.add(format!(
                "<p>{} more: <a href=\"/results\">all</a></p>",
                sweep.containers.len() - MAX_ROWS
            ));
        }
    }

    fn refused(&mut self, picture: &Picture) {
        self.add("<h2>What was refused lately</h2>");
        let refusals = &picture.decisions.refusals;
        if refusals.is_empty() {
            return self.add("<p>Nothing.</p>");
        }
        let rows = refusals.iter().rev().take(MAX_REFUSALS).map(refusal);
        self.table(&["When", "Container", "Image", "Why", "What to do"], rows);
    }

    fn gate(&mut self, picture: &Picture) {
        let (node, now) = (&picture.node, picture.now);
        let ago = |time: u64| format!("{} ago", duration(now.saturating_sub(time)));
        let mode = match node.mode {
            Some(mode) => format!("{} mode", mode.as_str()),
            None => "not applied".to_owned(),
        };
        let mut rows = vec![("Gate", mode)];
        rows.push((
            "Ledger",
            node.ledger.clone().unwrap_or_else(|| "none".to_owned()),
        ));
        if let Some(allowlist) = picture.sweep.as_ref().and_then(|sweep| sweep.allowlist) {
            let left = allowlist.expires.saturating_sub(now);
            let text = format!(
                "signed {}, good for {} more, {} records",
                ago(allowlist.signed),
                duration(left),
                allowlist.records
            );
            rows.push(("Allowlist", text));
        }
        rows.push((
            "Last sync",
            match &node.sync {
                None => "not known".to_owned(),
                Some(sync) => match &sync.error {
                    None => ago(sync.time),
                    Some(error) => format!("failed {}: {error}", ago(sync.time)),
                },
            },
        ));
        rows.push((
            "Self-test",
            match &node.self_test {
                None => "never tried: vcn-hook self-test".to_owned(),
                Some(test) if test.proven => format!("passed {}", ago(test.time)),
                Some(test) => format!("failed {}: {}", ago(test.time), test.outcome),
            },
        ));
        rows.push(("Decisions", decisions(picture)));
        if let Some(layers) = picture.sweep.as_ref().and_then(|sweep| sweep.layers) {
            rows.push(("Layers on disk", read_again(layers)));
        }
        self.add("<h2>The gate</h2><div class=\"scroll\"><table>");
        for (name, value) in rows {
            self.add(format!(
                "<tr><th>{name}</th><td>{}</td></tr>",
                Shown(&value)
            ));
        }
        self.add("</table></div>");
    }

    fn told(&mut self, picture: &Picture) {
        if picture.told.is_empty() {
            return;
        }
        self.add("<h2>Who is told</h2>");
        let rows = picture.told.iter().map(|delivery| {
            let error = delivery.error.as_deref().unwrap_or("none");
            let [waiting, delivered, failed, dropped] = [
                delivery.waiting,
                delivery.delivered,
                delivery.failed,
                delivery.dropped,
            ]
            .map(|n| n.to_string());
            [
                Shown(&delivery.target).to_string(),
                waiting,
                delivered,
                failed,
                dropped,
                Shown(error).to_string(),
            ]
        });
        self.table(
            &[
                "Where",
                "Waiting",
                "Told",
                "Failed attempts",
                "Dropped",
                "Last error",
            ],
            rows,
        );
    }

    fn foot(&mut self, picture: &Picture) {
        let looked = picture.sweep.as_ref().map_or_else(
            || "not looked yet".to_owned(),
            |sweep| {
                format!(
                    "looked at {} in {:.0} ms",
                    rfc3339(sweep.begun),
                    sweep.took.as_secs_f64() * 1000.0
                )
            },
        );
        self.add(format!(
            "<footer>{looked} · vcn-hook {} · <a href=\"/metrics\">metrics</a> · <a href=\"/results\">results</a> · \
             <a href=\"/results?output=bulk_sign\">script that notarizes what is unknown</a></footer></body></html>",
            env!("CARGO_PKG_VERSION")
        ));
    }
}

fn row(container: &Watched, now: u64) -> [String; 7] {
    let verdict = container.verdict.as_str();
    let may = match verdict {
        "allow" => "yes",
        "warn" => "warned",
        _ => "no",
    };
    let name = container.name.as_deref().unwrap_or("(no name)");
    let paused = if container.paused { ", paused" } else { "" };
    let entered = match container.entered {
        Entered::ByGate(_) => "",
        Entered::Around => ", came around the gate",
        Entered::Before => ", from before the record",
    };
    let organisation = container
        .statement
        .as_ref()
        .map_or("nobody", |stated| &stated.organisation);
    let digest = container
        .config
        .map_or_else(|| "no digest".to_owned(), |digest| digest.to_string());
    let image = container.image.as_deref().unwrap_or("(no image)");
    let reason = container.verdict.reason();
    [
        format!("<span class=\"badge {verdict}\">{may}</span>"),
        format!(
            "<span class=\"word\">{}</span> <span class=\"soft\">level {}</span>",
            container.status.as_str(),
            container.level
        ),
        format!(
            "{}<br><span class=\"soft\">{} {}{paused}{entered}</span>",
            Shown(name),
            Shown(container.engine),
            Shown(&container.label())
        ),
        format!(
            "{}<br><code class=\"soft\">{}</code>",
            Shown(image),
            Shown(&digest)
        ),
        Shown(organisation).to_string(),
        format!(
            "<span class=\"word\">{} ago</span>",
            duration(now.saturating_sub(container.started))
        ),
        format!(
            "{} <span class=\"soft\">({})</span>",
            Shown(&reason.detail),
            reason.code
        ),
    ]
}

fn refusal(refusal: &Refusal) -> [String; 5] {
    let id = refusal.id.chars().take(12).collect::<String>();
    let name = refusal.name.as_deref().unwrap_or_default();
    let started = if refusal.only_audited {
        " It started: audit mode."
    } else {
        ""
    };
    [
        format!("<span class=\"word\">{}</span>", Shown(&refusal.time)),
        format!(
            "{}<br><span class=\"soft\">{}</span>",
            Shown(name),
            Shown(&id)
        ),
        Shown(&refusal.image).to_string(),
        format!(
            "{} <span class=\"soft\">({})</span>{started}",
            Shown(&refusal.detail),
            Shown(&refusal.code)
        ),
        Shown(&refusal.hint).to_string(),
    ]
}

fn decisions(picture: &Picture) -> String {
    let decisions = &picture.decisions;
    let [allowed, warned, refused, would] =
        ["allow", "warn", "deny", "would-deny"].map(|decision| decisions.came_out(decision));
    let mut text = format!(
        "{allowed} allowed, {warned} warned of, {refused} refused, {would} would have been"
    );
    if let (Some(half), Some(most)) = (decisions.quantile(500), decisions.quantile(990)) {
        text.push_str(&format!(
            "; half took up to {half} µs, 99 of 100 up to {most} µs"
        ));
    }
    text
}

fn read_again(layers: Layers) -> String {
    let mut text = format!("{} intact", layers.intact);
    for (count, what) in [
        (layers.differing, "not what was unpacked"),
        (
            layers.undecidable,
            "cannot be compared (verify --deep says why)",
        ),
    ] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    if layers.images_unread > 0 {
        let unread = counted(layers.images_unread, "image", "images");
        text.push_str(&format!("; those of {unread} still to be read"));
    }
    text
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::{content_security_policy, html};
    use crate::watch::samples;

    #[test]
    fn what_is_wrong_comes_before_what_runs() {
        let page = html(&samples::hostile());
        let at = |text: &str| {
            page.find(text)
                .unwrap_or_else(|| panic!("no {text}: {page}"))
        };
        assert!(at("things are wrong on this node") < at("UNTRUSTED"));
        assert!(at("UNTRUSTED") < at("<h2>What runs</h2>"));
        assert!(at("<h2>What runs</h2>") < at("<h2>What was refused lately</h2>"));
        let page = html(&samples::healthy());
        assert!(
            page.contains("All well: 1 container runs and may run"),
            "{page}"
        );
        assert!(page.contains("<title>node-1: all well</title>"), "{page}");
        let layers = "4 intact, 1 not what was unpacked, 2 cannot be compared (verify --deep says why); \
                      those of 3 images still to be read";
        assert!(page.contains(layers), "{page}");
    }

    #[test]
    fn no_name_becomes_a_tag_an_attribute_or_a_hidden_character() {
        let page = html(&samples::hostile());
        assert!(!page.contains("<script"), "{page}");
        assert!(
            page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&amp;amp;"),
            "{page}"
        );
        let hidden = page
            .chars()
            .find(|c| *c != '\n' && crate::escape::deceives(*c));
        assert_eq!(hidden, None);
        // Every quote that is not escaped is one of ours: they come in pairs within tags.
        for tag in page.split('<').skip(1) {
            let tag = tag.split('>').next().unwrap_or_default();
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        }
    }

    #[test]
    fn loads_nothing_and_runs_nothing() {
        let page = html(&samples::healthy());
        for word in [
            "src=",
            "http://",
            "https://",
            "onload",
            "javascript:",
            "@import",
            "url(",
        ] {
            let ledger = "https://ledger.example/vcn";
            assert!(!page.replace(ledger, "").contains(word), "{word}: {page}");
        }
        assert!(content_security_policy().starts_with("default-src 'none'; style-src 'sha256-"));
    }
}
