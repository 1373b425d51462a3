. "$LIB"
run --entrypoint /bin/sh app:1 -c "echo $MARK"
