. "$LIB"
mkdir "$WORK/etc"
echo /data/evil.so >"$WORK/etc/ld.so.preload"
container=$(create -v "$EVIL_SO:/data/evil.so:ro" dyn:1)
docker cp "$WORK/etc/ld.so.preload" "$container:/etc/ld.so.preload"
docker start -a "$container"
