//! What runs: every container of this node, from the kernel's processes and mounts and the engines' files.
//!
//! Owns how the two are put together. What runs is the kernel's to say: a record is one of a running
//! container only where a process has its layers as root, so one that is stale or lies about its
//! process changes nothing. What a container is called, and which image it is of, is its engine's
//! record to say, bound by the code that judges a start. Nothing that runs is left out because it is
//! not understood: the reason then stands for its image. No engine is asked, no lock is taken, and
//! each file is read once.

mod docker;
mod monitor;
mod podman;
mod processes;
mod records;
mod states;
mod unexplained;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use self::monitor::Monitor;
use self::processes::{Inside, Table};
use self::records::{Index, Record, Records};
use self::states::State;
use self::unexplained::{nested, unrecorded};
use super::bundle::Bundle;
use super::{Declared, Engines, Image, declared};
use crate::sys::mount::{Location, Mounts};
use crate::sys::process::{self, Listed};
use crate::verdict::Undecided;

/// All that runs, and what could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Running {
    /// The containers, in the order in which they were started.
    pub containers: Vec<Container>,
    /// Files of engines that cannot be read: whoever is named there alone has no name here.
    pub unread: Vec<Undecided>,
    /// How many processes this one may not look into, as only root may.
    pub unseen: usize,
    /// Whether nothing was found because the processes cannot be listed.
    pub is_unlisted: bool,
}

/// A container whose first process is there, be it paused or not yet started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Whose it is.
    pub source: Source,
    /// The id that engine and runtime know it by; empty where nobody says it.
    pub id: String,
    /// The name that people know it by. Not to be trusted.
    pub name: Option<String>,
    /// What the user asked for. Not to be trusted.
    pub image_name: Option<String>,
    /// Its first process.
    pub init: u32,
    /// When that was started, in Unix seconds, by the kernel's word.
    pub started: u64,
    /// The same in the kernel's clock ticks, which tell it from any other process with its number: the
    /// seconds may be one more or less from one look to the next.
    pub ticks: u64,
    /// The image that its record names, bound to the layers that are mounted; else why it is not.
    pub image: Result<Image, Undecided>,
    /// Its shim or conmon, from where `runtime` is to be looked at.
    pub monitor: Option<u32>,
    /// The program that this calls as runtime.
    pub runtime: Option<PathBuf>,
}

/// Whose a container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Docker's.
    Docker,
    /// Podman's.
    Podman,
    /// A bundle of which root says in config.toml what image it is.
    Bundle,
    /// A step of an image build.
    Build,
    /// A user's own engine's, which is none of this node's: it is audited only.
    User,
    /// Nobody's whose root is listed: a client of containerd's own, another engine's, or by hand.
    Other,
    /// It has the layers of an engine of this node, which has no record of it.
    Unrecorded,
    /// It was made inside a container, where what is called like an engine's directory is another one.
    Nested,
}

impl Source {
    /// The stable name used in metrics and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Bundle => "bundle",
            Self::Build => "build",
            Self::User => "user",
            Self::Other => "other",
            Self::Unrecorded => "unrecorded",
            Self::Nested => "nested",
        }
    }
}

/// Finds all that runs. `now` is in Unix seconds.
#[must_use]
pub fn list(engines: &Engines, now: u64) -> Running {
    list_without(engines, &[], now)
}

/// Finds all that runs, and leaves out what has layers below `unreachable`: of these nothing can be
/// known, neither whose they are nor what is in them. `engines` has none of these directories.
#[must_use]
pub fn list_without(engines: &Engines, unreachable: &[PathBuf], now: u64) -> Running {
    let mut unread = Vec::new();
    let records = Records::read(engines, &mut unread);
    let table = Table::read(&mut unread);
    let index = records.index();
    let node = Node {
        states: states::read(&table, &index),
        declared: located(&engines.bundles),
        engines,
        unreachable,
        index,
        table: &table,
        now,
    };
    Running {
        containers: node.containers(&mut unread),
        unread,
        unseen: table.unseen,
        is_unlisted: table.is_unlisted,
    }
}

/// All that is known of the node.
struct Node<'a> {
    engines: &'a Engines,
    unreachable: &'a [PathBuf],
    index: Index<'a>,
    table: &'a Table,
    states: HashMap<u32, State>,
    declared: Vec<(Location, &'a Declared)>,
    now: u64,
}

