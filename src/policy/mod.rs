//! May it run: from identity, records, freshness and facts to a verdict.
//!
//! Pure: the clock, the records and the facts are arguments. Refuses to read
//! anything, and never sees an error that was not classified.

pub mod decide;
pub mod facts;
pub mod freshness;
pub mod gatebin;
pub mod rules;
pub mod standing;
