//! One answer of `verify`, in the words of vcn.
//!
//! Owns the schema `vcn-hook/verification/v1` and the ten rows of the text
//! form. JSON carries the answer twice: flat, as vcn 0.7 and later had it,
//! and as the nested objects of vcn 0.4 that watchdog scripts read with jq.
//! Refuses to judge.

use serde::Serialize;
use serde_json::{Value, json};

use super::deep::Deep;
use super::escape::Escaped;
use super::moment;
use super::output::Paint;
use crate::allowlist::record::Status;
use crate::ledger::statement::Statement;
use crate::trust::root::{self, Organisation, TrustRoot, TrustSigner};
use crate::verdict::Reason;

/// The name of the JSON form; it changes when a field changes its meaning.
pub const SCHEMA: &str = "vcn-hook/verification/v1";

/// What is known of one thing that was asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// The argument, as it was typed.
    pub asked: String,
    /// The digest that was judged, as vcn writes it: hexadecimal, without the algorithm.
    pub hash: String,
    /// What the rule made of it.
    pub status: Status,
    /// Why, and what to do next.
    pub reason: Reason,
    /// True when nothing could be decided; `status` is then UNKNOWN.
    pub undecided: bool,
    /// What the ledger says, by the statement that decided; `None` when it says nothing.
    pub statement: Option<Stated>,
    /// How many records the ledger has of this digest.
    pub records: usize,
    /// What was found on disk, where that was asked for.
    pub deep: Option<Deep>,
}

/// What one statement says of what was asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stated {
    /// Where the image came from: `docker`, `oci`, `file`, `hash`.
    pub kind: String,
    /// What the signer called it.
    pub name: String,
    /// Its size in bytes; 0 for unknown.
    pub size: u64,
    /// When it was signed, by the signer's clock; 0 for unknown.
    pub time: u64,
    /// The signer's key, as `name+id`.
    pub key: String,
    /// The signer's name.
    pub signer: String,
    /// The signer's organisation.
    pub organisation: String,
    /// The organisation's company.
    pub company: String,
    /// The organisation's website.
    pub website: String,
    /// The signer's level, granted by the trust root.
    pub level: i8,
    /// Where the statement stands in the log.
    pub log_index: u64,
}

impl Verification {
    /// The exit code of this one answer.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        self.reason.code.exit_code()
    }

    /// The ten rows of vcn's text form, in its order and columns; a row without a value is left out.
    #[must_use]
    pub fn text(&self, paint: Paint) -> String {
        let stated = self.statement.as_ref();
        let of = |value: fn(&Stated) -> String| stated.map(value).unwrap_or_default();
        let rows = [
            ("Asset", self.asked.clone()),
            ("Hash", self.hash.clone()),
            ("Date", of(|s| positive(s.time, moment::text))),
            ("Key", of(|s| s.key.clone())),
            ("Name", of(|s| s.name.clone())),
            ("Size", of(|s| positive(s.size, moment::size))),
            ("Company", of(|s| s.company.clone())),
            ("Website", of(|s| s.website.clone())),
            ("Level", of(|s| level(s.level))),
        ];
        let mut text = String::new();
        for (label, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
            text.push_str(&row(label, &Escaped(value).to_string()));
        }
        let status = paint.status(self.status, &format!("\"{}\"", self.status.as_str()));
        text + &row("Status", &status) + &self.deep.as_ref().map(Deep::text).unwrap_or_default()
    }

    /// The JSON form.
    #[must_use]
    pub fn json(&self) -> Value {
        let nothing = Stated::nothing();
        let stated = self.statement.as_ref().unwrap_or(&nothing);
        let at = positive(stated.time, moment::rfc3339);
        let mut value = self.artifact(stated, &at);
        let verification = json!({
            "level": stated.level,
            "owner": stated.key,
            "status": self.status.code(),
            "timestamp": at,
        });
        if let Some(map) = value.as_object_mut() {
            let artifact = Value::Object(map.clone());
            map.insert("artifact".to_owned(), artifact);
            map.insert("verification".to_owned(), verification);
            // The later, flat form of vcn has the number where the nested one has the word.
            map.insert("status".to_owned(), json!(self.status.code()));
            map.insert("schema".to_owned(), json!(SCHEMA));
            map.insert("asset".to_owned(), json!(self.asked));
            map.insert("verified".to_owned(), json!(!self.undecided));
            map.insert("reason".to_owned(), json!(Why::from(&self.reason)));
            map.insert(
                "logIndex".to_owned(),
                self.statement.as_ref().map(|s| s.log_index).into(),
            );
            if let Some(deep) = &self.deep {
                map.insert("deep".to_owned(), deep.json());
            }
            if self.undecided {
                map.insert("error".to_owned(), json!(self.reason.to_string()));
            }
        }
        value
    }

    /// The fields that the flat and the nested form have in common.
    fn artifact(&self, stated: &Stated, at: &str) -> Value {
        json!({
            "kind": stated.kind,
            "name": stated.name,
            "hash": self.hash,
            "size": stated.size,
            "contentType": "",
            "url": "",
            "metadata": {},
            "visibility": if self.records == 0 { "" } else { "PUBLIC" },
            "createdAt": at,
            "timestamp": at,
            "level": stated.level,
            "status": self.status.as_str(),
            "signer": stated.signer,
            "organisation": stated.organisation,
            "company": stated.company,
            "website": stated.website,
            "publisher": stated.signer,
            "publisherCompany": stated.company,
            "publisherWebsiteUrl": stated.website,
            "signerCount": self.records,
            "publisherCount": self.records,
            "verificationCount": self.records,
        })
    }
}

