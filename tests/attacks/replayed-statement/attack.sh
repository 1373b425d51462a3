. "$LIB"
vcn ledger index "$LEDGER" >&2
vcn sync >&2
run withdrawn:1
