//! config.toml and conf.d: what root wrote, checked.
//!
//! Owns the settings' names, defaults and merging. An unknown key is an error
//! that names its file and line, never ignored: a misspelt rule is no rule.
//! The gate never reads these files (they may be broken at any time); it reads
//! what `apply` compiled from them.

mod error;
pub mod names;
pub mod outputs;
mod spelling;
#[cfg(test)]
mod spelling_tests;
pub mod watch;
mod written;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::image::digest::Digest;
use crate::policy::gatebin::{Bundle, Engines, Mode, Rules, Runtimes};
use crate::sys::file;
use written::File;

pub use error::ConfigError;
pub use spelling::{Place, Unknown};
pub use written::Profile;

/// Where the configuration is unless `-c` says otherwise.
pub const DEFAULT_PATH: &str = "/etc/vcn-hook/config.toml";

/// The most bytes one configuration file may have: a thousand times the commented default.
const MAX_CONFIG_SIZE: u64 = 4 << 20;

/// The most files read from conf.d: packages and administrators add a handful.
const MAX_FRAGMENTS: usize = 256;

/// The checked settings of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The file that was read, or would be: `trust/` and `conf.d/` are beside it.
    pub path: PathBuf,
    /// The files that were read: that one, if it is there, and the fragments.
    pub files: Vec<PathBuf>,
    /// Whether a refusal refuses.
    pub mode: Mode,
    /// Where the allowlist and gate.bin are.
    pub state_dir: PathBuf,
    /// Where counters are.
    pub run_dir: PathBuf,
    /// The file that decision records are appended to.
    pub decisions: PathBuf,
    /// The ledger to sync from: a directory or a URL.
    pub ledger: Option<String>,
    /// The real runtimes.
    pub runtimes: Runtimes,
    /// Where the engines keep their state.
    pub engines: Engines,
    /// Docker's API, for publishers who are not root.
    pub docker_socket: PathBuf,
    /// The bundles that no engine makes, and what image each is.
    pub bundles: Vec<Bundle>,
    /// What the rules answer where nothing else is said.
    pub profile: Profile,
    /// What the rules beyond the ledger answer.
    pub rules: Rules,
    /// Config digests of the floor.
    pub floor: Vec<Digest>,
    /// How many lapses are too many.
    pub guard: Guard,
    /// Hours after its expiry for which an allowlist still answers.
    pub grace_hours: u32,
    /// What is done about what runs.
    pub watch: watch::Watch,
}

/// How many lapses at once are too many: more images than both of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    /// So many images.
    pub lapses: u32,
    /// So many of a hundred images that the node runs or ran not long ago.
    pub percent: u8,
}

impl Guard {
    /// Whether `lapsed` of `images` are too many.
    #[must_use]
    pub fn is_exceeded(&self, lapsed: usize, images: usize) -> bool {
        let part = images.saturating_mul(usize::from(self.percent));
        u32::try_from(lapsed).is_ok_and(|lapsed| lapsed > self.lapses)
            && lapsed.saturating_mul(100) > part
    }
}

impl Config {
    /// Reads `path` and the `conf.d/*.toml` beside it, in the order of their names.
    ///
    /// A missing file is an empty one only at [`DEFAULT_PATH`]; a file that was asked for must exist.
    ///
    /// # Errors
    /// [`ConfigError`], naming the file and, where it is TOML's, the line.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let files = files(path)?;
        let texts = files.iter().map(|file| read(file));
        let texts = texts.collect::<Result<Vec<_>, _>>()?;
        let read: Vec<_> = files.iter().map(PathBuf::as_path).zip(texts).collect();
        let tables = parse(&read)?;
        Self::merged(path, files, tables)
    }

    /// Takes one file that was read from `path`, and no other.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self, ConfigError> {
        let tables = parse(&[(path, text(path, bytes.to_vec())?)])?;
        Self::merged(path, vec![path.to_owned()], tables)
    }

    fn merged(
        path: &Path,
        files: Vec<PathBuf>,
        tables: Vec<toml::Table>,
    ) -> Result<Self, ConfigError> {
        let mut merged = toml::Table::new();
        for table in tables {
            merge(&mut merged, table);
        }
        let settings: File = merged
            .try_into()
            .map_err(|error| ConfigError::Parse(path.to_owned(), error.to_string()))?;
        settings.check(path, files)
    }

    /// The directory of the trust roots that people pinned.
    #[must_use]
    pub fn trust_dir(&self) -> PathBuf {
        self.directory().join("trust")
    }

    /// The directory that the configuration is in.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.path.parent().unwrap_or_else(|| Path::new("/"))
    }
}

