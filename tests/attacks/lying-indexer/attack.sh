. "$LIB"
vcn sync >&2 || true
run withdrawn:1
