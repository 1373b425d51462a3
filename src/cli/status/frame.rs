//! What `status --watch` draws: as many lines as the terminal has, none longer than it is wide.
//!
//! Pure. What is wrong comes first, as on the page; what does not fit is counted, not hidden.

use crate::cli::escape::Escaped;
use crate::cli::output::Paint;
use crate::policy::freshness::duration;
use crate::watch::picture::Picture;
use crate::watch::problems::{Problem, Severity, problems};
use crate::watch::sweep::{Entered, Sweep, Watched};

/// Columns of the table, and how wide each is at most; the image takes what is left.
const VERDICT: usize = 7;
const STATUS: usize = 11;
const NAME: usize = 24;
const ENGINE: usize = 7;

/// Draws a picture on `columns` by `lines` characters.
pub(super) fn frame(picture: &Picture, columns: usize, lines: usize, paint: Paint) -> Vec<String> {
    let problems = problems(picture);
    let mut frame = Frame {
        lines: Vec::new(),
        columns,
        paint,
    };
    frame.head(picture, &problems);
    // Half of what is left is enough for what is wrong: each line of it is a reason to look further.
    let room = lines.saturating_sub(frame.lines.len() + 3);
    let shown = room / 2;
    frame.problems(&problems, shown.max(2));
    let room = lines.saturating_sub(frame.lines.len() + 2);
    frame.containers(picture.sweep.as_deref(), room);
    frame.foot(picture, lines);
    frame.lines.truncate(lines);
    frame.lines
}

struct Frame {
    lines: Vec<String>,
    columns: usize,
    paint: Paint,
}

impl Frame {
    fn line(&mut self, text: &str) {
        self.lines.push(cut(text, self.columns));
    }

    fn coloured(&mut self, code: u8, text: &str) {
        let text = cut(text, self.columns);
        self.lines.push(self.paint.paint(code, &text));
    }

    fn head(&mut self, picture: &Picture, problems: &[Problem]) {
        let node = picture
            .sweep
            .as_ref()
            .map_or("this node", |sweep| &sweep.node);
        let mode = picture
            .node
            .mode
            .map_or("not applied", |mode| mode.as_str());
        let allowlist = picture.sweep.as_ref().and_then(|sweep| sweep.allowlist);
        let allowlist = allowlist.map_or_else(
            || "no allowlist".to_owned(),
            |found| {
                let left = duration(found.expires.saturating_sub(picture.now));
                format!("allowlist good for {left}")
            },
        );
        self.line(&format!("{}  {mode}  {allowlist}", Escaped(node)));
        let running = picture
            .sweep
            .as_ref()
            .map_or(0, |sweep| sweep.containers.len());
        match problems.first().map(|problem| problem.severity) {
            None => self.coloured(32, &format!("All well: {running} running")),
            Some(Severity::Danger) => self.coloured(
                31,
                &format!(
                    "{} wrong on this node, {running} running",
                    things(problems.len())
                ),
            ),
            Some(Severity::Warning) => self.coloured(
                33,
                &format!("{} to look at, {running} running", things(problems.len())),
            ),
        }
    }

    fn problems(&mut self, problems: &[Problem], room: usize) {
        for problem in problems.iter().take(room) {
            let code = match problem.severity {
                Severity::Danger => 31,
                Severity::Warning => 33,
            };
            self.coloured(code, &format!("! {}", Escaped(&problem.what)));
        }
        let left = problems.len().saturating_sub(room);
        if left > 0 {
            self.line(&format!("  {left} more"));
        }
    }

    fn containers(&mut self, sweep: Option<&Sweep>, room: usize) {
        self.line("");
        let Some(sweep) = sweep else { return };
        let wide = self.columns >= VERDICT + STATUS + NAME + ENGINE + 24;
        let heading = ["MAY RUN", "STATUS", "CONTAINER", "ENGINE", "IMAGE"].map(str::to_owned);
        self.row(&heading, wide, None);
        let room = room.saturating_sub(2);
        let containers = sweep.worst_first();
        let fits = if containers.len() > room {
            room.saturating_sub(1)
        } else {
            room
        };
        for found in containers.iter().take(fits) {
            self.row(&cells(found), wide, Some(found));
        }
        let left = containers.len().saturating_sub(fits);
        if left > 0 {
            self.line(&format!(
                "{left} more: make the terminal larger, or see /results"
            ));
        }
    }

