. "$LIB"
serve
state_all "$LEDGER"
unserve
vcn sync >&2
run withdrawn:1
