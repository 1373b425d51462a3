//! The slow lane: the layers of what runs are read again, one at a time, in nobody's way.
//!
//! Owns when which image is due, and which layers were found to be others than were unpacked; both are
//! kept in the watch's own directory, so that a restart neither reads all of it again nor takes a finding
//! back. How a layer is compared is `deep`'s; what it means for a container, the look's.

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::sweep::Layers;
use crate::deep::{Cancelled, Check, Checked, Differences, Memory, Outcome, check_layer};
use crate::engine::Engines;
use crate::engine::unpacked::{self, Image, Layer, Store};
use crate::image::digest::Digest;
use crate::sys::file::{read_owned, replace};
use crate::sys::{clock, priority};
use crate::verdict::{Reason, ReasonCode};

/// The name of the form of the findings; another one is none.
const SCHEMA: &str = "vcn-hook/differing/v1";

/// Tens of thousands of findings.
const MAX_SIZE: u64 = 16 << 20;

/// How often it is looked whether something is due.
const PAUSE: Duration = Duration::from_secs(60);

/// As many differences as a sentence has room for.
const NAMED: usize = 3;

/// The images that run, by their engine and config.
pub type Images = BTreeMap<(Store, Digest), Image>;

/// The images that run, and what was found of their layers.
#[derive(Debug)]
pub struct Slow {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// The watch's own directory.
    directory: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
    ended: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    engines: Engines,
    running: BTreeMap<(Store, Digest), Running>,
    /// What is wrong with the layers that differ, by their directories.
    differing: BTreeMap<PathBuf, String>,
    /// How often each is to be read; `None` before that is begun.
    every: Option<Duration>,
    /// Whether something was found since anybody asked.
    news: bool,
}

/// An image that runs.
#[derive(Debug)]
struct Running {
    image: Image,
    /// When it was read last, or else first seen.
    since: Instant,
    /// Whether the layers in these directories could be compared; empty where none was found, and `None`
    /// before it is read.
    layers: Option<BTreeMap<PathBuf, bool>>,
}

