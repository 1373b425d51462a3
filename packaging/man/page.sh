#!/usr/bin/env bash
# page.sh vcn-hook.8|vcn-hook.toml.5 PROGRAM: a page of the manual.
# Prose is in NAME.in beside this file. Commands and exit codes are what the program's own help says, settings
# what its commented default file says, so that the pages know no other program than the one they come with.
set -euo pipefail
here=$(dirname "$0")
page=$1 program=$2

# Help text to roff. Items are 'name<two spaces or more>text'; indented lines are shown as they are.
as_roff='
function safe(text) {
    gsub(/\\/, "\\e", text); gsub(/-/, "\\-", text); gsub(/"/, "\\(dq", text)
    return text ~ /^[.'"'"']/ ? "\\&" text : text
}
function close_example() { if (example) print ".fi\n.RE"; example = 0 }
/^(Arguments|Options|Commands|Ways in.*):$/ { close_example(); print ".PP\n" safe($0); next }
/^Usage:/ { sub(/^Usage: /, ""); print ".PP\n.B " safe($0); usage = 1; next }
/^$/ { close_example(); usage = 0; print ".PP"; next }
usage { sub(/^ +/, ""); print ".br\n.B " safe($0); next }
/^ +[^ ].*[^ ]  +[^ ]/ && !example_text {
    close_example(); sub(/^ +/, ""); at = match($0, /  +/)
    name = substr($0, 1, at - 1); text = substr($0, at + RLENGTH)
    if (name ~ /^(-c, --config|-o, --output|-S, --silent|-h, --help|-v, --version|help$)/ && !all) next
    print ".TP\n.B " safe(name) "\n" safe(text); next
}
/^  / { if (!example) print ".RS\n.nf"; example = 1; sub(/^  /, ""); print safe($0); next }
{ close_example(); print safe($0); example_text = /^Examples?:$/ }
END { close_example() }
'
commands() { # commands [WORD...]: the page's section of a command, and of those below it
    local help command
    help=$("$program" "$@" --help)
    if [ $# -gt 0 ]; then
        printf '.SS vcn-hook %s\n' "$*"
        awk "$as_roff" <<<"$help"
    else
        # Options that every command has, and the first steps.
        awk '/^Exit codes:/ {exit} /^Options:/ {on = 1} on' <<<"$help" | awk -v all=1 "$as_roff"
    fi
    for command in $(awk '/^Commands:/ {on = 1; next} /^$/ {on = 0} on && $1 != "help" {print $1}' <<<"$help"); do
        commands "$@" "$command"
    done
}
exits() {
    "$program" --help | awk '/^Exit codes:/ {on = 1} on' | awk "$as_roff"
}
settings() {
    "$program" config show --default | awk '
    function safe(text) { gsub(/\\/, "\\e", text); gsub(/-/, "\\-", text); gsub(/"/, "\\(dq", text); return text ~ /^[.]/ ? "\\&" text : text }
    !started { if (/^$/) started = 1; next }
    /^#?\[/ { sub(/^#/, ""); print ".SS " safe($0); text = ""; next }
    /^# / { sub(/^# /, ""); text = text (text == "" ? "" : "\n") safe($0); next }
    /^#[a-z]/ { sub(/^#/, ""); print ".TP\n.B " safe($0) "\n" text "."; text = ""; next }
    '
}

case $page in
vcn-hook.8) parts='COMMANDS EXITS' ;;
vcn-hook.toml.5) parts=SETTINGS ;;
*) echo "page.sh: no page '$page'" >&2 && exit 64 ;;
esac
# What fails stops here: a page without its commands is none.
for part in $parts; do
    declare "made_$part=$(${part,,})"
done
while IFS= read -r line; do
    case $line in
    @*@) part=made_${line//@/} && printf '%s\n' "${!part}" ;;
    *) printf '%s\n' "$line" ;;
    esac
done <"$here/$page.in"
