. "$LIB"
run -v "$EVIL:/bin/app:ro" app:1
