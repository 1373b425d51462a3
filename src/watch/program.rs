//! Another program, run for a while: told something, given a deadline, and ended with all it started.
//!
//! Owns that nothing it does can hold the watch up. Whose program it is, is the caller's to check.

use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Often enough for a program that ends at once.
const STEP: Duration = Duration::from_millis(20);

/// Runs it with `input` on its standard input, which must fit in a pipe.
///
/// # Errors
/// Why it did not succeed, in words.
pub(super) fn run(mut command: Command, input: &[u8], within: Duration) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let said = |why: String| format!("'{name}' {why}");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .process_group(0);
    let mut child = command
        .spawn()
        .map_err(|error| said(format!("cannot be run: {error}")))?;
    if let Some(mut stdin) = child.stdin.take() {
        // Whoever does not read it does not need it.
        let _ = stdin.write_all(input);
    }
    match ended(&mut child, within) {
        Ok(Some(status)) if status.success() => Ok(()),
        Ok(Some(status)) => Err(said(format!("failed: {status}"))),
        Ok(None) => Err(said(format!(
            "did not end within {} seconds",
            within.as_secs()
        ))),
        Err(error) => Err(said(format!("cannot be waited for: {error}"))),
    }
}

/// Waits for its end, and makes one when the time is over.
fn ended(child: &mut Child, within: Duration) -> io::Result<Option<ExitStatus>> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if begun.elapsed() >= within {
            let group = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
            // What has ended meanwhile cannot be ended.
            let _ = killpg(group, Signal::SIGKILL);
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(STEP);
    }
}

#[cfg(test)]
mod tests {
    use super::run;
    use std::process::Command;
    use std::time::Duration;

    fn sh(script: &str, within: Duration) -> Result<(), String> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        run(command, b"hello", within)
    }

    #[test]
    fn it_succeeds_fails_or_is_ended() {
        let long = Duration::from_secs(60);
        assert_eq!(sh("read -r x; [ \"$x\" = hello ]", long), Ok(()));
        assert_eq!(sh("exit 0", long), Ok(()));
        let failed = sh("exit 3", long).expect_err("it failed");
        assert_eq!(failed, "'sh' failed: exit status: 3");
        let hung = sh("sleep 1000 & wait", Duration::ZERO).expect_err("it hung");
        assert_eq!(hung, "'sh' did not end within 0 seconds");
        run(Command::new("/none"), b"", long).expect_err("there is none");
    }
}
