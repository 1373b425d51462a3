//! The lines of a trust root.
//!
//! Parsing is lenient where it does not matter and then writes the lines again:
//! a text that does not come out as it went in is refused.

use std::fmt::Display;
use std::iter::Peekable;
use std::str::{FromStr, Split};

use super::{Allow, KeySet, Organisation, RootError, TrustRoot, TrustSigner, Unsupported};
use crate::allowlist::note::VerifierKey;

const MAGIC: &str = "vcn-root/v1";

/// The words of the lines of a key set.
struct Role {
    key: &'static str,
    threshold: &'static str,
}

const ROOT: Role = Role {
    key: "rootkey",
    threshold: "rootthreshold",
};
const INDEX: Role = Role {
    key: "indexer",
    threshold: "indexthreshold",
};
const EXEMPT: Role = Role {
    key: "exemptkey",
    threshold: "exemptthreshold",
};

pub(super) fn format(root: &TrustRoot) -> String {
    let mut lines = vec![
        MAGIC.to_owned(),
        format!("version {}", root.version),
        format!("origin {}", root.origin),
        format!("expires {}", root.expires),
    ];
    lines.extend(format_keys(&ROOT, &root.roots));
    lines.push(format!("log {}", root.log));
    lines.extend(format_keys(&INDEX, &root.indexers));
    if let Some(exempt) = &root.exempt {
        lines.extend(format_keys(&EXEMPT, exempt));
    }
    lines.extend(root.organisations.iter().map(format_organisation));
    lines.extend(
        root.signers
            .iter()
            .map(|signer| format_signer(root, signer)),
    );
    lines.extend(root.signers.iter().filter_map(|signer| {
        let from = signer.revoked_from?;
        Some(format!("revoke {:08x} from-index={from}", signer.key.id()))
    }));
    let Allow {
        threshold,
        min_level,
        organisations,
    } = &root.allow;
    let allowed = names(root, organisations);
    lines.push(format!("allow {threshold} min-level={min_level} {allowed}"));
    if let Some(veto) = &root.veto {
        lines.push(format!("veto {}", names(root, veto)));
    }
    lines.push(format!("unsupported {}", root.unsupported.as_str()));
    lines.push(String::new());
    lines.join("\n")
}

fn format_keys(role: &Role, set: &KeySet) -> Vec<String> {
    let keys = set.keys.iter().map(|key| format!("{} {key}", role.key));
    let threshold = format!("{} {}", role.threshold, set.threshold);
    keys.chain([threshold]).collect()
}

fn format_organisation(organisation: &Organisation) -> String {
    let stated = |text: &String| (!text.is_empty()).then(|| percent_encode(text));
    let name = &organisation.name;
    let company = option("company", stated(&organisation.company));
    let website = option("website", stated(&organisation.website));
    format!("org {name}{company}{website}")
}

fn format_signer(root: &TrustRoot, signer: &TrustSigner) -> String {
    let TrustSigner { key, level, .. } = signer;
    let name = key.name();
    let organisation = names(root, &[signer.organisation]);
    let from = option(
        "from-index",
        (signer.from_index != 0).then_some(signer.from_index),
    );
    let until = option("until-index", signer.until_index);
    format!("signer {name} level={level} org={organisation} key={key}{from}{until}")
}

fn option(word: &str, value: Option<impl Display>) -> String {
    value
        .map(|value| format!(" {word}={value}"))
        .unwrap_or_default()
}

fn names(root: &TrustRoot, numbers: &[u16]) -> String {
    let organisations = numbers
        .iter()
        .filter_map(|number| root.organisation(*number));
    let names: Vec<&str> = organisations
        .map(|organisation| organisation.name.as_str())
        .collect();
    names.join(" ")
}

/// Encodes every byte that is not unreserved (RFC 3986, section 2.3).
fn percent_encode(text: &str) -> String {
    let bytes = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    });
    bytes.collect()
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [char::from(rest.next()?), char::from(rest.next()?)];
                let [high, low] = digits.map(|digit| digit.to_digit(16));
                u8::try_from(high? << 4 | low?).ok()?
            }
            _ => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

