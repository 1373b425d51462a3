. "$LIB"
container=$(podman create app:1)
# The container is created, and judged, pristine.
podman init "$container" >/dev/null
podman cp "$EVIL" "$container:/bin/app"
podman start -a "$container"
