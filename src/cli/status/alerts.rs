//! What is wrong with what runs, as the watch last saw it, and who was told.
//!
//! Owns the words for queues of alerts. That an alert does not get out must be seen somewhere else.

use serde_json::{Value, json};

use crate::cli::output;
use crate::watch::outbox::{Outbox, Queue};

/// One row for what is wrong, and one for each receiver.
pub(super) fn rows(outbox: &Outbox) -> String {
    let wrong = match outbox.incidents().len() {
        0 => "nothing is wrong with what runs".to_owned(),
        1 => "one failure; see 'vcn-hook watch --once --dry-run'".to_owned(),
        many => format!("{many} failures; see 'vcn-hook watch --once --dry-run'"),
    };
    let told = outbox.queues().iter().map(|(name, queue)| {
        let row = format!("{name}: {}", words(queue));
        ("Alerts", row)
    });
    let rows: Vec<_> = std::iter::once(("Watch", wrong)).chain(told).collect();
    output::rows(&rows)
}

fn words(queue: &Queue) -> String {
    let mut words = format!("{} delivered", queue.delivered);
    if !queue.waiting.is_empty() {
        words.push_str(&format!(", {} wait", queue.waiting.len()));
    }
    if queue.dropped > 0 {
        words.push_str(&format!(", {} given up", queue.dropped));
    }
    if let Some(error) = &queue.error {
        words.push_str(&format!("; {error}"));
    }
    words
}

/// The same for scripts.
pub(super) fn value(outbox: &Outbox) -> Value {
    let queues = outbox.queues().iter().map(|(name, queue)| {
        let value = json!({
            "waiting": queue.waiting.len(),
            "delivered": queue.delivered,
            "failures": queue.failures,
            "dropped": queue.dropped,
            "error": queue.error,
        });
        (name.clone(), value)
    });
    json!({
        "incidents": outbox.incidents().len(),
        "receivers": queues.collect::<serde_json::Map<_, _>>(),
    })
}
