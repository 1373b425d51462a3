. "$LIB"
yes 'ledger.test/vcn/index' | head -c 67108864 >"$STATE/allowlist/note"
run withdrawn:1
