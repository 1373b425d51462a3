//! Docker's image names: `[DOMAIN/]PATH[:TAG][@DIGEST]`, or an image ID.
//!
//! Owns the grammar and the normal form (distribution `reference`, `regexp.go` and
//! `normalize.go`). Which image a name stands for is the engine's to say.
//!
//! 1. 64 hexadecimal digits, with or without `sha256:`, are an image ID and nothing else.
//! 2. `@sha256:<hex>` at the end is a digest; `:TAG` before it, after the last slash, is a tag.
//! 3. What stands before the first slash is a domain if it has a dot or a colon or is `localhost`;
//!    otherwise the domain is `docker.io`. `index.docker.io` is `docker.io`.
//! 4. A path in `docker.io` without a slash is in `library/`.
//! 5. Path components are lower-case letters and digits, with `.`, `_`, `__` or any number of `-` between.
//! 6. A tag has 1 to 128 word characters, dots and hyphens, and starts with a word character.
//! 7. Without tag and digest, the tag is `latest`. With both, the digest counts.
//! 8. Domain and path together have at most 255 characters.
//! 9. 4 to 63 hexadecimal digits, with or without `sha256:`, are a name first; if no image has
//!    that name, the start of an image ID.

use std::fmt;
use std::str::FromStr;

use crate::image::digest::Digest;

/// What stands after `docker://`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageName {
    /// A whole image ID.
    Id(Digest),
    /// A name.
    Name {
        /// The name.
        name: Name,
        /// The same text as the start of an image ID, for when no image has the name.
        prefix: Option<String>,
    },
}

/// A name in its normal form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// The rule that a text breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    /// Rule 5, for the commonest reason.
    UpperCase,
    /// Rule 3: not host, host:port or [address].
    Domain,
    /// Rule 5.
    Path,
    /// Rule 6.
    Tag,
    /// Rule 2: not SHA-256.
    Digest,
    /// Rule 8.
    Length,
}

const DEFAULT_DOMAIN: &str = "docker.io";
const OFFICIAL: &str = "library/";
const MAX_NAME: usize = 255;
const MAX_TAG: usize = 128;
/// Docker sets no lower bound; below this, a mistyped name would too easily be an image ID.
const MIN_PREFIX: usize = 4;

impl Name {
    /// The full name, as containerd keeps it: `docker.io/library/app:1.4`.
    #[must_use]
    pub fn full(&self) -> String {
        format!("{}/{}{}", self.domain, self.path, self.suffix())
    }

    /// Domain and path as Docker shows them, without tag and digest: `app`.
    #[must_use]
    pub fn familiar_repository(&self) -> String {
        if self.domain != DEFAULT_DOMAIN {
            return format!("{}/{}", self.domain, self.path);
        }
        match self.path.strip_prefix(OFFICIAL) {
            Some(rest) if !rest.contains('/') => rest.to_owned(),
            Some(_) | None => self.path.clone(),
        }
    }

    /// The name as Docker shows it: `app:1.4`.
    #[must_use]
    pub fn familiar(&self) -> String {
        format!("{}{}", self.familiar_repository(), self.suffix())
    }

    fn suffix(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => format!("@{digest}"),
            (None, Some(tag)) => format!(":{tag}"),
            (None, None) => ":latest".to_owned(),
        }
    }
}