pub(super) fn parse(text: &str) -> Result<TrustRoot, RootError> {
    let mut lines = Lines {
        lines: text.split('\n').peekable(),
        number: 0,
    };
    if lines.next() != Some(MAGIC) {
        return Err(RootError::Line(1, "no 'vcn-root/v1'"));
    }
    let version = lines.number("version")?;
    let origin = lines.line("origin")?.to_owned();
    let expires = lines.number("expires")?;
    let roots = lines.keys(&ROOT)?;
    let log = lines.key("log")?;
    let indexers = lines.keys(&INDEX)?;
    let exempt = match lines.is_at(EXEMPT.key) {
        true => Some(lines.keys(&EXEMPT)?),
        false => None,
    };
    let mut organisations = Vec::new();
    while lines.is_at("org") {
        organisations.push(lines.organisation()?);
    }
    let mut signers = Vec::new();
    while lines.is_at("signer") {
        signers.push(lines.signer(&organisations)?);
    }
    while lines.is_at("revoke") {
        lines.revocation(&mut signers)?;
    }
    let allow = lines.allow(&organisations)?;
    let veto = match lines.is_at("veto") {
        true => {
            let names = lines.line("veto")?.split(' ');
            Some(lines.organisations(&organisations, names)?)
        }
        false => None,
    };
    let unsupported = match lines.line("unsupported")? {
        "deny" => Unsupported::Deny,
        "allow" => Unsupported::Allow,
        _ => return Err(lines.error("neither 'deny' nor 'allow'")),
    };
    let root = TrustRoot {
        version,
        origin,
        expires,
        roots,
        log,
        indexers,
        exempt,
        organisations,
        signers,
        allow,
        veto,
        unsupported,
    };
    root.check()?;
    check_spelling(text, &format(&root))?;
    Ok(root)
}

fn check_spelling(text: &str, expected: &str) -> Result<(), RootError> {
    if text == expected {
        return Ok(());
    }
    let same = text.split('\n').zip(expected.split('\n'));
    let line = same
        .take_while(|(found, expected)| found == expected)
        .count();
    Err(RootError::Line(
        line.saturating_add(1),
        "not spelled as trust roots are",
    ))
}

