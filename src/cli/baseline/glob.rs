//! Patterns of image names, as a shell writes them.
//!
//! Owns `*` (any text, slashes too) and `?` (one character); there is nothing else.

/// Says whether the whole of `text` is like `pattern`.
#[must_use]
pub fn is_like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut star) = ((0, 0), None);
    loop {
        let (p, t) = at;
        at = match (pattern.get(p), text.get(t)) {
            (Some('*'), _) => {
                star = Some(at);
                (p + 1, t)
            }
            (Some(wanted), Some(found)) if *wanted == '?' || wanted == found => (p + 1, t + 1),
            (None, None) => return true,
            // The last star takes one more character, as long as there is one.
            (_, _) => match star {
                Some((p, t)) if t < text.len() => {
                    star = Some((p, t + 1));
                    (p + 1, t + 1)
                }
                Some(_) | None => return false,
            },
        };
    }
}

/// Says whether a name is like one of these patterns: with its tag or without, with its scheme or without.
#[must_use]
pub fn any_like(patterns: &[String], name: &str) -> bool {
    let bare = name.split_once("://").map_or(name, |(_, bare)| bare);
    let repository = |name: &str| {
        let name = name.split_once('@').map_or(name, |(name, _)| name);
        match name.rsplit_once(':') {
            // A port, or a scheme, is followed by a path.
            Some((repository, tag)) if !tag.contains('/') => repository.to_owned(),
            Some(_) | None => name.to_owned(),
        }
    };
    let forms = [
        name.to_owned(),
        bare.to_owned(),
        repository(name),
        repository(bare),
    ];
    let like = |pattern: &String| forms.iter().any(|form| is_like(pattern, form));
    patterns.iter().any(like)
}

#[cfg(test)]
mod tests {
    use super::{any_like, is_like};

    #[test]
    fn stars_take_any_text_and_question_marks_one_character() {
        for (pattern, text, like) in [
            ("", "", true),
            ("*", "", true),
            ("", "a", false),
            ("app", "app", true),
            ("app", "apps", false),
            ("a*p", "app", true),
            ("a*p", "a/b/p", true),
            ("a*p", "apq", false),
            ("*a*b*c", "xxaabbcc", true),
            ("*a*b*c", "xxaabb", false),
            ("a?p", "aüp", true),
            ("a?p", "ap", false),
            ("?", "", false),
            ("**", "a", true),
            ("[a]", "a", false),
        ] {
            assert_eq!(is_like(pattern, text), like, "{pattern} {text}");
        }
        let (pattern, text) = ("*a".repeat(40) + "b", "a".repeat(4000));
        assert!(!is_like(&pattern, &text), "it ends, too");
    }

    #[test]
    fn a_name_is_meant_with_its_tag_or_without_with_its_scheme_or_without() {
        let like =
            |pattern: &str, name: &str| any_like(&["x".to_owned(), pattern.to_owned()], name);
        for pattern in [
            "app",
            "app:1.4",
            "docker://app",
            "docker://app:1.4",
            "a*",
            "*1.4",
        ] {
            assert!(like(pattern, "docker://app:1.4"), "{pattern}");
        }
        for pattern in ["r:5000/app", "r:5000/*", "*/app"] {
            assert!(like(pattern, "podman://r:5000/app"), "{pattern}");
            assert!(like(pattern, "podman://r:5000/app@sha256:00"), "{pattern}");
        }
        assert!(!like("app", "docker://apple") && !like("r", "podman://r:5000/app"));
        assert!(!any_like(&[], "docker://app"));
    }
}
