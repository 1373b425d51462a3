//! What whoever configures something must know, in words.
//!
//! Owns one sentence for each remark of a plan, and its name for scripts. When one applies, the plan says.

use std::path::Path;

use crate::cli::escape::Escaped;
use crate::configure::Note;

/// What scripts call it.
pub(super) fn code(note: &Note) -> &'static str {
    match note {
        Note::Audit => "audit",
        Note::Reload => "reload",
        Note::Restart => "restart",
        Note::Released => "released",
        Note::KeepRuntime(_) => "keep-runtime",
        Note::LoseRuntime(_) => "lose-runtime",
        Note::Left(_) => "left",
        Note::Shadowed(..) => "shadowed",
        Note::Beside(_) => "beside",
        Note::Unregistered => "unregistered",
        Note::Unlisted(_) => "unlisted",
        Note::Changed(_) => "changed-since",
        Note::Replaced(_) => "replaced-since",
        Note::Lost(_) => "lost",
    }
}

/// What people read.
pub(super) fn sentence(note: &Note) -> String {
    let shown = |path: &Path| format!("'{}'", Escaped(&path.display().to_string()));
    let names = |names: &[String]| {
        let names: Vec<_> = names.iter().map(|name| Escaped(name).to_string()).collect();
        names.join(", ")
    };
    match note {
        Note::Audit => {
            "this node is in audit mode: what would be refused is recorded, and starts; see \
             'vcn-hook report', then 'vcn-hook mode enforce'"
                .to_owned()
        }
        Note::Restart => {
            "dockerd goes on by what it once read, and starts no container until it is started \
             anew: run 'systemctl restart docker' when its containers may stop, or have \
             'live-restore'"
                .to_owned()
        }
        Note::Released => {
            "dockerd was told (SIGHUP) to start containers as it did before; nothing was restarted"
                .to_owned()
        }
        Note::Reload => {
            "Docker has not read it yet: run 'systemctl reload docker', or send dockerd SIGHUP; \
             nothing is restarted by that"
                .to_owned()
        }
        Note::KeepRuntime(list) => format!(
            "these containers keep the runtime that they were created with, and come past the gate \
             only when they are created anew: {}",
            names(list)
        ),
        Note::LoseRuntime(list) => format!(
            "these containers were created with the runtime 'vcn', which Docker no longer knows, \
             and start only when they are created anew: {}",
            names(list)
        ),
        Note::Left(list) => format!(
            "these containers run, and what watches over them calls the links in gate/, which lead \
             to the real runtimes now and stay until 'vcn-hook unconfigure' is run after they have \
             ended: {}",
            names(list)
        ),
        Note::Shadowed(path, real) => format!(
            "{} is not run any more, every start runs {}: if it should be the other one, name it in \
             [runtime] of config.toml and run 'vcn-hook apply'",
            shown(path),
            shown(real)
        ),
        Note::Beside(name) => format!(
            "the runtime '{}' does not come past the gate when a client asks for it by name; \
             '--runtime system' stands below every runtime that calls runc or crun",
            Escaped(name)
        ),
        Note::Unregistered => {
            "without dpkg-divert an upgrade of runc or crun may put a plain one back: 'vcn-hook \
             configure --status' tells, and 'vcn-hook configure --runtime system' repairs it"
                .to_owned()
        }
        Note::Unlisted(path) => format!(
            "an engine keeps its containers in {0}, which [engines] of config.toml does not list: \
             nothing there can be allowed; list it and run 'vcn-hook apply'",
            shown(path)
        ),
        Note::Changed(path) => format!(
            "{} was changed since: what is ours was taken out, and the rest stays as it is",
            shown(path)
        ),
        Note::Replaced(path) => format!(
            "{} was replaced by another program since, which stays",
            shown(path)
        ),
        Note::Lost(path) => format!(
            "the real program of {} is gone: install its package anew",
            shown(path)
        ),
    }
}
