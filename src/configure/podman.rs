//! Podman: its names for runc and crun lead to us, and a hook calls us once more.
//!
//! Owns the two files that we add to Podman's settings, and what of the others decides whether they
//! count. Both files are wholly ours. A user's own Podman reads them too, and is audited only.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::change::Change;
use super::edit::{Before, Edit, MAX_SETTINGS, read};
use super::error::ConfigureError;
use super::places::Places;
use super::record::Record;
use super::{Note, Plan, Target, links};
use crate::engine::RuntimeKind;
use crate::gate::real;
use crate::policy::gatebin::GateBin;
use crate::sys::file;

const KINDS: [RuntimeKind; 2] = [RuntimeKind::Runc, RuntimeKind::Crun];

/// The hook as it is shipped, for a program at the usual place.
const HOOK: &str = include_str!("../../hooks/50-vcn-hook.json");

/// The program that the shipped hook names.
const HOOK_PROGRAM: &str = "\"/usr/local/bin/vcn-hook\"";

/// The most files read of one directory of fragments.
const MAX_FRAGMENTS: usize = 256;

/// Plans what puts us behind Podman's names.
pub(super) fn plan(places: &Places, gate: &GateBin) -> Result<Plan, ConfigureError> {
    if places.find("podman").is_none() {
        let text = "there is no podman on this machine";
        return Err(ConfigureError::Unfit(text.to_owned()));
    }
    let others = Settings::read(places, Some(&drop_in(places)))?;
    for kind in KINDS {
        others.check(kind, places, gate)?;
    }
    let mut changes = links::missing(places);
    for (path, new) in files(places, &others) {
        let old = read(&path)?;
        if old.as_ref() != Some(&new) {
            changes.extend(path.parent().into_iter().flat_map(links::directories));
            changes.push(Change::Edit(Edit {
                path,
                old,
                new: Some(new),
                // What has our name is ours.
                before: Before::Drop,
            }));
        }
    }
    Ok(Plan {
        target: Target::Podman,
        puts_in: true,
        changes,
        notes: others.beside().map(Note::Beside).collect(),
    })
}

/// Plans what takes our files away.
pub(super) fn plan_undo(places: &Places, record: Option<&Record>) -> Result<Plan, ConfigureError> {
    // Other settings may be broken by now: then the hook is where it usually is.
    let others = Settings::read(places, Some(&drop_in(places))).unwrap_or_default();
    let ours = files(places, &others);
    let recorded = record
        .into_iter()
        .flat_map(|record| record.files.iter().map(|file| &file.path));
    let mut paths: Vec<PathBuf> = ours.iter().map(|(path, _)| path.clone()).collect();
    for path in recorded {
        if !paths.contains(path) {
            paths.push(path.clone());
        }
    }
    let mut changes = Vec::new();
    let mut notes = Vec::new();
    for path in paths {
        let written = record.and_then(|record| record.written(&path));
        let wrote = |_: Option<&[u8]>| {
            let file = ours.iter().filter(|(ours, _)| *ours == path);
            file.map(|(_, bytes)| bytes.clone()).collect()
        };
        let without = |now: &[u8], _: Option<&[u8]>| Ok(without(&path, now, places));
        if let Some((edit, is_changed)) = Edit::undoing(&path, written, wrote, without)? {
            notes.extend(is_changed.then(|| Note::Changed(path.clone())));
            changes.push(Change::Edit(edit));
        }
    }
    Ok(Plan {
        target: Target::Podman,
        puts_in: false,
        changes,
        notes,
    })
}

/// The file that says which program a runtime's name means.
pub(super) fn drop_in(places: &Places) -> PathBuf {
    places.containers.join("containers.conf.d/50-vcn-hook.conf")
}

/// Whether it says so still.
pub(super) fn is_ours(drop_in: &Path, places: &Places) -> bool {
    places.are_named_in(drop_in)
}

/// Both files, and what is in them.
fn files(places: &Places, others: &Settings) -> [(PathBuf, Vec<u8>); 2] {
    let line = |kind| format!("{} = [{}]\n", name(kind), quoted(&places.gate(kind)));
    let conf = format!(
        "# By 'vcn-hook configure --runtime podman'; 'vcn-hook unconfigure' removes it.\n[engine.runtimes]\n{}{}",
        line(RuntimeKind::Runc),
        line(RuntimeKind::Crun)
    );
    let hook = HOOK.replace(HOOK_PROGRAM, &quoted(&places.program));
    [
        (drop_in(places), conf.into_bytes()),
        (hook_file(places, others), hook.into_bytes()),
    ]
}