fn files(path: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let mut files = Vec::new();
    if path.exists() || path != Path::new(DEFAULT_PATH) {
        files.push(path.to_owned());
    }
    let directory = path.with_file_name("conf.d");
    let entries = match std::fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(files),
        Err(error) => return Err(ConfigError::Read(directory, error)),
    };
    let mut fragments = Vec::new();
    for entry in entries {
        let found = entry
            .map_err(|error| ConfigError::Read(directory.clone(), error))?
            .path();
        if found
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            fragments.push(found);
        }
    }
    if fragments.len() > MAX_FRAGMENTS {
        let text = format!(
            "'{}' has more than {MAX_FRAGMENTS} files",
            directory.display()
        );
        return Err(ConfigError::Value(text));
    }
    fragments.sort();
    files.append(&mut fragments);
    Ok(files)
}

/// Where each setting was made that is not a default: the last place counts, and of a list each.
///
/// # Errors
/// As [`Config::load`].
pub fn origins(config: &Config) -> Result<BTreeMap<String, Vec<Place>>, ConfigError> {
    let mut origins: BTreeMap<String, Vec<Place>> = BTreeMap::new();
    for file in &config.files {
        for (name, line) in keys(file, &read(file)?)? {
            let file = file.clone();
            let places = origins.entry(name.clone()).or_default();
            if !name.contains("[]") {
                places.clear();
            }
            places.push(Place { file, line });
        }
    }
    Ok(origins)
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let bytes = file::read_capped(path, MAX_CONFIG_SIZE)
        .map_err(|error| ConfigError::Read(path.to_owned(), error))?;
    text(path, bytes)
}

fn text(path: &Path, bytes: Vec<u8>) -> Result<String, ConfigError> {
    String::from_utf8(bytes).map_err(|error| ConfigError::Parse(path.to_owned(), error.to_string()))
}

fn keys(path: &Path, text: &str) -> Result<Vec<(String, usize)>, ConfigError> {
    spelling::keys(text)
        .map_err(|error| ConfigError::Parse(path.to_owned(), in_one_line(&error, text)))
}

/// Parses each file on its own first, so that an error has that file's line. Of unknown keys, all are told.
fn parse(files: &[(&Path, String)]) -> Result<Vec<toml::Table>, ConfigError> {
    let mut unknown = Vec::new();
    for (path, text) in files {
        unknown.append(&mut spelling::unknown(path, &keys(path, text)?));
    }
    if !unknown.is_empty() {
        return Err(ConfigError::Unknown(unknown));
    }
    let tables = files.iter().map(|(path, text)| {
        toml::from_str::<File>(text)
            .and_then(|_| toml::from_str(text))
            .map_err(|error| ConfigError::Parse((*path).to_owned(), in_one_line(&error, text)))
    });
    tables.collect()
}

/// TOML's own rendering draws the line and points at it; a log, and `-o json`, want one sentence.
fn in_one_line(error: &toml::de::Error, text: &str) -> String {
    let message = error.message().trim_end().replace('\n', "; ");
    let before = error.span().and_then(|span| text.get(..span.start));
    before.map_or_else(
        || message.clone(),
        |before| format!("line {}: {message}", before.matches('\n').count() + 1),
    )
}

