. "$LIB"
mkdir -m 777 "$WORK/open"
cp -a "$WORK/lower" "$WORK/open/evil"
cp "$EVIL" "$WORK/open/evil/bin/app"
umount "$BUNDLE/rootfs"
rmdir "$BUNDLE/rootfs"
ln -s "$WORK/open/evil" "$BUNDLE/rootfs"
$CRUN run --bundle "$BUNDLE" attack-linked