/// The file that has Podman call us as a hook.
pub(super) fn hook_file(places: &Places, others: &Settings) -> PathBuf {
    let directory = others.hooks_dirs().pop();
    let directory = directory.unwrap_or_else(|| places.containers_share.join("oci/hooks.d"));
    directory.join("50-vcn-hook.json")
}

/// As JSON has it, and TOML too.
fn quoted(path: &Path) -> String {
    serde_json::Value::from(path.display().to_string()).to_string()
}

const fn name(kind: RuntimeKind) -> &'static str {
    kind.as_str()
}

/// A file of ours that somebody changed, without what is ours: of the hook nothing is left.
fn without(path: &Path, now: &[u8], places: &Places) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(now).ok()?;
    if path
        .extension()
        .is_some_and(|extension| extension == "json")
    {
        return None;
    }
    let ours = format!("{}", places.libexec.join("gate").display());
    let rest: Vec<_> = text.lines().filter(|line| !line.contains(&ours)).collect();
    let says = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with(['#', '[']);
    rest.iter()
        .any(says)
        .then(|| (rest.join("\n") + "\n").into_bytes())
}

/// Podman's settings, one file laid over the other as Podman does.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    engine: Table,
}

impl Settings {
    /// Reads them, but for one file.
    ///
    /// # Errors
    /// [`ConfigureError`] for a file that cannot be read, or is not what Podman takes.
    pub fn read(places: &Places, except: Option<&Path>) -> Result<Self, ConfigureError> {
        let mut settings = Self::default();
        for path in sources(places)? {
            if Some(path.as_path()) == except {
                continue;
            }
            match file::read_capped(&path, MAX_SETTINGS) {
                Ok(bytes) => {
                    let malformed = |why| ConfigureError::Malformed(path.clone(), why);
                    settings.lay_over(&bytes).map_err(malformed)?;
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(ConfigureError::Io(path, error)),
            }
        }
        Ok(settings)
    }

    fn lay_over(&mut self, bytes: &[u8]) -> Result<(), String> {
        let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
        let mut table: Table = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.unwrap_or_default().matches('\n').count() + 1;
            format!("line {line}: {}", error.message())
        })?;
        let Some(Value::Table(engine)) = table.remove("engine") else {
            return Ok(());
        };
        for (key, value) in engine {
            match (self.engine.get_mut(&key), value) {
                (Some(Value::Table(below)), Value::Table(above)) => below.extend(above),
                (_, value) => {
                    self.engine.insert(key, value);
                }
            }
        }
        Ok(())
    }

    /// The programs that a runtime's name means: the first one that is there is called.
    #[must_use]
    pub fn programs(&self, name: &str) -> Vec<PathBuf> {
        let runtimes = self.engine.get("runtimes").and_then(Value::as_table);
        strings(runtimes.and_then(|runtimes| runtimes.get(name)))
    }

    /// Every name that is given to a runtime.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let runtimes = self.engine.get("runtimes").and_then(Value::as_table);
        runtimes
            .into_iter()
            .flat_map(Table::keys)
            .map(String::as_str)
    }

    /// The runtime that is used when nobody says which: a name, or a path.
    #[must_use]
    pub fn default_runtime(&self) -> Option<&str> {
        self.engine.get("runtime").and_then(Value::as_str)
    }

    /// Where hooks are looked for, if Podman is told.
    #[must_use]
    pub fn hooks_dirs(&self) -> Vec<PathBuf> {
        strings(self.engine.get("hooks_dir"))
    }

    /// Whether the gate would run the program that Podman runs under this name now.
    fn check(
        &self,
        kind: RuntimeKind,
        places: &Places,
        gate: &GateBin,
    ) -> Result<(), ConfigureError> {
        let programs = self.programs(name(kind));
        let found = programs.iter().find(|path| path.is_file());
        let Some(found) = found.filter(|path| !path.starts_with(&places.libexec)) else {
            return Ok(());
        };
        let configured = match kind {
            RuntimeKind::Runc => &gate.runtimes.runc,
            RuntimeKind::Crun => &gate.runtimes.crun,
        };
        let real = real::find(kind, Some(configured));
        let canonical = |path: &Path| std::fs::canonicalize(path).ok();
        let leads_to_us = canonical(found) == canonical(&places.program);
        if leads_to_us || real.as_deref().and_then(canonical) == canonical(found) {
            return Ok(());
        }
        Err(ConfigureError::Unfit(format!(
            "Podman's {0} is '{1}', and the gate would run '{2}': say [runtime] {0} = \"{1}\" in \
             config.toml, run 'vcn-hook apply', then try again",
            name(kind),
            found.display(),
            real.unwrap_or_default().display()
        )))
    }

    /// The runtime that Podman uses when nobody says which, if it is not behind our names.
    fn beside(&self) -> impl Iterator<Item = String> {
        let default = self.default_runtime();
        let is_ours =
            |default: &&str| KINDS.iter().any(|kind| name(*kind) == *default) || default.is_empty();
        default
            .filter(|default| !is_ours(default))
            .map(str::to_owned)
            .into_iter()
    }
}

