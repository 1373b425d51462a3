//! Which engines' directories answer: one on a disk that hangs must not stop the look at the others.
//!
//! Owns the deadline, and that no thread is sent after one that has not come back.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::engine::Engines;
use crate::verdict::{Reason, ReasonCode};

/// A local directory answers at once, and one that is waited for longer has hung.
const PATIENCE: Duration = Duration::from_secs(3);

/// Often enough for a directory that answers at once not to be waited for.
const STEP: Duration = Duration::from_millis(1);

/// More than engines have directly in their directories.
const MOST: usize = 100;

/// The threads that were sent to look and have not come back.
#[derive(Debug, Default)]
pub(super) struct Reach {
    sent: HashMap<PathBuf, JoinHandle<Option<PathBuf>>>,
    /// Where the directories really are, as mounts call them, of those that have answered.
    real: HashMap<PathBuf, PathBuf>,
}

impl Reach {
    /// Leaves out of `engines` the directories that do not answer, says so, and says where they are.
    pub(super) fn keep_reachable(
        &mut self,
        engines: &mut Engines,
        troubles: &mut Vec<Reason>,
    ) -> Vec<PathBuf> {
        let Engines {
            docker_roots,
            containerd_roots,
            storage_roots,
            ..
        } = engines;
        let roots = [docker_roots, containerd_roots, storage_roots];
        for root in roots.iter().flat_map(|roots| roots.iter()) {
            self.send(root);
        }
        self.wait();
        let mut left_out = Vec::new();
        for roots in roots {
            roots.retain(|root| {
                let hangs = self.sent.contains_key(root);
                if hangs {
                    troubles.push(hung(root));
                    left_out.extend(self.real.get(root).cloned());
                    left_out.push(root.clone());
                }
                !hangs
            });
        }
        left_out
    }

    fn send(&mut self, root: &Path) {
        if self.sent.contains_key(root) {
            return;
        }
        let path = root.to_owned();
        let look = move || {
            // What they say is for the look itself to find out; here they only have to say something.
            // Any of them may be a disk of its own.
            let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
            for entry in entries.take(MOST) {
                let _ = std::fs::read_dir(entry.path()).map(|mut entries| entries.next().is_some());
            }
            path.canonicalize().ok()
        };
        // Without a thread the look goes on as if it had answered.
        if let Ok(thread) = std::thread::Builder::new().spawn(look) {
            self.sent.insert(root.to_owned(), thread);
        }
    }

    fn wait(&mut self) {
        let begun = Instant::now();
        loop {
            let answered = self.sent.extract_if(|_, thread| thread.is_finished());
            for (root, thread) in answered {
                if let Ok(Some(real)) = thread.join() {
                    self.real.insert(root, real);
                }
            }
            if self.sent.is_empty() || begun.elapsed() > PATIENCE {
                return;
            }
            std::thread::sleep(STEP);
        }
    }
}

fn hung(root: &Path) -> Reason {
    let detail = format!(
        "'{}' does not answer, and nothing of it was looked at",
        root.display()
    );
    let hint = "see what the disk or the network under it does";
    Reason::new(ReasonCode::Unreadable, detail, hint)
}

#[cfg(test)]
mod tests {
    use super::Reach;
    use crate::engine::Engines;

    #[test]
    fn what_answers_stays_and_so_does_what_is_not_there() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut engines = Engines {
            docker_roots: vec![directory.path().to_owned(), "/none".into()],
            storage_roots: vec![directory.path().join("none")],
            ..Engines::default()
        };
        let before = engines.clone();
        let mut troubles = Vec::new();
        let mut reach = Reach::default();
        let left_out = reach.keep_reachable(&mut engines, &mut troubles);
        assert!(left_out.is_empty());
        assert_eq!((engines, troubles), (before, Vec::new()));
    }

    #[test]
    fn what_hangs_is_left_out_by_all_its_names_and_said_once() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (real, link) = (directory.path().join("real"), directory.path().join("link"));
        std::fs::create_dir(&real).expect("it is new");
        std::os::unix::fs::symlink(&real, &link).expect("it is new");
        let engines = Engines {
            docker_roots: vec![link.clone(), directory.path().to_owned()],
            ..Engines::default()
        };
        let mut reach = Reach::default();
        reach.keep_reachable(&mut engines.clone(), &mut Vec::new());
        // A fake: a thread that has not come back stands for one that hangs on a disk.
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let hangs = std::thread::spawn(move || ended.recv().ok().and(None));
        reach.sent.insert(link.clone(), hangs);
        let (mut left, mut troubles) = (engines, Vec::new());
        let left_out = reach.keep_reachable(&mut left, &mut troubles);
        assert_eq!(left_out, [real.canonicalize().expect("it is there"), link]);
        assert_eq!((left.docker_roots.len(), troubles.len()), (1, 1));
        drop(end);
    }
}