impl Running {
    /// How long it has been due, if it is.
    fn wait(&self, every: Duration) -> Option<Duration> {
        let age = self.since.elapsed();
        match self.layers {
            None => Some(age),
            Some(_) => age.checked_sub(every),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Stored {
    schema: String,
    layers: BTreeMap<PathBuf, String>,
}

impl Slow {
    /// Takes what was found before from the watch's own directory. Nothing is read yet.
    #[must_use]
    pub fn of(directory: &Path) -> Self {
        let bytes = read_owned(&findings(directory), MAX_SIZE).unwrap_or_default();
        let stored: Option<Stored> = serde_json::from_slice(&bytes).ok();
        let stored = stored.filter(|stored| stored.schema == SCHEMA);
        let state = State {
            differing: stored.map(|stored| stored.layers).unwrap_or_default(),
            ..State::default()
        };
        Self {
            shared: Arc::new(Shared {
                directory: directory.to_owned(),
                state: Mutex::new(state),
                changed: Condvar::new(),
                ended: AtomicBool::new(false),
            }),
        }
    }

    /// Begins to read what is due, each image as often as `every`, until this is dropped.
    ///
    /// # Errors
    /// The operating system's, when there can be no thread.
    pub fn begin(&self, every: Duration) -> io::Result<()> {
        self.shared.lock().every = Some(every);
        let shared = Arc::clone(&self.shared);
        let work = move || {
            // Without it the work is the same, and in somebody's way.
            let _ = priority::lower();
            shared.work(every);
        };
        // Nobody waits for its end: it may hang on a disk, and whatever it writes is whole.
        let thread = std::thread::Builder::new().name("layers".to_owned());
        thread.spawn(work).map(drop)
    }

    /// Takes what runs now.
    pub fn feed(&self, engines: &Engines, images: Images) {
        let mut state = self.shared.lock();
        state.engines = engines.clone();
        state.running.retain(|key, _| images.contains_key(key));
        for (key, image) in images {
            let running = state.running.entry(key).or_insert_with(|| Running {
                image,
                since: Instant::now(),
                layers: None,
            });
            running.image = image;
        }
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Why one of these layers is not what was unpacked, if one is not.
    #[must_use]
    pub fn differing(&self, directories: &[PathBuf]) -> Option<Reason> {
        let state = self.shared.lock();
        let mut found = directories.iter();
        let detail = found.find_map(|directory| state.differing.get(directory))?;
        let hint = "find out who changed it; remove the image, and pull it again";
        Some(Reason::new(ReasonCode::LayerDiffers, detail.clone(), hint))
    }

    /// What was found of the layers of what runs; `None` where they are not read.
    #[must_use]
    pub fn layers(&self) -> Option<Layers> {
        let state = self.shared.lock();
        let every = state.every?;
        let read = state.running.values();
        let read = read.filter_map(|running| running.layers.as_ref());
        // Of an image whose layers were not found nothing is known but that.
        let not_found = read.clone().filter(|layers| layers.is_empty()).count();
        let mut layers: BTreeMap<_, _> = read.flatten().collect();
        // What was found to differ stays so until it is found intact.
        let all = layers.len();
        layers.retain(|directory, _| !state.differing.contains_key(*directory));
        let differing = all - layers.len();
        let undecidable = layers.values().filter(|compared| !**compared).count();
        let waits = state.running.values();
        let waits: Vec<Duration> = waits.filter_map(|running| running.wait(every)).collect();
        Some(Layers {
            intact: layers.len() - undecidable,
            differing,
            undecidable: undecidable + not_found,
            images_unread: waits.len(),
            longest_wait: waits.into_iter().max().unwrap_or_default(),
        })
    }

    /// Whether something was found since this was last asked.
    #[must_use]
    pub fn has_news(&self) -> bool {
        std::mem::take(&mut self.shared.lock().news)
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        // Not between the thread's look at this and its wait.
        let state = self.shared.lock();
        self.shared.ended.store(true, Ordering::Relaxed);
        drop(state);
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is one call, so that a thread that panicked leaves a state that is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    fn work(&self, every: Duration) {
        let mut state = self.lock();
        while !self.is_ended() {
            state = match state.due(every) {
                Some((engines, store, image)) => {
                    drop(state);
                    let Ok(layers) = self.read(&engines, store, &image) else {
                        return;
                    };
                    let mut state = self.lock();
                    state.was_read(&(store, image.config), layers);
                    state
                }
                None => {
                    let waited = self.changed.wait_timeout(state, PAUSE);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Reads every layer of an image that is not what it was when it was found intact, and says which
    /// could be compared.
    fn read(
        &self,
        engines: &Engines,
        store: Store,
        image: &Image,
    ) -> Result<BTreeMap<PathBuf, bool>, Cancelled> {
        let path = self.directory.join("intact.json");
        // What is not found has no layers that could be read, and is counted as such.
        let stacks = unpacked::image(engines, store, image).unwrap_or_default();
        let mut seen = BTreeMap::new();
        let mut memory = Memory::open(&path);
        let progress = |_: u64| match self.is_ended() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        for layer in stacks.into_iter().flatten() {
            if seen.contains_key(&layer.directory) {
                continue;
            }
            let check = Check {
                memory: Some(&memory),
                now: clock::now(),
                progress: &progress,
            };
            let checked = check_layer(&layer, check)?;
            self.learn(&layer, &checked);
            let is_compared = !matches!(checked.outcome, Outcome::Undecidable(_));
            seen.insert(layer.directory.clone(), is_compared);
            if checked.remembered {
                continue;
            }
            match (&checked.fingerprint, &checked.outcome) {
                (Some(fingerprint), _) => memory.remember(&layer, fingerprint),
                (None, Outcome::Intact) => continue,
                (None, Outcome::Differs(_) | Outcome::Undecidable(_)) => memory.forget(&layer),
            }
            // After each, as a layer takes its time. What cannot be remembered is read again.
            let _ = memory.save(&path);
        }
        Ok(seen)
    }

    fn learn(&self, layer: &Layer, checked: &Checked) {
        let mut state = self.lock();
        let is_news = match &checked.outcome {
            Outcome::Differs(differences) => {
                let text = sentence(layer, differences);
                let before = state.differing.insert(layer.directory.clone(), text);
                before.is_none()
            }
            Outcome::Intact => state.differing.remove(&layer.directory).is_some(),
            // It says neither that it is, nor that it is not.
            Outcome::Undecidable(_) => return,
        };
        state.news |= is_news;
        if checked.outcome == Outcome::Intact && !is_news {
            return;
        }
        let is_there = |directory: &Path| std::fs::symlink_metadata(directory).is_ok();
        let mut layers = state.differing.clone();
        drop(state);
        layers.retain(|directory, _| is_there(directory));
        let stored = Stored {
            schema: SCHEMA.to_owned(),
            layers,
        };
        // What cannot be kept is found again after a restart.
        if let Ok(bytes) = serde_json::to_vec(&stored) {
            let _ = replace(&findings(&self.directory), &bytes, 0o600);
        }
    }
}

impl State {
    /// Notes what was found of an image, if it still runs.
    fn was_read(&mut self, key: &(Store, Digest), layers: BTreeMap<PathBuf, bool>) {
        if let Some(running) = self.running.get_mut(key) {
            running.since = Instant::now();
            running.layers = Some(layers);
        }
    }

    /// One image that is due.
    fn due(&self, every: Duration) -> Option<(Engines, Store, Image)> {
        let mut running = self.running.iter();
        let ((store, _), due) = running.find(|(_, running)| running.wait(every).is_some())?;
        Some((self.engines.clone(), *store, due.image))
    }
}

fn findings(directory: &Path) -> PathBuf {
    directory.join("differing.json")
}

fn sentence(layer: &Layer, differences: &Differences) -> String {
    let first = differences.first.iter().take(NAMED);
    let mut named: Vec<_> = first
        .map(|found| format!("{} ({})", found.path, found.what.as_str()))
        .collect();
    match differences.count.saturating_sub(named.len()) {
        0 => {}
        more => named.push(format!("{more} more")),
    }
    format!(
        "layer {} in '{}' is not what was unpacked: {}",
        layer.diff_id,
        layer.directory.display(),
        named.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::{Image, Slow, Store};
    use crate::engine::Engines;
    use crate::image::digest::{ChainId, Digest};

    #[test]
    fn whatever_is_not_known_to_be_intact_is_counted_as_something_else() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let slow = Slow::of(directory.path());
        let image = |name: &str| {
            let config = Digest::of(name.as_bytes());
            let chain = ChainId::of_layers(&[config]).expect("it has a layer");
            let image = Image {
                config,
                chain,
                manifest: None,
            };
            ((Store::Docker, config), image)
        };
        let (found, lost, unread) = (image("found"), image("lost"), image("unread"));
        slow.feed(&Engines::default(), [found, lost, unread].into());
        assert_eq!(slow.layers(), None, "nothing is read");

        let mut state = slow.shared.lock();
        state.every = Some(Duration::from_secs(3600));
        state.differing.insert("/differs".into(), String::new());
        let layers = [("/intact", true), ("/differs", true), ("/odd", false)];
        let layers = layers.map(|(path, compared)| (path.into(), compared));
        state.was_read(&found.0, layers.into());
        state.was_read(&lost.0, BTreeMap::new());
        drop(state);
        let counted = slow.layers().expect("they are read");
        assert_eq!((counted.intact, counted.differing), (1, 1));
        // That odd one, and the image without a layer to be found.
        assert_eq!((counted.undecidable, counted.images_unread), (2, 1));

        slow.feed(&Engines::default(), [unread].into());
        let counted = slow.layers().expect("they are read");
        assert_eq!((counted.intact, counted.undecidable), (0, 0));
        assert_eq!(counted.images_unread, 1);
    }
}
