. "$LIB"
container=$(podman create app:1)
podman cp "$EVIL" "$container:/bin/app"
podman start -a "$container"
