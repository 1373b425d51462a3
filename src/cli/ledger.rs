//! `ledger init`, `ledger serve`, `ledger index`, `ledger check`: what a ledger's keeper types.

pub(crate) mod index;
mod init;
pub(crate) mod serve;
mod timer;

use super::args::Ledger;
use super::context::Context;
use super::failure::Failure;

/// Makes or keeps a ledger.
///
/// # Errors
/// As the verb.
pub fn run(context: &mut Context, verb: &Ledger) -> Result<u8, Failure> {
    match verb {
        Ledger::Init(args) => init::run(context, args),
        Ledger::Serve(args) => serve::run(context, args),
        Ledger::Index(args) => index::index(context, &args.directory),
        Ledger::Check(args) => index::check(context, &args.directory),
    }
}
