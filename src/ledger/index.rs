//! The allowlist as a function of the log and the trust root.
//!
//! Owns how the tables are made, when a base is made anew, and how an indexer
//! publishes and confirms them. Refuses to install them on a node: that is `sync`'s.

mod check;
mod draft;
mod error;
mod merge;
mod pages;
mod place;
mod publish;
mod standing;
mod sweep;

pub use check::{Checked, check};
pub use draft::{Draft, DraftError, Limit, table_path};
pub use error::IndexError;
pub(super) use publish::roots;
pub use publish::{Outcome, Publish, Published, Step, publish, publish_stepwise};
pub use standing::Standing;
pub(super) use standing::root_path;
