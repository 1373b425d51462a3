//! HTML: text in elements, whatever the text is.
//!
//! Owns the style, the head of the page, and what makes text from outside harmless.

use std::fmt::{Display, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::escape::Escaped;

const STYLE: &str = include_str!("style.css");

/// Seconds after which a browser asks again.
const REFRESH: u64 = 10;

/// What a browser may do with the page: use its one style, and nothing else.
#[must_use]
pub fn content_security_policy() -> String {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// Text, as HTML shows it.
pub(super) struct Shown<'a>(pub(super) &'a str);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for character in Escaped(self.0).to_string().chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// The page as far as it is written. Writing to it cannot fail.
#[derive(Default)]
pub(super) struct Page(String);

impl Page {
    pub(super) fn add(&mut self, html: impl Display) {
        let _ = writeln!(self.0, "{html}");
    }

    pub(super) fn head(&mut self, node: &str, wrong: usize) {
        let node = Shown(node);
        let title = match wrong {
            0 => format!("{node}: all well"),
            1 => format!("{node}: 1 problem"),
            _ => format!("{node}: {wrong} problems"),
        };
        self.add(format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
             <meta http-equiv=\"refresh\" content=\"{REFRESH}\">\
             <title>{title}</title><style>{STYLE}</style></head><body>\n\
             <h1>Containers of {node}</h1>"
        ));
    }

    /// Writes a table; the cells are HTML.
    pub(super) fn table<const N: usize>(
        &mut self,
        heading: &[&str; N],
        rows: impl Iterator<Item = [String; N]>,
    ) {
        self.add("<div class=\"scroll\"><table><tr>");
        for name in heading {
            self.add(format!("<th>{name}</th>"));
        }
        self.add("</tr>");
        for row in rows {
            self.add(format!(
                "<tr>{}</tr>",
                row.map(|cell| format!("<td>{cell}</td>")).concat()
            ));
        }
        self.add("</table></div>");
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}