/// Lays `over` on `under`: tables are merged, lists of tables appended, anything else replaced.
fn merge(under: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(above)) => merge(below, above),
            (Some(toml::Value::Array(below)), toml::Value::Array(mut above))
                if below.iter().chain(&above).all(toml::Value::is_table) =>
            {
                below.append(&mut above);
            }
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Config, ConfigError};
    use crate::image::digest::Digest;
    use crate::policy::gatebin::{Bundle, Mode, Response};

    fn load(files: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(directory.path().join("conf.d")).expect("it is new");
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).expect("it is writable");
        }
        Config::load(&directory.path().join("config.toml"))
    }

    #[test]
    fn an_empty_file_is_the_standard_profile_enforced() {
        let config = load(&[("config.toml", "")]).expect("nothing is required");
        assert_eq!(config.mode, Mode::Enforce);
        assert_eq!(config.state_dir.to_str(), Some("/var/lib/vcn-hook"));
        assert_eq!(config.rules.upper_changed, Response::Warn);
        assert_eq!(config.rules.build, Response::Deny);
    }

    #[test]
    fn more_than_a_few_and_more_than_a_part_are_too_many() {
        let guard = |text| load(&[("config.toml", text)]).expect("it is right").guard;
        for (text, lapsed, images, exceeded) in [
            ("", 0, 0, false),
            ("", 2, 2, false),
            ("", 3, 3, true),
            ("", 10, 100, false),
            ("", 11, 100, true),
            ("[guard]\nlapses = 0", 1, 1, true),
            ("[guard]\nlapses = 0\npercent = 50", 1, 2, false),
            ("[guard]\nlapses = 0\npercent = 100", 9, 9, false),
            ("[guard]\npercent = 0", 3, 1000, true),
        ] {
            let found = guard(text).is_exceeded(lapsed, images);
            assert_eq!(found, exceeded, "{text} {lapsed} of {images}");
        }
    }

    #[test]
    fn an_unknown_key_is_an_error_with_its_line() {
        let error = load(&[("config.toml", "mode = \"audit\"\nstate_dri = \"/x\"\n")]);
        let text = error.expect_err("it is misspelt").to_string();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(
            text.contains("line 2") && text.contains("state_dri"),
            "{text}"
        );
        let nested = load(&[("config.toml", "[upper]\nchangd = \"deny\"\n")]);
        assert!(
            nested
                .expect_err("it is misspelt")
                .to_string()
                .contains("changd")
        );
    }

    #[test]
    fn a_bundle_is_said_to_be_one_image_by_one_plain_path() {
        let (digest, other) = (Digest::of(b"x"), Digest::of(b"y"));
        let entry = |path: &str, digest: &Digest| {
            format!("[[bundle]]\npath = \"{path}\"\nconfig = \"{digest}\"\n")
        };
        let config = load(&[
            ("config.toml", &entry("/srv/a", &digest)),
            ("conf.d/b.toml", &entry("/srv//b/", &other)),
        ]);
        let said = |path: &str, config| Bundle {
            path: path.into(),
            config,
        };
        assert_eq!(
            config.expect("both are absolute").bundles,
            [said("/srv/a", digest), said("/srv/b", other)]
        );
        for (text, wrong) in [
            (entry("srv/a", &digest), "srv/a"),
            (entry("/srv/../a", &digest), "/srv/../a"),
            (
                entry("/srv/a", &digest) + &entry("/srv/a/", &other),
                "stands twice",
            ),
            ("[[bundle]]\npath = \"/srv/a\"\n".to_owned(), "config"),
            (
                "[[bundle]]\npath = \"/srv/a\"\nconfig = \"sha256:ab\"\n".to_owned(),
                "digest",
            ),
        ] {
            let error = load(&[("config.toml", &text)]).expect_err(&text);
            assert!(error.to_string().contains(wrong), "{error}");
        }
    }

    #[test]
    fn fragments_are_laid_over_the_file_in_the_order_of_their_names() {
        let digest = Digest::of(b"x");
        let allow =
            |path: &str| format!("[[upper.allow]]\nconfig = \"{digest}\"\npaths = [\"{path}\"]\n");
        let config = load(&[
            (
                "config.toml",
                &format!(
                    "mode = \"audit\"\n[policy]\nprofile = \"strict\"\n{}",
                    allow("/a")
                ),
            ),
            (
                "conf.d/20-b.toml",
                &format!("[host]\npolicy = \"warn\"\n{}", allow("/b")),
            ),
            ("conf.d/10-a.toml", "[host]\npolicy = \"allow\"\n"),
            ("conf.d/ignored.conf", "not = [toml"),
        ])
        .expect("it is right");
        assert_eq!(
            (config.mode, config.rules.host),
            (Mode::Audit, Response::Warn)
        );
        assert_eq!(config.rules.upper_changed, Response::Deny);
        let paths: Vec<_> = config
            .rules
            .upper_allow
            .iter()
            .flat_map(|a| &a.paths)
            .collect();
        assert_eq!(paths, ["/a", "/b"]);
    }

    #[test]
    fn relative_paths_wrong_types_and_missing_files_are_refused() {
        for text in [
            "state_dir = \"x\"",
            "mode = 3",
            "mode = \"off\"",
            "[floor]\nconfigs = [\"sha256:0\"]",
        ] {
            assert!(load(&[("config.toml", text)]).is_err(), "{text}");
        }
        assert!(matches!(load(&[]), Err(ConfigError::Read(..))));
        let broken = load(&[("config.toml", ""), ("conf.d/a.toml", "\u{0}")]);
        assert!(matches!(broken, Err(ConfigError::Parse(..))));
    }
}