struct Lines<'a> {
    lines: Peekable<Split<'a, char>>,
    number: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a str> {
        self.number = self.number.saturating_add(1);
        self.lines.next()
    }

    /// An error of the line that was read last.
    const fn error(&self, what: &'static str) -> RootError {
        RootError::Line(self.number, what)
    }

    fn is_at(&mut self, word: &str) -> bool {
        let line = self.lines.peek();
        line.and_then(|line| line.split(' ').next()) == Some(word)
    }

    /// The rest of the next line, which must begin with `word`.
    fn line(&mut self, word: &'static str) -> Result<&'a str, RootError> {
        let line = self.next().and_then(|line| line.strip_prefix(word));
        line.and_then(|rest| rest.strip_prefix(' '))
            .ok_or(RootError::Expected(self.number, word))
    }

    fn parse<T: FromStr>(&self, text: &str, what: &'static str) -> Result<T, RootError> {
        text.parse().map_err(|_| self.error(what))
    }

    fn number(&mut self, word: &'static str) -> Result<u64, RootError> {
        let text = self.line(word)?;
        self.parse(text, "not a number")
    }

    fn key(&mut self, word: &'static str) -> Result<VerifierKey, RootError> {
        let text = self.line(word)?;
        self.parse(text, "not a verifier key")
    }

    fn keys(&mut self, role: &Role) -> Result<KeySet, RootError> {
        let mut keys = vec![self.key(role.key)?];
        while self.is_at(role.key) {
            keys.push(self.key(role.key)?);
        }
        let text = self.line(role.threshold)?;
        let threshold = self.parse(text, "not a number")?;
        Ok(KeySet { keys, threshold })
    }

    fn organisation(&mut self) -> Result<Organisation, RootError> {
        let mut words = Words(self.line("org")?.split(' ').peekable());
        let name = words.0.next().unwrap_or_default().to_owned();
        let decoded = |encoded: Option<&str>| percent_decode(encoded.unwrap_or_default());
        let company = decoded(words.option("company"));
        let website = decoded(words.option("website"));
        let (Some(company), Some(website), None) = (company, website, words.0.next()) else {
            return Err(self.error("not 'org NAME [company=TEXT] [website=TEXT]'"));
        };
        Ok(Organisation {
            name,
            company,
            website,
        })
    }

    fn signer(&mut self, organisations: &[Organisation]) -> Result<TrustSigner, RootError> {
        const FORM: &str =
            "not 'signer NAME level=L org=ORG key=KEY [from-index=N] [until-index=N]'";
        let mut words = Words(self.line("signer")?.split(' ').peekable());
        let name = words.0.next();
        let (Some(level), Some(organisation), Some(key)) = (
            words.option("level"),
            words.option("org"),
            words.option("key"),
        ) else {
            return Err(self.error(FORM));
        };
        let key: VerifierKey = self.parse(key, "not a verifier key")?;
        let number = |text: &str| self.parse(text, FORM);
        let from_index = words.option("from-index").map(number).transpose()?;
        let until_index = words.option("until-index").map(number).transpose()?;
        if name != Some(key.name()) {
            return Err(self.error("the signer's name is not its key's"));
        }
        if words.0.next().is_some() {
            return Err(self.error(FORM));
        }
        Ok(TrustSigner {
            level: self.parse(level, FORM)?,
            organisation: self.organisation_number(organisations, organisation)?,
            key,
            from_index: from_index.unwrap_or_default(),
            until_index,
            revoked_from: None,
        })
    }

    fn revocation(&mut self, signers: &mut [TrustSigner]) -> Result<(), RootError> {
        const FORM: &str = "not 'revoke KEYID from-index=N'";
        let line = self.line("revoke")?;
        let (id, from) = line
            .split_once(" from-index=")
            .ok_or_else(|| self.error(FORM))?;
        let id = u32::from_str_radix(id, 16).map_err(|_| self.error(FORM))?;
        let from = self.parse(from, FORM)?;
        let signer = signers.iter_mut().find(|signer| signer.key.id() == id);
        let signer = signer.ok_or_else(|| self.error("revokes a key that is no signer's"))?;
        if signer.revoked_from.replace(from).is_some() {
            return Err(self.error("revokes a key that is revoked"));
        }
        Ok(())
    }

    fn allow(&mut self, organisations: &[Organisation]) -> Result<Allow, RootError> {
        const FORM: &str = "not 'allow K min-level=L ORG...'";
        let mut words = Words(self.line("allow")?.split(' ').peekable());
        let threshold = words.0.next().unwrap_or_default();
        let min_level = words.option("min-level").unwrap_or_default();
        Ok(Allow {
            threshold: self.parse(threshold, FORM)?,
            min_level: self.parse(min_level, FORM)?,
            organisations: self.organisations(organisations, words.0)?,
        })
    }

    fn organisations<'b>(
        &self,
        known: &[Organisation],
        names: impl Iterator<Item = &'b str>,
    ) -> Result<Vec<u16>, RootError> {
        names
            .map(|name| self.organisation_number(known, name))
            .collect()
    }

    fn organisation_number(&self, known: &[Organisation], name: &str) -> Result<u16, RootError> {
        let number = known
            .iter()
            .position(|organisation| organisation.name == name);
        number
            .and_then(|number| u16::try_from(number).ok())
            .ok_or_else(|| self.error("an organisation that is not known"))
    }
}

/// The rest of a line: words, some of them `NAME=VALUE`.
struct Words<'a>(Peekable<Split<'a, char>>);

impl<'a> Words<'a> {
    /// The value of the next word, if that is called `name`.
    fn option(&mut self, name: &str) -> Option<&'a str> {
        let value = self.0.peek()?.strip_prefix(name)?.strip_prefix('=')?;
        self.0.next();
        Some(value)
    }
}
