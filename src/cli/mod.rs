//! The people's verbs.
//!
//! Owns the command line, and every word and column that people and scripts
//! read: one file for each verb, and nothing below `cli` formats an answer.
//! Refuses to decide: a verb asks the module that owns the question.

pub mod args;
pub mod escape;
pub mod failure;
mod help;
pub mod images;
pub mod moment;
pub mod output;
pub mod verification;
pub mod yaml;
