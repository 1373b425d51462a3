. "$LIB"
run --pid=host app:1 | grep -q speaks && echo "$MARK"
