//! The exposition, read back by a small parser of its own: what promtool says is tests/dashboards.rs's.

use super::exposition;
use crate::watch::samples;

/// Reads a sample's labels, as the format has them.
fn labels(line: &str) -> Vec<(String, String)> {
    let Some((_, rest)) = line.split_once('{') else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut rest = rest;
    while let Some((name, after)) = rest.split_once("=\"") {
        let mut value = String::new();
        let mut chars = after.char_indices();
        let mut end = after.len();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    end = at;
                    break;
                }
                '\\' => match chars.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, c)) => value.push(c),
                    None => panic!("an escape of nothing: {line}"),
                },
                c => value.push(c),
            }
        }
        found.push((name.trim_start_matches(',').to_owned(), value));
        rest = after.get(end + 1..).unwrap_or_default();
    }
    assert!(rest.starts_with('}'), "{line}");
    found
}

#[test]
fn has_the_names_and_labels_of_both_ancestors() {
    let text = exposition(&samples::healthy());
    let line = text
        .lines()
        .find(|line| line.starts_with("vcn_verification_status{"))
        .expect("it runs");
    let hash = samples::digest(1).hex();
    let expected = [
        ("namespace", ""),
        ("pod", ""),
        ("container", "aaaaaaaaaaaa"),
        ("image", "web:1"),
        ("image_id", ""),
        ("hash", &hash),
        ("name", "web"),
        ("engine", "docker"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(labels(line), expected);
    assert!(line.ends_with("} 0"), "{line}");
    for (name, value) in [
        (
            "kube_notary_aggregate_status{target_namespace=\"\",status=\"0\"}",
            "1",
        ),
        ("vcn_hook_allowlist_age_seconds", "605"),
        ("vcn_hook_allowlist_entries", "12"),
        ("vcn_hook_selftest_ok", "1"),
        ("vcn_hook_running_containers{verdict=\"allow\"}", "1"),
        (
            "vcn_hook_decision_duration_seconds_bucket{le=\"+Inf\"}",
            "0",
        ),
    ] {
        let expected = format!("{name} {value}");
        assert!(
            text.lines().any(|line| line == expected),
            "{expected}: {text}"
        );
    }
}

#[test]
fn every_sample_has_help_and_type_and_no_name_ends_a_line_or_a_label() {
    let text = exposition(&samples::hostile());
    let mut families = std::collections::BTreeSet::new();
    for line in text.lines() {
        assert!(!line.chars().any(crate::escape::deceives), "{line:?}");
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let name = rest.split(' ').next().unwrap_or_default();
            assert!(families.insert(name.to_owned()), "{name} is there twice");
        }
        if line.starts_with('#') {
            continue;
        }
        let name: String = line
            .chars()
            .take_while(|c| !matches!(c, '{' | ' '))
            .collect();
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .filter_map(|end| name.strip_suffix(end))
            .find(|family| families.contains(*family))
            .unwrap_or(&name);
        assert!(families.contains(family), "{name} has no type");
        let value = line.rsplit(' ').next().unwrap_or_default();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        labels(line);
    }
    let evil = text
        .lines()
        .find(|l| l.starts_with("vcn_verification_status{") && l.ends_with(" 1"));
    let image = labels(evil.expect("it runs"))
        .into_iter()
        .find(|(name, _)| name == "image");
    let shown = crate::escape::Escaped(samples::EVIL).to_string();
    assert_eq!(image.map(|(_, value)| value), Some(shown));
    assert!(
        text.contains("vcn_hook_decision_duration_seconds_sum 0.000412"),
        "{text}"
    );
}

#[test]
fn two_containers_that_look_the_same_are_one_series() {
    let mut picture = samples::healthy();
    let sweep = picture
        .sweep
        .as_mut()
        .map(std::sync::Arc::make_mut)
        .expect("there is one");
    let again = sweep.containers.first().cloned();
    sweep.containers.extend(again);
    let text = exposition(&picture);
    let series = text
        .lines()
        .filter(|l| l.starts_with("vcn_verification_status{"));
    assert_eq!(series.count(), 1);
    assert!(text.contains("\nvcn_hook_containers_without_series 1\n"));
}
