//! How runc and crun read their command lines, written a second time from their own parsers.
//!
//! Owns the two models: Go's `flag` under urfave/cli v1.22, which moves options from behind
//! the arguments to the front, and glibc's `argp` in order, which takes any beginning of an
//! option's name that only one has. They read more than the gate does; that is the point.

/// What the runtime would run.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Run {
    pub verb: String,
    pub id: String,
    pub bundle: Option<String>,
    pub root: Option<String>,
}

/// Name, short name, whether a value follows.
type Flag = (&'static str, &'static str, bool);

const RUNC: &[Flag] = &[
    ("debug", "", false),
    ("log", "", true),
    ("log-format", "", true),
    ("root", "", true),
    ("criu", "", true),
    ("systemd-cgroup", "", false),
    ("rootless", "", true),
    ("help", "h", false),
    ("version", "v", false),
];
const CRUN: &[Flag] = &[
    ("debug", "", false),
    ("log", "", true),
    ("log-format", "", true),
    ("log-level", "", true),
    ("root", "", true),
    ("systemd-cgroup", "", false),
    ("rootless", "", true),
    ("cgroup-manager", "", true),
    ("help", "?", false),
    ("usage", "", false),
    ("version", "V", false),
];
const CREATE: &[Flag] = &[
    ("bundle", "b", true),
    ("console-socket", "", true),
    ("pidfd-socket", "", true),
    ("pid-file", "", true),
    ("no-pivot", "", false),
    ("no-new-keyring", "", false),
    ("preserve-fds", "", true),
    ("detach", "d", false),
    ("keep", "", false),
    ("no-subreaper", "", false),
    ("help", "h", false),
];
const CRUN_CREATE: &[Flag] = &[
    ("bundle", "b", true),
    ("config", "f", true),
    ("console-socket", "", true),
    ("pid-file", "", true),
    ("no-pivot", "", false),
    ("no-new-keyring", "", false),
    ("preserve-fds", "", true),
    ("detach", "d", false),
    ("keep", "", false),
    ("no-subreaper", "", false),
    ("help", "?", false),
    ("usage", "", false),
];
const START: &[Flag] = &[("help", "h", false)];

/// What runc would run; `None` for help, an error, or a verb that is not gated.
pub fn runc(words: &[String]) -> Option<Run> {
    let (globals, rest) = go_flags(RUNC, words)?;
    if set(&globals, "help") || set(&globals, "version") {
        return None;
    }
    let (verb, rest) = rest.split_first()?;
    let table = table_of(verb, CREATE)?;
    let (given, arguments) = go_flags(table, &reordered(table, rest))?;
    let [id] = arguments.as_slice() else {
        return None;
    };
    (!set(&given, "help")).then(|| Run {
        verb: verb.clone(),
        id: id.clone(),
        bundle: last(&given, "bundle"),
        root: last(&globals, "root"),
    })
}

/// What crun would run.
pub fn crun(words: &[String]) -> Option<Run> {
    let (globals, rest) = argp(CRUN, words)?;
    let (verb, rest) = rest.split_first()?;
    let (given, arguments) = argp(table_of(verb, CRUN_CREATE)?, rest)?;
    let [id] = arguments.as_slice() else {
        return None;
    };
    let stops = ["help", "usage", "version"];
    let asks = |given: &Given| stops.iter().any(|name| set(given, name));
    (!asks(&globals) && !asks(&given)).then(|| Run {
        verb: verb.clone(),
        id: id.clone(),
        bundle: last(&given, "bundle"),
        root: last(&globals, "root"),
    })
}

