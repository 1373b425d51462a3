//! Taking connections: how many at once, and until when.
//!
//! Owns the bound on threads (one for each connection) and the end: no new
//! connection, no new request, and every answer that is owed.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, Scope};
use std::time::Duration;

use nix::sys::socket;

/// Connections at once, unless somebody says fewer; more wait in the kernel's queue.
pub(crate) const MAX_CONNECTIONS: usize = 128;

/// A thread reads heads and small files, and holds no more than a page of either on its stack.
const STACK: usize = 256 * 1024;

/// How long to wait when the kernel has no descriptor or no thread left to give.
const BREATH: Duration = Duration::from_millis(50);

/// What a connection looks at while it has nothing to do.
pub(crate) trait Attention: Sync {
    /// True when the connection should end as soon as nothing is owed to its client.
    fn is_wanted_elsewhere(&self) -> bool;
}

/// Ends a server from another thread.
#[derive(Debug, Clone)]
pub struct Stop(Arc<Door>);

#[derive(Debug)]
struct Door {
    listener: TcpListener,
    /// Connections at once.
    most: usize,
    stopping: AtomicBool,
    /// Somebody waits for a connection to end.
    crowded: AtomicBool,
    open: Mutex<usize>,
    left: Condvar,
}

impl Stop {
    /// Takes over a socket that listens.
    #[must_use]
    pub fn new(listener: TcpListener) -> Self {
        Self::at_most(MAX_CONNECTIONS, listener)
    }

    /// Takes over a socket that listens, for so many connections at once.
    #[must_use]
    pub fn at_most(most: usize, listener: TcpListener) -> Self {
        Self(Arc::new(Door {
            listener,
            most,
            stopping: AtomicBool::new(false),
            crowded: AtomicBool::new(false),
            open: Mutex::new(0),
            left: Condvar::new(),
        }))
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The operating system's.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.listener.local_addr()
    }

    /// Ends it: what was asked is answered, nothing else is taken.
    pub fn stop(&self) {
        self.0.stopping.store(true, Ordering::SeqCst);
        // Wakes whoever waits for a connection; without it the next connection would.
        let _ = socket::shutdown(self.0.listener.as_raw_fd(), socket::Shutdown::Both);
        // Held for a moment, so that nobody is between looking and waiting.
        drop(self.0.open.lock());
        self.0.left.notify_all();
    }

    /// Says whether it was ended.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.0.stopping.load(Ordering::SeqCst)
    }

    /// Takes connections until the end, and has each one served by a thread of its own.
    pub(crate) fn accept<'scope, 'env>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
        serve: impl Fn(TcpStream) + Clone + Send + 'scope,
    ) {
        while self.enter() {
            let taken = self.0.listener.accept();
            let place = Place(&self.0);
            let stream = match taken {
                Ok((stream, _)) if !self.is_stopping() => stream,
                Ok((stream, _)) => {
                    let _ = stream.shutdown(Shutdown::Both);
                    continue;
                }
                Err(_) if self.is_stopping() => continue,
                Err(_) => {
                    thread::sleep(BREATH);
                    continue;
                }
            };
            let serve = serve.clone();
            let begun = thread::Builder::new()
                .stack_size(STACK)
                .spawn_scoped(scope, move || {
                    serve(stream);
                    drop(place);
                });
            if begun.is_err() {
                thread::sleep(BREATH);
            }
        }
    }

    /// Waits for room for one more connection. False at the end.
    fn enter(&self) -> bool {
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        while *open >= self.0.most && !self.is_stopping() {
            self.0.crowded.store(true, Ordering::SeqCst);
            open = self
                .0
                .left
                .wait(open)
                .unwrap_or_else(PoisonError::into_inner);
        }
        self.0.crowded.store(false, Ordering::SeqCst);
        *open += 1;
        !self.is_stopping()
    }
}

impl Attention for Stop {
    fn is_wanted_elsewhere(&self) -> bool {
        self.is_stopping() || self.0.crowded.load(Ordering::SeqCst)
    }
}

/// One connection's place among those that may be open at once.
struct Place<'a>(&'a Door);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        *open = open.saturating_sub(1);
        self.0.left.notify_all();
    }
}
