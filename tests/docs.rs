//! The documents say what the code does: every reason code with its exit code, every check of doctor.

use vcn_hook::doctor::Check;
use vcn_hook::verdict::ReasonCode;

const REASONS: &str = include_str!("../docs/reasons.md");
const DOCTOR: &str = include_str!("../docs/doctor.md");

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

#[test]
fn every_check_of_doctor_is_documented_in_its_order_and_no_other() {
    let rows = DOCTOR
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let checks: Vec<_> = Check::ALL.iter().map(|check| check.as_str()).collect();
    assert_eq!(rows.collect::<Vec<_>>(), checks);
}
