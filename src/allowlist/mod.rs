//! What is allowed: the signed note and the tables it names.
//!
//! Pure: formats and their checks, over bytes that somebody else read. Files
//! belong to `store`, the log to `ledger`, what a record means to `policy`.

pub mod build;
pub mod header;
pub mod index_note;
pub mod lookup;
pub mod note;
pub mod page;
pub mod record;
pub mod table;
