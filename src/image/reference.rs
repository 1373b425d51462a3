//! Image references as people type them.
//!
//! Owns the schemes, and Docker's grammar of names (distribution's `reference`
//! package). Does not look whether anything exists: that is for `engine` and `cli`.
//!
//! A reference is one of
//! - `docker://NAME`: an image that Docker has.
//! - `podman://NAME`: an image that Podman has.
//! - `oci:DIR[:TAG]`: an OCI image layout. The first colon ends DIR, as in skopeo.
//! - `docker-archive:FILE`: what `docker save` wrote.
//! - `file://PATH`, or a PATH without any scheme, as in vcn: one file of any kind.

mod name;

use std::fmt;

pub use self::name::{ImageName, Name, NameError};

/// What a publisher or a user points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// An image that Docker has.
    Docker(ImageName),
    /// An image that Podman has.
    Podman(ImageName),
    /// An image in an OCI image layout.
    OciLayout {
        /// The directory with `index.json`.
        directory: String,
        /// Which of its images; `None` for the only one.
        tag: Option<String>,
    },
    /// What `docker save` wrote.
    DockerArchive {
        /// The tar file.
        file: String,
    },
    /// One file of any kind.
    File {
        /// Where it is.
        path: String,
    },
}

/// Why a text is not a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReferenceError {
    /// Nothing was given, or nothing after the scheme.
    Empty,
    /// `://` stands in it twice.
    TwoSchemes,
    /// A scheme that is not known.
    Scheme(String),
    /// A scheme that is known, and that this version cannot read yet.
    NotBuilt(&'static str),
    /// A scheme that is written without the slashes.
    Slashes(&'static str),
    /// A name that Docker would not take.
    Name(String, NameError),
}

/// Known from vcn or from the plan of this product; each needs a store that is not read yet.
const NOT_BUILT: [&str; 2] = ["containerd", "image"];

impl std::str::FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.is_empty() {
            return Err(ReferenceError::Empty);
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return without_slashes(text);
        };
        if rest.contains("://") {
            return Err(ReferenceError::TwoSchemes);
        }
        if rest.is_empty() {
            return Err(ReferenceError::Empty);
        }
        match scheme {
            "docker" => name(rest).map(Self::Docker),
            "podman" => name(rest).map(Self::Podman),
            "file" => Ok(Self::File {
                path: rest.to_owned(),
            }),
            "oci" => Err(ReferenceError::Slashes("oci:DIR[:TAG]")),
            "docker-archive" => Err(ReferenceError::Slashes("docker-archive:FILE")),
            _ => Err(NOT_BUILT
                .into_iter()
                .find(|known| *known == scheme)
                .map_or_else(
                    || ReferenceError::Scheme(scheme.to_owned()),
                    ReferenceError::NotBuilt,
                )),
        }
    }
}

fn name(text: &str) -> Result<ImageName, ReferenceError> {
    let parsed: Result<ImageName, _> = text.parse();
    parsed.map_err(|error| ReferenceError::Name(text.to_owned(), error))
}

fn without_slashes(text: &str) -> Result<Reference, ReferenceError> {
    let reference = if let Some(place) = text.strip_prefix("oci:") {
        let (directory, tag) = match place.split_once(':') {
            Some((_, "")) => return Err(ReferenceError::Empty),
            Some((directory, tag)) => (directory, Some(tag.to_owned())),
            None => (place, None),
        };
        if directory.is_empty() {
            return Err(ReferenceError::Empty);
        }
        Reference::OciLayout {
            directory: directory.to_owned(),
            tag,
        }
    } else if let Some(file) = text.strip_prefix("docker-archive:") {
        if file.is_empty() {
            return Err(ReferenceError::Empty);
        }
        Reference::DockerArchive {
            file: file.to_owned(),
        }
    } else {
        Reference::File {
            path: text.to_owned(),
        }
    };
    Ok(reference)
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Docker(name) => write!(f, "docker://{name}"),
            Self::Podman(name) => write!(f, "podman://{name}"),
            Self::OciLayout {
                directory,
                tag: Some(tag),
            } => write!(f, "oci:{directory}:{tag}"),
            Self::OciLayout {
                directory,
                tag: None,
            } => write!(f, "oci:{directory}"),
            Self::DockerArchive { file } => write!(f, "docker-archive:{file}"),
            Self::File { path } => write!(f, "file://{path}"),
        }
    }
}

impl fmt::Display for ReferenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the reference is empty"),
            Self::TwoSchemes => f.write_str("the reference has '://' twice"),
            Self::Scheme(scheme) => write!(
                f,
                "scheme {scheme:?} is not known; known are docker://REF, podman://REF, oci:DIR[:TAG], docker-archive:FILE and file://PATH"
            ),
            Self::NotBuilt(scheme) => write!(
                f,
                "{scheme}:// cannot be read by this version; save the image and use docker-archive:FILE or oci:DIR"
            ),
            Self::Slashes(form) => write!(f, "write {form}, without '//'"),
            Self::Name(name, error) => write!(f, "{name:?} is no image name: {error}"),
        }
    }
}

impl std::error::Error for ReferenceError {}

#[cfg(test)]
mod tests {
    use super::{NameError, Reference, ReferenceError};

    fn file(path: &str) -> Reference {
        Reference::File {
            path: path.to_owned(),
        }
    }

    fn layout(directory: &str, tag: Option<&str>) -> Reference {
        Reference::OciLayout {
            directory: directory.to_owned(),
            tag: tag.map(str::to_owned),
        }
    }

    #[test]
    fn each_scheme_has_its_own_grammar() {
        for (text, expected) in [
            (
                "docker://app:1.4",
                Reference::Docker("app:1.4".parse().unwrap()),
            ),
            (
                "podman://localhost/app:1.4",
                Reference::Podman("localhost/app:1.4".parse().unwrap()),
            ),
            ("oci:/var/images", layout("/var/images", None)),
            ("oci:dir:v1", layout("dir", Some("v1"))),
            ("oci:dir:reg:5000/x:1", layout("dir", Some("reg:5000/x:1"))),
            (
                "docker-archive:./a.tar",
                Reference::DockerArchive {
                    file: "./a.tar".to_owned(),
                },
            ),
            ("file://README.md", file("README.md")),
            ("file:///etc/hosts", file("/etc/hosts")),
            ("README.md", file("README.md")),
            ("C:archive", file("C:archive")),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_reference_is_refused_with_the_reason() {
        for (text, expected) in [
            ("", ReferenceError::Empty),
            ("docker://", ReferenceError::Empty),
            ("file://", ReferenceError::Empty),
            ("oci:", ReferenceError::Empty),
            ("oci:dir:", ReferenceError::Empty),
            ("docker-archive:", ReferenceError::Empty),
            ("docker://docker://x", ReferenceError::TwoSchemes),
            ("oci://dir", ReferenceError::Slashes("oci:DIR[:TAG]")),
            ("git://repo", ReferenceError::Scheme("git".to_owned())),
            ("://x", ReferenceError::Scheme(String::new())),
            (
                "containerd://k8s.io/app",
                ReferenceError::NotBuilt("containerd"),
            ),
            ("image://app", ReferenceError::NotBuilt("image")),
            (
                "docker://App",
                ReferenceError::Name("App".to_owned(), NameError::UpperCase),
            ),
        ] {
            assert_eq!(text.parse::<Reference>(), Err(expected), "{text}");
        }
    }
}
