. "$LIB"
umount "$BUNDLE/rootfs"
cp -a "$WORK/lower/." "$BUNDLE/rootfs"
run -v "$BUNDLE/rootfs/bin:/b" -v "$EVIL:/e:ro" --entrypoint /bin/cp app:1 /e /b/app
$RUNC run --bundle "$BUNDLE" attack-container