fn strings(value: Option<&Value>) -> Vec<PathBuf> {
    let list = value.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|value| value.as_str().map(PathBuf::from))
        .collect()
}

/// In the order in which Podman reads them, the strongest last.
fn sources(places: &Places) -> Result<Vec<PathBuf>, ConfigureError> {
    let mut sources = Vec::new();
    for directory in [&places.containers_share, &places.containers] {
        sources.push(directory.join("containers.conf"));
        let fragments = directory.join("containers.conf.d");
        let entries = match std::fs::read_dir(&fragments) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(ConfigureError::Io(fragments, error)),
        };
        let entries = entries.flatten().map(|entry| entry.path());
        let mut entries: Vec<_> = entries
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "conf")
            })
            .take(MAX_FRAGMENTS)
            .collect();
        entries.sort();
        sources.extend(entries);
    }
    Ok(sources)
}

/// The graph root of Podman's that `[engines]` does not name: nothing there has an identity.
pub(super) fn unlisted_roots<'a>(
    places: &Places,
    gate: &'a GateBin,
) -> impl Iterator<Item = PathBuf> + use<'a> {
    let paths =
        [&places.containers_share, &places.containers].map(|path| path.join("storage.conf"));
    let read = |path: &PathBuf| {
        let bytes = file::read_capped(path, MAX_SETTINGS).ok()?;
        let table: Table = toml::from_str(std::str::from_utf8(&bytes).ok()?).ok()?;
        let root = table.get("storage")?.get("graphroot")?.as_str()?;
        Some(PathBuf::from(root))
    };
    let root = paths.iter().filter_map(read).next_back();
    root.into_iter()
        .filter(|root| root.exists() && !gate.engines.storage_roots.contains(root))
}

#[cfg(test)]
mod tests {
    use super::{PathBuf, Settings, without};
    use crate::configure::Places;

    #[test]
    fn later_settings_lie_over_earlier_ones_name_by_name() {
        let mut settings = Settings::default();
        for text in [
            "[containers]\nx = 1\n[engine]\nruntime = \"crun\"\nhooks_dir = [\"/a\", \"/b\"]\n",
            "[engine.runtimes]\nrunc = [\"/1\", \"/2\"]\nkata = [\"/k\"]\n",
            "[engine]\nruntime = \"kata\"\n[engine.runtimes]\nrunc = [\"/3\"]\n",
        ] {
            settings.lay_over(text.as_bytes()).unwrap();
        }
        let paths = |list: &[&str]| list.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(settings.programs("runc"), paths(&["/3"]));
        assert_eq!(settings.programs("kata"), paths(&["/k"]));
        assert_eq!(settings.hooks_dirs(), paths(&["/a", "/b"]));
        assert_eq!(settings.beside().collect::<Vec<_>>(), ["kata"]);
        let broken = settings.lay_over(b"[engine]\nruntime = \n");
        assert!(broken.unwrap_err().starts_with("line 2: "));
    }

    #[test]
    fn what_somebody_added_to_our_file_stays() {
        let places = Places::of_machine("/usr/bin/vcn-hook".into());
        let conf = |more: &str| {
            format!("[engine.runtimes]\nrunc = [\"/usr/libexec/vcn-hook/gate/runc\"]\n{more}")
        };
        let path = PathBuf::from("/x.conf");
        assert_eq!(without(&path, conf("").as_bytes(), &places), None);
        assert_eq!(
            without(&path, conf("kata = [\"/k\"]\n").as_bytes(), &places),
            Some(b"[engine.runtimes]\nkata = [\"/k\"]\n".to_vec())
        );
        assert_eq!(without(&PathBuf::from("/x.json"), b"{}", &places), None);
    }
}