/// What makes a process the first one of a container.
enum Sign<'a> {
    /// It has the layers of this record, or this record's monitor.
    Record(Record<'a>),
    /// Its root is that of a bundle that root declared.
    Declared(&'a Declared),
    /// A runtime has it.
    State(&'a State),
    /// Its parent watches containers.
    Monitor,
    /// Its parent does so for a user.
    UsersMonitor,
    /// It has layers of an engine of this node.
    Layers,
    /// It has layers that are called like those.
    Alias,
}

/// Whose layers a process has.
enum Layers<'a> {
    /// An engine's of this node, and those of this record where one names them.
    Engines(Option<Record<'a>>),
    /// What is there by that name is not what is mounted.
    Elsewhere,
    /// No engine's.
    None,
}

impl<'a> Node<'a> {
    fn containers(&self, unread: &mut Vec<Undecided>) -> Vec<Container> {
        let mut containers = Vec::new();
        let mut recorded = HashSet::new();
        let mut inits = Vec::new();
        // The oldest come first, so what was made inside a container comes after it.
        for inside in self.table.insides() {
            let mut inside = match inside {
                Ok(inside) => inside,
                Err(undecided) => {
                    unread.push(undecided);
                    continue;
                }
            };
            let monitor = Monitor::of(&inside, self.table);
            let is_ours = monitor.as_ref().is_some_and(|monitor| !monitor.is_users);
            if inside.upper.is_none() && (is_ours || self.states.contains_key(&inside.init.pid)) {
                inside = inside.seen_from_top(monitor.as_ref().map(|monitor| monitor.pid));
            }
            if inside.has_layer_below(self.unreachable) {
                inits.push((inside.init.pid, inside.root));
                continue;
            }
            let Some(sign) = self.sign(&inside, monitor.as_ref()) else {
                continue;
            };
            // A process of a container may have made itself a namespace with the same root.
            let is_new = match &sign {
                Sign::Record(record) => recorded.insert(record.id().to_owned()),
                _ => !self.is_copy(&inside, &inits),
            };
            if is_new {
                containers.push(self.container(&inside, &sign, monitor));
                inits.push((inside.init.pid, inside.root));
            }
        }
        let seen: HashSet<_> = inits.into_iter().map(|(pid, _)| pid).collect();
        containers.extend(self.without_mounts(&seen));
        containers
    }

    fn sign(&self, inside: &Inside, monitor: Option<&Monitor>) -> Option<Sign<'_>> {
        let layers = self.layers(inside);
        let record = match &layers {
            Layers::Engines(record) => *record,
            Layers::Elsewhere | Layers::None => None,
        };
        let by_monitor = || self.index.by_id(monitor?.id.as_deref()?);
        let is_nested = matches!(layers, Layers::Elsewhere);
        if let Some(record) = record.or_else(|| by_monitor().filter(|_| !is_nested)) {
            return Some(Sign::Record(record));
        }
        let mut declared = self.declared.iter();
        if let Some((_, declared)) = declared.find(|(root, _)| Some(root) == inside.root.as_ref()) {
            return Some(Sign::Declared(declared));
        }
        if let Some(state) = self.states.get(&inside.init.pid) {
            return Some(Sign::State(state));
        }
        match (layers, monitor) {
            (Layers::Elsewhere, _) => Some(Sign::Alias),
            (Layers::Engines(_), _) => Some(Sign::Layers),
            (Layers::None, Some(monitor)) if monitor.is_users => Some(Sign::UsersMonitor),
            (Layers::None, Some(_)) => Some(Sign::Monitor),
            (Layers::None, None) => None,
        }
    }

    /// Whose layers are mounted as a process's root.
    fn layers(&self, inside: &Inside) -> Layers<'_> {
        if let Some(place) = inside
            .upper
            .as_ref()
            .and_then(|upper| self.index.place(upper))
        {
            return match inside.has_upper(&place.path) {
                true => Layers::Engines(place.record),
                false => Layers::Elsewhere,
            };
        }
        // Somebody may have mounted an engine's layers below one of his own.
        let mut lowers = inside.lowers.iter();
        match lowers.find_map(|lower| self.index.place(lower)) {
            Some(place) if place.path.exists() => Layers::Engines(None),
            Some(_) => Layers::Elsewhere,
            None => Layers::None,
        }
    }

    /// Whether one of the containers that were found has the same root, and this process comes from it.
    fn is_copy(&self, inside: &Inside, inits: &[(u32, Option<Location>)]) -> bool {
        let same = inits.iter().filter(|(_, root)| *root == inside.root);
        let same: Vec<_> = same.map(|(pid, _)| *pid).collect();
        self.table.comes_from(&inside.init, &same)
    }

    fn container(&self, inside: &Inside, sign: &Sign<'_>, monitor: Option<Monitor>) -> Container {
        let state = self.states.get(&inside.init.pid);
        let said = state.map(|state| state.id.clone());
        let said = said.or_else(|| monitor.as_ref()?.id.clone());
        let mut container = Container {
            source: Source::Other,
            id: said.unwrap_or_default(),
            name: None,
            image_name: None,
            init: inside.init.pid,
            started: self.started(&inside.init),
            ticks: inside.init.started,
            image: Err(super::no_engine(
                (inside.root.as_ref()).map_or_else(|| Path::new("/"), |root| &root.inside),
            )),
            monitor: monitor.as_ref().map(|monitor| monitor.pid),
            runtime: monitor.and_then(|monitor| monitor.runtime),
        };
        match sign {
            Sign::Record(record) => {
                container.source = record.source();
                record.id().clone_into(&mut container.id);
                container.name = record.name();
                container.image_name = record.image_name();
                container.image = record.image(&inside.view);
            }
            Sign::Declared(declared) => {
                container.source = Source::Bundle;
                container.image = self.declared(&container.id, declared);
            }
            Sign::State(state) => (container.source, container.image) = self.of_state(state),
            Sign::Layers => {
                container.source = Source::Unrecorded;
                container.image = Err(unrecorded(inside));
            }
            Sign::Alias => {
                container.source = Source::Nested;
                container.image = Err(nested(inside));
            }
            Sign::UsersMonitor => container.source = Source::User,
            Sign::Monitor => {}
        }
        container
    }

    fn declared(&self, id: &str, declared: &Declared) -> Result<Image, Undecided> {
        let bundle = Bundle::read(&declared.path)?;
        declared::identify(id, bundle, declared.config, self.engines).map(Image::from)
    }

    fn of_state(&self, state: &State) -> (Source, Result<Image, Undecided>) {
        // The bundle may be gone by now; its place says enough.
        let rootfs = Bundle::read(&state.bundle)
            .map_or_else(|_| state.bundle.join("rootfs"), |bundle| bundle.rootfs());
        match super::docker::is_build(&rootfs, &self.engines.docker_roots) {
            true => (Source::Build, Err(super::build_step())),
            false => (Source::Other, Err(super::no_engine(&rootfs))),
        }
    }

    /// The containers that a runtime has in the node's own mount namespace, where its root is no mount of its own.
    fn without_mounts(&self, seen: &HashSet<u32>) -> Vec<Container> {
        let own = processes::nodes_own();
        let states = self.states.values();
        let left = states.filter(|state| !seen.contains(&state.pid));
        left.filter_map(|state| {
            let init = self.table.get(state.pid)?;
            let (source, image) = self.of_state(state);
            init.mounts.filter(|mounts| own.contains(mounts))?;
            Some(Container {
                source,
                id: state.id.clone(),
                name: None,
                image_name: None,
                init: init.pid,
                started: self.started(init),
                ticks: init.started,
                image,
                monitor: None,
                runtime: None,
            })
        })
        .collect()
    }

    fn started(&self, init: &Listed) -> u64 {
        // What has no age has just begun.
        let age = process::age_of(init.started).unwrap_or_default();
        self.now.saturating_sub(age)
    }
}

/// Where the root file systems of declared bundles are, as far as they are there.
fn located(bundles: &[Declared]) -> Vec<(Location, &Declared)> {
    let mounts = Mounts::ask();
    let locate = |declared: &Declared| {
        let rootfs = Bundle::read(&declared.path).ok()?.rootfs();
        mounts.locate(&rootfs.canonicalize().ok()?).ok()
    };
    let located = bundles
        .iter()
        .filter_map(|declared| Some((locate(declared)?, declared)));
    located.collect()
}
