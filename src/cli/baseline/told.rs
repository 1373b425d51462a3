//! How a baseline is told.
//!
//! Owns its words, columns and JSON.

use serde_json::{Value, json};

use super::listing::LeftOut;
use super::{Baseline, Fate, Line};
use crate::allowlist::record::Status;
use crate::cli::moment;
use crate::cli::notarize::shown_hash;
use crate::cli::output;

impl Baseline {
    /// As scripts read it.
    #[must_use]
    pub fn value(&self) -> Value {
        let left = |left: &LeftOut| json!({ "id": left.id, "name": left.name, "image": left.image, "why": left.why });
        json!({
            "schema": "vcn-hook/baseline/v1",
            "dryRun": self.dry_run,
            "images": self.lines.iter().map(Line::value).collect::<Vec<_>>(),
            "leftOut": self.left_out.iter().map(left).collect::<Vec<_>>(),
            "unread": self.unread,
            "unwanted": self.unwanted,
            "notarized": self.notarized(),
            "failed": self.failed(),
        })
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let table = self.table();
        let trusted = self.count(|line| {
            line.status == Status::Trusted && !matches!(line.fate, Fate::Notarized(_))
        });
        let mut counts = vec![(trusted, "TRUSTED before"), (self.failed(), "failed")];
        counts.push(match self.dry_run {
            true => (
                self.wanted().len(),
                "would be notarized: this was a dry run",
            ),
            false => (self.notarized(), "notarized"),
        });
        counts.push((self.unwanted, "not wanted"));
        let counts: Vec<_> = counts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        match counts.is_empty() {
            true => format!("{table}nothing is to be notarized\n"),
            false => format!("{table}{}\n", counts.join(", ")),
        }
    }

    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        if !self.lines.is_empty() {
            let lines: Vec<_> = self.lines.iter().map(Line::cells).collect();
            let heading = ["STATUS", "IMAGE", "ID", "SIZE", "RUNS", "WHAT"];
            text += &output::table(heading, &lines);
        }
        if !self.left_out.is_empty() {
            let cells = |left: &LeftOut| [left.name.clone(), left.image.clone(), left.why.clone()];
            let lines: Vec<_> = self.left_out.iter().map(cells).collect();
            text += "\nLeft out, as nobody could say what was notarized:\n";
            text += &output::table(["CONTAINER", "IMAGE", "WHY"], &lines);
        }
        if !self.unread.is_empty() {
            let lines: Vec<_> = self.unread.iter().map(|why| [why.clone()]).collect();
            text += "\n";
            text += &output::table(["NOT LOOKED AT"], &lines);
        }
        text
    }
}

impl Line {
    fn hash(&self) -> String {
        self.image
            .image
            .as_ref()
            .map(shown_hash)
            .unwrap_or_default()
    }

    fn size(&self) -> u64 {
        self.image.image.as_ref().map_or(0, |image| image.size)
    }

    fn what(&self) -> String {
        match &self.fate {
            Fate::Wanted => "is to be notarized".to_owned(),
            Fate::Notarized(index) => format!("notarized as entry {index}"),
            Fate::Failed(why) => format!("failed: {why}"),
            Fate::Left(why) => why.clone(),
        }
    }

    fn cells(&self) -> [String; 6] {
        // As many digits as engines show.
        let short: String = self.hash().chars().take(12).collect();
        let runs = match self.image.containers.len() {
            0 => String::new(),
            count => count.to_string(),
        };
        let size = match self.size() {
            0 => String::new(),
            size => moment::size(size),
        };
        [
            self.status.as_str().to_owned(),
            self.image.name.clone(),
            short,
            size,
            runs,
            self.what(),
        ]
    }

    fn value(&self) -> Value {
        let (done, entry, error) = match &self.fate {
            Fate::Wanted => ("wanted", None, None),
            Fate::Notarized(index) => ("notarized", Some(*index), None),
            Fate::Failed(why) => ("failed", None, Some(why)),
            Fate::Left(_) => ("left", None, None),
        };
        json!({
            "name": self.image.name,
            "names": self.image.names,
            "hash": self.hash(),
            "size": self.size(),
            "containers": self.image.containers,
            "status": self.status.code(),
            "code": self.code,
            "outcome": done,
            "what": self.what(),
            "entry": entry,
            "error": error,
        })
    }
}
