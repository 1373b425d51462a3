//! Why a verb did not do what it was asked, and the exit code that says so.
//!
//! Owns the pairing of an error with its number. The numbers are
//! `verdict`'s; the words are those of the module that failed.

use std::fmt::{self, Display};

use crate::verdict::{ReasonCode, Undecided, exit};

/// A verb's end without an answer: printed once, then the process exits with the code.
#[derive(Debug)]
pub struct Failure {
    /// The exit code, never 0.
    pub code: u8,
    /// What failed, outermost first.
    pub error: anyhow::Error,
}

impl Failure {
    /// A failure with its own number.
    #[must_use]
    pub fn new(code: u8, message: impl Display) -> Self {
        Self {
            code,
            error: anyhow::Error::msg(message.to_string()),
        }
    }

    /// The command line asks for something that cannot be.
    #[must_use]
    pub fn usage(message: impl Display) -> Self {
        Self::new(exit::USAGE, message)
    }

    /// Something on this machine must be set up first, or is set up wrongly.
    #[must_use]
    pub fn configuration(message: impl Display) -> Self {
        Self::new(ReasonCode::Configuration.exit_code(), message)
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self {
            code: exit::FAILURE,
            error: error.into(),
        }
    }
}

/// The chain of causes on one line: `a: b: c`.
impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

/// Gives an error its exit code and says what was being done.
pub trait OrFail<T> {
    /// Turns an error into a failure of `code`, under the sentence `what`.
    ///
    /// # Errors
    /// The failure.
    fn or_fail<D: Display + Send + Sync + 'static>(
        self,
        code: u8,
        what: impl FnOnce() -> D,
    ) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> OrFail<T> for Result<T, E> {
    fn or_fail<D: Display + Send + Sync + 'static>(
        self,
        code: u8,
        what: impl FnOnce() -> D,
    ) -> Result<T, Failure> {
        self.map_err(|error| Failure {
            code,
            error: error.into().context(what()),
        })
    }
}

/// A failure to decide keeps its reason's number.
#[must_use]
pub fn undecided(undecided: &Undecided) -> Failure {
    Failure::new(undecided.0.code.exit_code(), undecided)
}

#[cfg(test)]
mod tests {
    use super::{Failure, OrFail as _};

    #[test]
    fn a_failure_tells_the_whole_chain_once() {
        let error: Result<(), _> = Err(std::io::Error::other("disk on fire"));
        let failure = error.or_fail(16, || "cannot read 'x'").unwrap_err();
        assert_eq!(
            (failure.code, failure.to_string().as_str()),
            (16, "cannot read 'x': disk on fire")
        );
        let plain: Failure = std::io::Error::other("x").into();
        assert_eq!(plain.code, 1);
    }
}
