. "$LIB"
mkdir -p "$WORK/rootfs"
container=$(podman create app:1)
podman export "$container" | tar -x -C "$WORK/rootfs"
cp "$EVIL" "$WORK/rootfs/bin/app"
podman run --rm --rootfs "$WORK/rootfs" /bin/app
