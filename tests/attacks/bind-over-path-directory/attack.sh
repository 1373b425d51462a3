. "$LIB"
mkdir "$WORK/bin"
cp /bin/busybox "$WORK/bin/sh"
cp "$EVIL" "$WORK/bin/app"
run -v "$WORK/bin:/bin:ro" app:1
