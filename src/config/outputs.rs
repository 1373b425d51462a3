//! Where the watch shows what it found: `[watch] listen`, `textfile`, and `[watch.influx]`.
//!
//! Owns these names and values. Passwords and tokens are in files of their own, never in config.toml,
//! which is shown to people.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;

use serde::Deserialize;

use super::ConfigError;
use super::watch::{absolute, is_address};

/// Where what was found can be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outputs {
    /// Where metrics, results and the page are served; `None` for nowhere.
    pub listen: Option<SocketAddr>,
    /// The file that metrics are written to.
    pub textfile: Option<PathBuf>,
    /// The database that points are sent to.
    pub influx: Option<Influx>,
}

/// A database for points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Influx {
    /// Such as `http://influx:8086`.
    pub url: String,
    /// Where in it.
    pub target: InfluxTarget,
}

/// Where in a database points go, and where the leave to write there is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InfluxTarget {
    /// `InfluxDB` 1.
    V1 {
        /// The database.
        db: String,
        /// The user, and the file with the password.
        user: Option<(String, PathBuf)>,
    },
    /// `InfluxDB` 2.
    V2 {
        /// The organisation.
        org: String,
        /// The bucket.
        bucket: String,
        /// The file with the token.
        token_file: PathBuf,
    },
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct InfluxSection {
    url: Option<String>,
    db: Option<String>,
    user: Option<String>,
    password_file: Option<PathBuf>,
    org: Option<String>,
    bucket: Option<String>,
    token_file: Option<PathBuf>,
}

/// Where the watch listens when nothing is said: kube-notary's port, on this machine only.
const LISTEN: &str = "127.0.0.1:9581";

/// Checks every value, and fills in what is not said.
pub(super) fn check(
    listen: Option<String>,
    textfile: Option<PathBuf>,
    influx: InfluxSection,
) -> Result<Outputs, ConfigError> {
    let listen = match listen.as_deref().unwrap_or(LISTEN) {
        "off" => None,
        said => Some(address(said)?),
    };
    let textfile = textfile.map(|path| absolute("watch.textfile", path));
    Ok(Outputs {
        listen,
        textfile: textfile.transpose()?,
        influx: influx.check()?,
    })
}

fn address(said: &str) -> Result<SocketAddr, ConfigError> {
    let found = said
        .to_socket_addrs()
        .ok()
        .and_then(|mut found| found.next());
    found.ok_or_else(|| {
        ConfigError::Value(format!(
            "watch.listen: '{said}' is neither ADDRESS:PORT nor 'off'"
        ))
    })
}

impl InfluxSection {
    fn check(self) -> Result<Option<Influx>, ConfigError> {
        let wrong = |what: &str| Err(ConfigError::Value(format!("watch.influx: {what}")));
        let Self {
            url,
            db,
            user,
            password_file,
            org,
            bucket,
            token_file,
        } = self;
        let Some(url) = url else {
            let nothing = [&db, &user, &org, &bucket]
                .iter()
                .all(|said| said.is_none());
            return match nothing && password_file.is_none() && token_file.is_none() {
                true => Ok(None),
                false => wrong("'url' is missing"),
            };
        };
        if !is_address(&url) || url.contains(['?', '#', '@']) {
            return wrong("'url' is no plain address that begins with http:// or https://");
        }
        let absolute = |name: &str, path| absolute(&format!("watch.influx.{name}"), path);
        let target = match (db, org, bucket, token_file) {
            (Some(db), None, None, None) => InfluxTarget::V1 {
                db,
                user: match (user, password_file) {
                    (None, None) => None,
                    (Some(user), Some(file)) => Some((user, absolute("password_file", file)?)),
                    _ => return wrong("'user' and 'password_file' go together"),
                },
            },
            (None, Some(org), Some(bucket), Some(file))
                if user.is_none() && password_file.is_none() =>
            {
                InfluxTarget::V2 {
                    org,
                    bucket,
                    token_file: absolute("token_file", file)?,
                }
            }
            _ => return wrong("say either 'db', or 'org', 'bucket' and 'token_file'"),
        };
        Ok(Some(Influx { url, target }))
    }
}

#[cfg(test)]
mod tests {
    use super::{Influx, InfluxSection, InfluxTarget, Outputs, check};
    use crate::config::ConfigError;

    fn outputs(listen: Option<&str>, influx: &str) -> Result<Outputs, ConfigError> {
        let section: InfluxSection = toml::from_str(influx).expect("the names are known");
        check(listen.map(str::to_owned), None, section)
    }

    #[test]
    fn listens_on_this_machine_alone_until_told_otherwise() {
        let listens = |said| {
            let outputs = outputs(said, "").expect("it is an address");
            outputs.listen.map(|address| address.to_string())
        };
        assert_eq!(listens(None).as_deref(), Some("127.0.0.1:9581"));
        assert_eq!(listens(Some("0.0.0.0:80")).as_deref(), Some("0.0.0.0:80"));
        assert_eq!(listens(Some("off")), None);
        outputs(Some("9581"), "").expect_err("it has no address");
    }

    #[test]
    fn a_database_is_of_version_one_or_two() {
        let url = "url = \"http://influx:8086\"\n";
        let influx = |text: &str| outputs(None, &(url.to_owned() + text)).map(|found| found.influx);
        let first = influx("db = \"mydb\"").expect("it is enough");
        let target = InfluxTarget::V1 {
            db: "mydb".to_owned(),
            user: None,
        };
        assert_eq!(
            first,
            Some(Influx {
                url: "http://influx:8086".to_owned(),
                target
            })
        );
        let second = influx("org = \"o\"\nbucket = \"b\"\ntoken_file = \"/t\"").expect("enough");
        assert!(matches!(
            second.map(|influx| influx.target),
            Some(InfluxTarget::V2 { .. })
        ));
        for wrong in [
            "",
            "org = \"o\"",
            "db = \"d\"\norg = \"o\"",
            "db = \"d\"\nuser = \"u\"",
        ] {
            influx(wrong).expect_err(wrong);
        }
        outputs(None, "db = \"d\"").expect_err("it has no url");
        outputs(None, "url = \"http://u:p@h\"\ndb = \"d\"").expect_err("a password is in it");
    }
}
