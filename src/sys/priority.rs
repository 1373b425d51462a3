//! Work that is to be in nobody's way.

use std::io;

use nix::libc;

/// `linux/ioprio.h`: this thread.
const IOPRIO_WHO_PROCESS: libc::c_int = 1;

/// `linux/ioprio.h`: only what nobody else wants of the disk.
const IOPRIO_IDLE: libc::c_int = 3 << 13;

/// The least of what processes may have of the processor.
const NICEST: libc::c_int = 19;

/// Lets everybody else go first, on the processor and on the disk, from now on and in this thread alone.
///
/// # Errors
/// The operating system's.
pub fn lower() -> io::Result<()> {
    // SAFETY: numbers alone are passed; in Linux, 0 is the calling thread.
    if unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICEST) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: as above.
    let set = unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE) };
    match set {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::lower;

    #[test]
    fn anybody_may_step_back() {
        let thread = std::thread::spawn(lower);
        thread.join().expect("it ends").expect("it may");
    }
}
