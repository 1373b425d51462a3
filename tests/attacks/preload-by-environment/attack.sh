. "$LIB"
run -v "$EVIL_SO:/data/evil.so:ro" -e LD_PRELOAD=/data/evil.so dyn:1