fn table_of(verb: &str, create: &'static [Flag]) -> Option<&'static [Flag]> {
    match verb {
        "create" | "run" => Some(create),
        "start" => Some(START),
        _ => None,
    }
}

type Given = Vec<(&'static str, String)>;

fn set(given: &Given, name: &str) -> bool {
    last(given, name).is_some_and(|value| value != "false")
}

fn last(given: &Given, name: &str) -> Option<String> {
    let mut values = given.iter().rev().filter(|(other, _)| *other == name);
    values.next().map(|(_, value)| value.clone())
}

/// Go's `flag.FlagSet.Parse`: options, and what is left.
fn go_flags(table: &'static [Flag], words: &[String]) -> Option<(Given, Vec<String>)> {
    let mut given = Given::new();
    let mut rest = words;
    while let Some((word, after)) = rest.split_first() {
        if word.len() < 2 || !word.starts_with('-') {
            break;
        }
        rest = after;
        if word == "--" {
            break;
        }
        let name = word.strip_prefix("--").or(word.strip_prefix('-'))?;
        if name.starts_with(['-', '=']) {
            return None;
        }
        let (name, attached) = match name.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (name, None),
        };
        let flag = table
            .iter()
            .find(|flag| flag.0 == name || (!flag.1.is_empty() && flag.1 == name))?;
        let value = match (flag.2, attached) {
            (false, None) => "true".to_owned(),
            (false, Some(value)) => match value.as_str() {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => "true".to_owned(),
                "0" | "f" | "F" | "false" | "FALSE" | "False" => "false".to_owned(),
                _ => return None,
            },
            (true, Some(value)) => value,
            (true, None) => {
                let (value, after) = rest.split_first()?;
                rest = after;
                value.clone()
            }
        };
        given.push((flag.0, value));
    }
    Some((given, rest.to_vec()))
}

/// urfave/cli v1.22, `reorderArgs`: options first, wherever they stood before a `--`.
fn reordered(table: &[Flag], words: &[String]) -> Vec<String> {
    let (mut options, mut arguments) = (Vec::new(), Vec::new());
    let mut rest = words.iter().peekable();
    while let Some(word) = rest.next() {
        if word == "--" {
            arguments.push(word.clone());
            arguments.extend(rest.cloned());
            break;
        }
        let name = word.trim_start_matches('-');
        let known = table
            .iter()
            .find(|flag| flag.0 == name || (!flag.1.is_empty() && flag.1 == name));
        if !word.starts_with('-') || word.len() < 2 {
            arguments.push(word.clone());
        } else {
            options.push(word.clone());
            if known.is_some_and(|flag| flag.2)
                && let Some(value) = rest.next()
            {
                options.push(value.clone());
            }
        }
    }
    options.extend(arguments);
    options
}

/// glibc's argp with `ARGP_IN_ORDER`, up to the first argument.
fn argp(table: &'static [Flag], words: &[String]) -> Option<(Given, Vec<String>)> {
    let mut given = Given::new();
    let mut rest = words;
    while let Some((word, after)) = rest.split_first() {
        if word.len() < 2 || !word.starts_with('-') {
            break;
        }
        rest = after;
        if word == "--" {
            break;
        }
        let (flag, attached) = if let Some(long) = word.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            let exact = table.iter().find(|flag| flag.0 == name);
            let mut begun = table.iter().filter(|flag| flag.0.starts_with(name));
            let alone = begun.next().filter(|_| begun.next().is_none());
            (exact.or(alone)?, value)
        } else {
            let mut letters = word[1..].char_indices();
            let (_, letter) = letters.next()?;
            let flag = table.iter().find(|flag| flag.1.chars().eq([letter]))?;
            let behind = letters.next().map(|(at, _)| word[1 + at..].to_owned());
            if !flag.2 && behind.is_some() {
                // More letters are more options; none of them takes a value here.
                return None;
            }
            (flag, behind)
        };
        let value = match (flag.2, attached) {
            (false, None) => "true".to_owned(),
            (false, Some(_)) => return None,
            (true, Some(value)) => value,
            (true, None) => {
                let (value, after) = rest.split_first()?;
                rest = after;
                value.clone()
            }
        };
        given.push((flag.0, value));
    }
    Some((given, rest.to_vec()))
}
