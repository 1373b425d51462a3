//! The documents say what the code does: every reason code, with its exit code.

use vcn_hook::verdict::ReasonCode;

const REASONS: &str = include_str!("../docs/reasons.md");

#[test]
fn every_reason_code_is_documented_with_its_exit_code() {
    let missing: Vec<_> = ReasonCode::ALL
        .iter()
        .map(|code| format!("| `{code}` | {} |", code.exit_code()))
        .filter(|row| !REASONS.contains(row.as_str()))
        .collect();
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn no_reason_code_is_documented_that_does_not_exist() {
    let rows = REASONS
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let known: Vec<_> = ReasonCode::ALL.iter().map(|code| code.as_str()).collect();
    let unknown: Vec<_> = rows.filter(|code| !known.contains(code)).collect();
    assert_eq!(unknown, Vec::<&str>::new());
}
