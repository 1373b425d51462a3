//! What the watch keeps as time goes by, as rows of a table.

use crate::report::Report;
use crate::support::watching::Watching;

/// The rows so far: after how many looks or minutes, resident, its growth since the first row, and the peak.
#[derive(Debug, Default)]
pub struct Growth {
    first: Option<u64>,
    rows: Vec<[String; 4]>,
}

impl Growth {
    pub fn note(&mut self, after: usize, watching: &Watching) {
        let (now, peak) = (watching.memory("VmRSS:"), watching.memory("VmHWM:"));
        let first = *self.first.get_or_insert(now);
        let growth = i64::try_from(now).unwrap() - i64::try_from(first).unwrap();
        self.rows.push([
            after.to_string(),
            now.to_string(),
            format!("{growth:+}"),
            peak.to_string(),
        ]);
    }

    /// Writes the section; `unit` is what the rows are counted in.
    pub fn section(&self, report: &mut Report, title: &str, note: &str, unit: &str) {
        report.section(title, note, &[unit, "RSS KiB", "growth KiB", "peak KiB"]);
        for row in &self.rows {
            report.row(row);
        }
    }
}
