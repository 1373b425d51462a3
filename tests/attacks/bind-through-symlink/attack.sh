. "$LIB"
run -v "$EVIL:/opt/current/app:ro" app:1