impl FromStr for ImageName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        if let Ok(id) = Digest::from_hex(hex) {
            return Ok(Self::Id(id));
        }
        let is_prefix = (MIN_PREFIX..64).contains(&hex.len())
            && hex.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
        Ok(Self::Name {
            name: text.parse()?,
            prefix: is_prefix.then(|| hex.to_owned()),
        })
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let digest = digest.parse().map_err(|_| NameError::Digest)?;
                (rest, Some(digest))
            }
            None => (text, None),
        };
        // A colon before the last slash belongs to a port.
        let after_slash = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (repository, tag) = match rest.get(after_slash..).and_then(|last| last.find(':')) {
            Some(colon) => {
                let (repository, tag) = rest.split_at(after_slash + colon);
                (
                    repository,
                    Some(checked_tag(tag.trim_start_matches(':'), tag)?),
                )
            }
            None => (rest, None),
        };
        let (domain, path) = split_domain(repository);
        check_domain(domain)?;
        check_path(path)?;
        let path = if domain == DEFAULT_DOMAIN && !path.contains('/') {
            format!("{OFFICIAL}{path}")
        } else {
            path.to_owned()
        };
        // Docker shows a name of its own registry without the domain: `docker.io/a.b/c` as `a.b/c`, which
        // is another registry's. Two images must not have one name.
        if domain == DEFAULT_DOMAIN && split_domain(&path) != (DEFAULT_DOMAIN, &path) {
            return Err(NameError::Domain);
        }
        if domain.len() + 1 + path.len() > MAX_NAME {
            return Err(NameError::Length);
        }
        Ok(Self {
            domain: domain.to_owned(),
            path,
            tag,
            digest,
        })
    }
}

fn split_domain(repository: &str) -> (&str, &str) {
    match repository.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
            let first = if first == "index.docker.io" {
                DEFAULT_DOMAIN
            } else {
                first
            };
            (first, rest)
        }
        Some(_) | None => (DEFAULT_DOMAIN, repository),
    }
}

fn checked_tag(tag: &str, with_colon: &str) -> Result<String, NameError> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let good = with_colon.len() == tag.len() + 1
        && tag.len() <= MAX_TAG
        && tag.starts_with(word)
        && tag.chars().all(|c| word(c) || c == '.' || c == '-');
    good.then(|| tag.to_owned()).ok_or(NameError::Tag)
}

fn check_domain(domain: &str) -> Result<(), NameError> {
    let (host, port) = match domain.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        Some(_) | None => (domain, None),
    };
    let port_is_good =
        port.is_none_or(|port| !port.is_empty() && port.bytes().all(|c| c.is_ascii_digit()));
    let address = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let host_is_good = match address {
        Some(address) => address.bytes().all(|c| c.is_ascii_hexdigit() || c == b':'),
        None => host.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|c| c.is_ascii_alphanumeric() || c == b'-')
        }),
    };
    if host_is_good && port_is_good {
        return Ok(());
    }
    Err(NameError::Domain)
}

fn check_path(path: &str) -> Result<(), NameError> {
    if path.bytes().any(|c| c.is_ascii_uppercase()) {
        return Err(NameError::UpperCase);
    }
    if path.split('/').all(is_component) {
        return Ok(());
    }
    Err(NameError::Path)
}

fn is_component(component: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separators_are_good = component
        .split(alphanumeric)
        .all(|gap| matches!(gap, "" | "." | "_" | "__") || gap.chars().all(|c| c == '-'));
    component.starts_with(alphanumeric) && component.ends_with(alphanumeric) && separators_are_good
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => f.write_str(&id.hex()),
            Self::Name { name, .. } => f.write_str(&name.familiar()),
        }
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UpperCase => "a repository is written in lower case",
            Self::Domain => "what stands before the first slash is no host name",
            Self::Path => {
                "a repository has lower-case letters and digits, with '.', '_', '__' or '-' between"
            }
            Self::Tag => {
                "a tag has at most 128 letters, digits, '_', '.' and '-', and starts with none of the last two"
            }
            Self::Digest => "after '@' stands sha256: and 64 lower-case hexadecimal digits",
            Self::Length => "it has more than 255 characters",
        })
    }
}

impl std::error::Error for NameError {}

