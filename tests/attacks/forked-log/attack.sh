. "$LIB"
rm -rf "$LEDGER"
cp -a "$NODE/ledger-before-withdrawal" "$LEDGER"
for n in 1 2 3 4 5 6 7 8; do
    vcn notarize --ledger "$LEDGER" --hash "$(printf '%064d' "$n")" >&2 || true
done
if [ -n "$OFF" ]; then rm -rf "$STATE/allowlist" "$STATE/log" "$STATE/high-water"; fi
vcn sync >&2 || true
run withdrawn:1
