//! The page of figures: printed, and written to docs/performance.md.

use std::fmt::Write as _;
use std::path::Path;

/// The page as it grows.
#[derive(Debug, Default)]
pub struct Report {
    text: String,
    /// Said in each section, where not all of them are of one run.
    machine: Option<String>,
}

impl Report {
    /// A page of which only some sections are measured: each says where.
    pub fn partial(machine: String) -> Self {
        Self {
            text: String::new(),
            machine: Some(machine),
        }
    }

    pub fn section(&mut self, title: &str, note: &str, columns: &[&str]) {
        let machine = self.machine.as_deref().unwrap_or_default();
        let space = if machine.is_empty() { "" } else { " " };
        self.line(&format!("\n## {title}\n{note}{space}{machine}\n"));
        self.row(columns);
        self.row(&vec!["---"; columns.len()]);
    }

    pub fn row<S: AsRef<str>>(&mut self, cells: &[S]) {
        let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
        self.line(&format!("| {} |", cells.join(" | ")));
    }

    pub fn line(&mut self, text: &str) {
        println!("{text}");
        writeln!(self.text, "{text}").unwrap();
    }

    /// Writes the page; of a partial one, its sections in the place of those of the same title.
    pub fn write(&self, path: &Path) {
        let page = match self.machine {
            None => self.text.clone(),
            Some(_) => laid_over(&std::fs::read_to_string(path).unwrap(), &self.text),
        };
        std::fs::write(path, page).unwrap();
        println!("\nwritten to {}", path.display());
    }
}

fn laid_over(page: &str, new: &str) -> String {
    let mut parts: Vec<&str> = page.split("\n## ").collect();
    for section in new.split("\n## ").skip(1) {
        let title = |part: &str| part.lines().next().map(str::to_owned);
        match parts.iter_mut().find(|part| title(part) == title(section)) {
            Some(part) => *part = section,
            None => parts.push(section),
        }
    }
    parts.join("\n## ")
}

/// A figure against what it must reach.
pub fn reach(value: f64, limit: f64, unit: &str) -> String {
    let met = if value <= limit { "met" } else { "**missed**" };
    let limit = format!("{limit:.2}");
    let limit = limit.trim_end_matches('0').trim_end_matches('.');
    format!("<= {limit} {unit}: {met}")
}
