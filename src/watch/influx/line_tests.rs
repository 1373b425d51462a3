//! Points, compared with what the seeds' script sent.

use super::points;
use crate::watch::samples;

#[test]
fn a_successful_check_is_the_seeds_line() {
    let points = points(&samples::healthy());
    assert_eq!(
        points.first().map(String::as_str),
        Some(
            "vcn_verification,hostname=node-1,container_name=web:1,container_id=aaaaaaaaaaaa,status=0,level=2 \
             failed=0,status=0,level=2 1700000000"
        )
    );
}

#[test]
fn a_failed_check_is_the_seeds_line_and_no_name_breaks_out_of_its_tag() {
    let points = points(&samples::hostile());
    assert_eq!(points.len(), 4);
    let failed = points.get(1).expect("it runs");
    assert_eq!(failed.lines().count(), 1);
    assert!(!failed.chars().any(crate::escape::deceives), "{failed:?}");
    // What is left when every escaped character is taken away is the line's own structure.
    let mut plain = String::new();
    let mut chars = failed.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            c => plain.push(c),
        }
    }
    let (tags, rest) = plain.split_once(' ').expect("fields follow");
    assert_eq!(rest, "failed=1 1700000000");
    let names: Vec<_> = tags.split(',').map(|tag| tag.split('=').next()).collect();
    let expected = [
        "vcn_verification",
        "hostname",
        "container_name",
        "container_id",
    ];
    assert_eq!(names, expected.map(Some));
    // Who has neither a name nor an id is known by its first process.
    assert_eq!(
        points.get(2).map(|point| point.rsplit(',').next()),
        Some(Some("container_id=pid-103 failed=1 1700000000"))
    );
}
