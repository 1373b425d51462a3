. "$LIB"
umount "$BUNDLE/rootfs"
cp -a "$WORK/lower/." "$BUNDLE/rootfs"
chmod 777 "$BUNDLE/rootfs"
# Somebody who is not root puts another directory in the place of /bin.
setpriv --reuid 65534 --clear-groups sh -c 'mv "$0/rootfs/bin" "$0/rootfs/.bin" && cp -r "$0/rootfs/.bin" "$0/rootfs/bin" && cp "$1" "$0/rootfs/bin/app"' "$BUNDLE" "$EVIL"
$RUNC run --bundle "$BUNDLE" attack-written