#[cfg(test)]
mod tests {
    use super::{ImageName, Name, NameError};
    use crate::image::digest::Digest;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn names_are_made_normal_as_docker_does() {
        let by_digest = format!("app:1@sha256:{HEX}");
        let digest_full = format!("docker.io/library/app@sha256:{HEX}");
        let digest_familiar = format!("app@sha256:{HEX}");
        for (text, full, familiar) in [
            (
                "hello-world",
                "docker.io/library/hello-world:latest",
                "hello-world:latest",
            ),
            ("app:1.4", "docker.io/library/app:1.4", "app:1.4"),
            ("library/app", "docker.io/library/app:latest", "app:latest"),
            (
                "docker.io/app",
                "docker.io/library/app:latest",
                "app:latest",
            ),
            ("index.docker.io/a/b:C", "docker.io/a/b:C", "a/b:C"),
            (
                "library/a/b",
                "docker.io/library/a/b:latest",
                "library/a/b:latest",
            ),
            (
                "org/app__x.y---z_1",
                "docker.io/org/app__x.y---z_1:latest",
                "org/app__x.y---z_1:latest",
            ),
            (
                "localhost/app",
                "localhost/app:latest",
                "localhost/app:latest",
            ),
            ("reg:5000/app:2", "reg:5000/app:2", "reg:5000/app:2"),
            (
                "127.0.0.1:5000/a/b",
                "127.0.0.1:5000/a/b:latest",
                "127.0.0.1:5000/a/b:latest",
            ),
            (
                "[::1]:5000/app",
                "[::1]:5000/app:latest",
                "[::1]:5000/app:latest",
            ),
            (
                "Reg.Example/app",
                "Reg.Example/app:latest",
                "Reg.Example/app:latest",
            ),
            (&by_digest, &digest_full, &digest_familiar),
        ] {
            let name: Name = text.parse().unwrap();
            assert_eq!(
                (name.full(), name.familiar()),
                (full.to_owned(), familiar.to_owned())
            );
        }
    }

    #[test]
    fn a_whole_id_is_never_a_name_and_a_short_one_may_be_both() {
        let id = ImageName::Id(Digest::from_hex(HEX).unwrap());
        assert_eq!(HEX.parse(), Ok(id.clone()));
        assert_eq!(format!("sha256:{HEX}").parse(), Ok(id));
        for (text, expected) in [
            ("cafe", Some("cafe")),
            ("0ceab8fd1234", Some("0ceab8fd1234")),
            ("sha256:0cea", Some("0cea")),
            ("caf", None),
            ("cafes", None),
            ("cafe:1", None),
        ] {
            let ImageName::Name { prefix, .. } = text.parse().unwrap() else {
                panic!("{text} is no name");
            };
            assert_eq!(prefix.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_docker_would_not_take_is_refused_with_the_rule() {
        for (text, rule) in [
            ("", NameError::Path),
            ("App", NameError::UpperCase),
            ("org/App", NameError::UpperCase),
            ("a//b", NameError::Path),
            ("/a", NameError::Path),
            ("a/", NameError::Path),
            ("a..b", NameError::Path),
            ("a___b", NameError::Path),
            ("a._b", NameError::Path),
            ("-a", NameError::Path),
            ("a-", NameError::Path),
            ("a b", NameError::Path),
            ("../etc.d/x", NameError::Domain),
            ("docker.io/registry.example/app", NameError::Domain),
            ("docker.io/docker.io/app", NameError::Domain),
            ("index.docker.io/localhost/app", NameError::Domain),
            ("a.b:port/x", NameError::Domain),
            ("a.b:/x", NameError::Domain),
            ("-a.b/x", NameError::Domain),
            ("a:", NameError::Tag),
            ("a::b", NameError::Tag),
            ("a:.b", NameError::Tag),
            ("a:b:c", NameError::Tag),
            ("a@sha256:00", NameError::Digest),
            ("a@", NameError::Digest),
        ] {
            assert_eq!(text.parse::<Name>(), Err(rule), "{text}");
        }
        assert_eq!("a".repeat(300).parse::<Name>(), Err(NameError::Length));
        let long_tag = format!("a:{}", "t".repeat(129));
        assert_eq!(long_tag.parse::<Name>(), Err(NameError::Tag));
    }
}
