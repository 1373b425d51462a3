//! Many containers of one image, which do nothing.

use super::daemon::Daemon;
use std::ops::Range;

/// Starts them, four at a time.
pub fn start(daemon: &Daemon, tag: &str, which: Range<usize>) {
    std::thread::scope(|scope| {
        for lane in 0..4 {
            let which = which.clone().skip(lane).step_by(4);
            scope.spawn(move || {
                for n in which {
                    let name = format!("n{n}");
                    let words = ["run", "-d", "--network=none", "--name", &name];
                    let entry = ["--entrypoint", "/bin/sleep", tag, "100000"];
                    daemon.docker(&[&words[..], &entry].concat()).ok();
                }
            });
        }
    });
}