    fn row(
        &mut self,
        [may, status, name, engine, image]: &[String; 5],
        wide: bool,
        found: Option<&Watched>,
    ) {
        let mut text = format!(
            "{} {} {} ",
            fit(may, VERDICT),
            fit(status, STATUS),
            fit(name, NAME)
        );
        if wide {
            text.push_str(&format!("{} {image}", fit(engine, ENGINE)));
        }
        let text = cut(text.trim_end(), self.columns);
        self.lines.push(match found {
            None => text,
            Some(found) => self.paint.status(found.status, &text),
        });
    }

    fn foot(&mut self, picture: &Picture, lines: usize) {
        let decisions = &picture.decisions;
        let [allowed, refused, would] =
            ["allow", "deny", "would-deny"].map(|decision| decisions.came_out(decision));
        while self.lines.len() + 1 < lines {
            self.lines.push(String::new());
        }
        self.line(&format!(
            "gate: {allowed} allowed, {refused} refused, {would} would be   q: end"
        ));
    }
}

fn cells(found: &Watched) -> [String; 5] {
    let may = match found.verdict.as_str() {
        "allow" => "yes",
        "warn" => "warned",
        _ => "NO",
    };
    let around = if found.entered == Entered::Around {
        " (around!)"
    } else {
        ""
    };
    let name = found.name.clone().unwrap_or_else(|| found.label());
    [
        may.to_owned(),
        found.status.as_str().to_owned(),
        format!("{}{around}", Escaped(&name)),
        Escaped(found.engine).to_string(),
        Escaped(&found.image_name()).to_string(),
    ]
}

fn things(count: usize) -> String {
    format!("{count} thing{}", if count == 1 { "" } else { "s" })
}

/// Columns that a character takes on a terminal; what takes none is escaped before.
fn columns(character: char) -> usize {
    match u32::from(character) {
        // Hangul, CJK and its forms, emoji.
        0x1100..=0x115f
        | 0x2e80..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1faff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// As much of a text as fits, and a mark where it was cut.
fn cut(text: &str, width: usize) -> String {
    if text.chars().map(columns).sum::<usize>() <= width {
        return text.to_owned();
    }
    let mut taken = 0;
    let kept = text.chars().take_while(|character| {
        taken += columns(*character);
        taken < width
    });
    let mut kept: String = kept.collect();
    kept.push('…');
    kept
}

/// The text in exactly so many columns.
fn fit(text: &str, width: usize) -> String {
    let mut text = cut(text, width);
    let taken: usize = text.chars().map(columns).sum();
    text.push_str(&" ".repeat(width.saturating_sub(taken)));
    text
}

#[cfg(test)]
mod tests {
    use super::{columns, frame};
    use crate::cli::output::Paint;
    use crate::watch::samples;

    #[test]
    fn fits_every_terminal_and_no_name_moves_the_cursor() {
        for picture in [samples::healthy(), samples::hostile()] {
            for (width, height) in [(200, 60), (80, 24), (40, 12), (20, 6), (1, 1)] {
                let frame = frame(&picture, width, height, Paint::PLAIN);
                assert!(frame.len() <= height, "{width}x{height}: {frame:#?}");
                for line in &frame {
                    let wide: usize = line.chars().map(columns).sum();
                    assert!(wide <= width.max(1), "{width}: {line}");
                    assert!(!line.chars().any(crate::escape::deceives), "{line:?}");
                }
            }
        }
    }

    #[test]
    fn says_what_is_wrong_before_what_runs() {
        let frame = frame(&samples::hostile(), 1000, 40, Paint::PLAIN);
        let at = |text: &str| {
            let found = frame.iter().position(|line| line.contains(text));
            found.unwrap_or_else(|| panic!("no {text}: {frame:#?}"))
        };
        assert_eq!(at("wrong on this node"), 1);
        assert!(at("UNTRUSTED: ") < at("MAY RUN"));
        assert!(at("MAY RUN") < at("yes     TRUSTED"));
        let last = frame.last().map(String::as_str);
        assert!(
            last.is_some_and(|line| line.ends_with("q: end")),
            "{last:?}"
        );
    }
}
