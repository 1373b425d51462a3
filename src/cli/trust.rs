//! `trust`: the trust root, from one version to the next.
//!
//! Owns the version that a new one follows, and by whose word it is the right
//! one: whoever signs a new version signs all of it, so that a predecessor that
//! somebody made up would get its lines signed with ours.

mod changes;
mod edit;
mod publish;
mod show;
mod sign;

use super::args;
use super::context::Context;
use super::failure::Failure;
use super::ledgers::Place;
use super::trusted;
use super::vouching;
use crate::ledger::client::TlogRead;
use crate::ledger::roots::RootVersion;

/// Does what the verb says.
///
/// # Errors
/// Each verb's.
pub fn run(context: &mut Context, verb: &args::Trust) -> Result<u8, Failure> {
    match verb {
        args::Trust::Show(args) => show::run(context, args),
        args::Trust::Edit(args) => edit::run(context, args),
        args::Trust::Sign(args) => sign::run(context, args),
        args::Trust::Publish(args) => publish::run(context, args),
    }
}

/// The newest version of a ledger's trust root, which the next one follows.
struct Newest {
    version: RootVersion,
    place: Place,
    log: Box<dyn TlogRead>,
}

impl Newest {
    /// Of the ledger that was named, or of the one that this machine follows.
    fn find(context: &mut Context, named: &args::Named) -> Result<Self, Failure> {
        let config = context.config()?;
        let text = named.ledger.as_deref().or(config.ledger.as_deref());
        let place = Place::parse(text.ok_or_else(trusted::not_enrolled)?)?;
        let log = place.open()?;
        let vouched = vouching::newest(context, &place, log.as_ref(), named.root.as_deref())?;
        if vouched.by.is_none() {
            // Whoever names a directory has it before them; a server can say anything.
            if place.directory().is_none() {
                return Err(Failure::configuration(vouched.nobody()));
            }
            context.out.note(vouched.nobody());
        }
        let version = vouched.version;
        Ok(Self {
            version,
            place,
            log,
        })
    }
}
