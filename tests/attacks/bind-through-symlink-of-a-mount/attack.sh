. "$LIB"
mkdir "$WORK/d" "$WORK/bin"
ln -s /bin "$WORK/d/l"
cp /bin/busybox "$WORK/bin/sh"
cp "$EVIL" "$WORK/bin/app"
run -v "$WORK/d:/d" -v "$WORK/bin:/d/l:ro" app:1
