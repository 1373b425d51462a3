//! `keygen`: a key to notarize with.

use serde_json::json;

use super::args;
use super::context::Context;
use super::failure::{Failure, OrFail as _};
use super::output;
use super::signing;
use crate::trust::keys::{self, KeyFolder, Signer as _};
use crate::verdict::{ReasonCode, exit};

/// Makes a key, and prints its public half as a trust root names it.
///
/// # Errors
/// When the name cannot be a name, a key of that name exists, or it cannot be written.
pub fn run(context: &mut Context, args: &args::Keygen) -> Result<u8, Failure> {
    let code = ReasonCode::Configuration.exit_code();
    let folder = match &args.keys {
        Some(path) => KeyFolder::new(path),
        None => KeyFolder::of_user().or_fail(code, || "nowhere to put the key")?,
    };
    // A name with a slash would be a path: the folder is where keys go.
    if args.name.contains('/') || args.name.starts_with('.') {
        return Err(Failure::usage(format!(
            "'{}' cannot be a key's name",
            args.name
        )));
    }
    let path = folder.key(&args.name);
    let passphrase = signing::new_passphrase(&args.name)?;
    let given = passphrase.as_ref().map(|text| text.as_str());
    let key = keys::generate(&path, &args.name, given)
        .or_fail(exit::FAILURE, || "cannot make the key")?;
    if given.is_none() {
        context.out.note(unencrypted(&path));
    }
    let value = json!({
        "path": path.display().to_string(),
        "public": keys::public_path(&path).display().to_string(),
        "key": key.verifier().to_string(),
        "id": key.verifier().keyid(),
        "encrypted": given.is_some(),
    });
    context.out.answer(&value, |_| {
        output::rows(&[
            ("Private key", path.display().to_string()),
            ("Public key", keys::public_path(&path).display().to_string()),
            ("Key", key.verifier().to_string()),
        ])
    })?;
    Ok(0)
}

/// What is said of a key without a passphrase.
#[must_use]
pub fn unencrypted(path: &std::path::Path) -> String {
    format!(
        "the key '{}' has no passphrase: whoever can read the file can sign",
        path.display()
    )
}
