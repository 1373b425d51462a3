. "$LIB"
podman pod create --name pod >/dev/null
podman pod start pod >/dev/null
infra=$(podman pod inspect --format '{{.InfraContainerID}}' pod)
cp "$EVIL_BIN" "$WORK/evil"
podman cp "$WORK/evil" "$infra:/evil"
podman exec "$infra" /evil
