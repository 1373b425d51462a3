. "$LIB"
run --cap-add SYS_ADMIN app:1 | grep -q speaks && echo "$MARK"
