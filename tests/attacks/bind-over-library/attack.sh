. "$LIB"
cp "$EVIL_SO" "$WORK/evil.so"
library=/lib/x86_64-linux-gnu/evil.so
run -v "$WORK/evil.so:$library:ro" -e "LD_PRELOAD=$library" dyn:1
