. "$LIB"
echo /data/evil.so >"$WORK/list"
run -v "$EVIL_SO:/data/evil.so:ro" -v "$WORK/list:/etc/ld.so.preload:ro" dyn:1
