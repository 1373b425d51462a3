. "$LIB"
run -v "$EVIL_BIN:/data/../bin/sh:ro" app:1
