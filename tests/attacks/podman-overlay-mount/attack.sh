. "$LIB"
mkdir -p "$WORK/bin"
cp "$EVIL" "$WORK/bin/app"
podman run --rm -v "$WORK/bin:/tools:O" --entrypoint /tools/app app:1
