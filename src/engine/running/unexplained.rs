//! The words for what has an engine's layers and is in no engine's record.

use super::processes::Inside;
use crate::verdict::{ReasonCode, Undecided};

pub(super) fn unrecorded(inside: &Inside) -> Undecided {
    let detail = format!(
        "process {} has the layer {} as its root, and no engine has a record of such a container",
        inside.init.pid,
        topmost(inside)
    );
    let hint = "see what the process is and what started it, and end it";
    Undecided::new(ReasonCode::NoIdentity, detail, hint)
}

pub(super) fn nested(inside: &Inside) -> Undecided {
    let detail = format!(
        "process {} has a layer called {} as its root, and it is not the one that is there: it runs \
         in a container that was made inside a container",
        inside.init.pid,
        topmost(inside)
    );
    let hint = "see which container may make containers, and whether it is to";
    Undecided::new(ReasonCode::NoIdentity, detail, hint)
}

fn topmost(inside: &Inside) -> String {
    let layer = inside.upper.iter().chain(&inside.lowers).next();
    layer.map_or_else(String::new, |layer| format!("'{}'", layer.display()))
}
