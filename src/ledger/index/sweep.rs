//! Removing tables that no note names any more.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use crate::allowlist::index_note::IndexNote;

/// A reader may still hold the note of an hour ago.
const KEPT: u64 = 3600;

/// Removes old tables and temporary files. Best effort: whatever stays is removed next time.
pub(super) fn sweep(directory: &Path, notes: &[&IndexNote], now: u64) {
    let named: Vec<_> = notes
        .iter()
        .flat_map(|note| [note.base.id, note.delta.id])
        .map(|id| format!("{}.idx", id.hex()))
        .collect();
    let Ok(files) = std::fs::read_dir(directory) else {
        return;
    };
    for file in files.flatten() {
        let name = file.file_name();
        let Some(name) = name.to_str() else { continue };
        let ours = has_suffix(name, ".idx") || (name.starts_with('.') && has_suffix(name, ".tmp"));
        if !ours || named.iter().any(|named| named == name) {
            continue;
        }
        let made = file.metadata().and_then(|metadata| metadata.modified());
        let old = UNIX_EPOCH + Duration::from_secs(now.saturating_sub(KEPT));
        if made.is_ok_and(|made| made < old) {
            let _ = std::fs::remove_file(file.path());
        }
    }
}

fn has_suffix(name: &str, suffix: &str) -> bool {
    name.len() > suffix.len() && name.ends_with(suffix)
}
