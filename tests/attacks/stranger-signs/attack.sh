. "$LIB"
vcn ledger index "$LEDGER" >&2
vcn sync >&2
run stranger:1
