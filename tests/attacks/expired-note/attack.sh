. "$LIB"
run app:1 | grep -q speaks && echo "$MARK"
