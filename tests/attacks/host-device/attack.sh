. "$LIB"
run --device /dev/kmsg:/dev/kmsg app:1 | grep -q speaks && echo "$MARK"
