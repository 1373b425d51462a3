//! The page of figures: printed, and written to docs/performance.md.

use std::fmt::Write as _;
use std::path::Path;

/// The page as it grows.
#[derive(Debug, Default)]
pub struct Report(String);

impl Report {
    pub fn section(&mut self, title: &str, note: &str, columns: &[&str]) {
        self.line(&format!("\n## {title}\n{note}\n"));
        self.row(columns);
        self.row(&vec!["---"; columns.len()]);
    }

    pub fn row<S: AsRef<str>>(&mut self, cells: &[S]) {
        let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
        self.line(&format!("| {} |", cells.join(" | ")));
    }

    pub fn line(&mut self, text: &str) {
        println!("{text}");
        writeln!(self.0, "{text}").unwrap();
    }

    pub fn write(&self, path: &Path) {
        std::fs::write(path, &self.0).unwrap();
        println!("\nwritten to {}", path.display());
    }
}

/// A figure against what it must reach.
pub fn reach(value: f64, limit: f64, unit: &str) -> String {
    let met = if value <= limit { "met" } else { "**missed**" };
    let limit = format!("{limit:.2}");
    let limit = limit.trim_end_matches('0').trim_end_matches('.');
    format!("<= {limit} {unit}: {met}")
}
