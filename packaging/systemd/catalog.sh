#!/usr/bin/env bash
# catalog.sh <docs/reasons.md: the journal's explanation of each reason code, for `journalctl -x`.
# The id of an entry is made from the code, as audit.rs makes it; a test compares the two.
set -euo pipefail

plain() { # Markdown to text: links lose their targets, code its marks
    sed -E 's/\[([^]]*)\]\([^)]*\)/\1/g; s/`//g; s/ +$//' <<<"$1" | fold -s -w 100 | sed 's/ *$//'
}
while IFS='|' read -r _ code _ meaning advice _; do
    code=$(tr -d ' `' <<<"$code")
    id=$(printf 'vcn-hook reason %s' "$code" | sha256sum | cut -c1-32)
    cat <<ENTRY
-- $id
Subject: vcn-hook: $code
Defined-By: vcn-hook
Documentation: man:vcn-hook(8)

The answer to '@VCN_HOOK_VERB@' of container @CONTAINER_ID_FULL@ was '@VCN_HOOK_VERDICT@',
in mode '@VCN_HOOK_MODE@', for the reason '$code':

$(plain "${meaning# }")

What to do:

$(plain "${advice# }")

'vcn-hook explain @CONTAINER_ID_FULL@' says more about this one.

ENTRY
done < <(grep -E '^\| `[a-z-]+` \| [0-9]+ \|')