impl Stated {
    /// What the statement at `index` says, with what the trust root knows of its signer.
    #[must_use]
    pub fn of(index: u64, statement: &Statement, signer: &TrustSigner, root: &TrustRoot) -> Self {
        let organisation = root.organisation(signer.organisation);
        let of = |field: fn(&Organisation) -> &String| organisation.map(field).cloned();
        Self {
            kind: statement.kind.clone(),
            name: statement.name.clone(),
            size: statement.size,
            time: statement.time,
            key: signer.key.keyid(),
            signer: signer.key.name().to_owned(),
            organisation: of(|org| &org.name).unwrap_or_default(),
            company: of(|org| &org.company).unwrap_or_default(),
            website: of(|org| &org.website).unwrap_or_default(),
            level: signer.level,
            log_index: index,
        }
    }

    const fn nothing() -> Self {
        Self {
            kind: String::new(),
            name: String::new(),
            size: 0,
            time: 0,
            key: String::new(),
            signer: String::new(),
            organisation: String::new(),
            company: String::new(),
            website: String::new(),
            level: 0,
            log_index: 0,
        }
    }
}

/// A reason, for scripts.
#[derive(Debug, Serialize)]
pub struct Why<'a> {
    code: &'static str,
    detail: &'a str,
    hint: &'a str,
}

impl<'a> From<&'a Reason> for Why<'a> {
    fn from(reason: &'a Reason) -> Self {
        Self {
            code: reason.code.as_str(),
            detail: &reason.detail,
            hint: &reason.hint,
        }
    }
}

/// A level with vcn's word for it.
#[must_use]
pub fn level(level: i8) -> String {
    match root::level_name(level) {
        // vcn prints this one without its number.
        Some(name) if level < 0 => name.to_owned(),
        Some(name) => format!("{level} - {name}"),
        None => level.to_string(),
    }
}

/// The exit code of several answers: that of the worst, in the order could-not-decide, 4, 1, 3, 2.
#[must_use]
pub fn worst(codes: impl IntoIterator<Item = u8>) -> u8 {
    // Among several that could not be decided the first one is told.
    let rank = |code: &u8| match code {
        0 => 0,
        2 => 1,
        3 => 2,
        1 => 3,
        4 => 4,
        _ => 5,
    };
    codes.into_iter().fold(0, |worst, code| {
        if rank(&code) > rank(&worst) {
            code
        } else {
            worst
        }
    })
}

fn row(label: &str, value: &str) -> String {
    // The column of the longest label, `Company: `, whichever rows there are.
    format!("{:9}{value}\n", format!("{label}:"))
}

fn positive(number: u64, written: fn(u64) -> String) -> String {
    if number == 0 {
        String::new()
    } else {
        written(number)
    }
}

#[cfg(test)]
#[path = "verification_tests.rs"]
mod tests;
