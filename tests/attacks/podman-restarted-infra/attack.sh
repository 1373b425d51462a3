. "$LIB"
podman pod create --name pod >/dev/null
infra=$(podman pod inspect --format '{{.InfraContainerID}}' pod)
cp "$EVIL_BIN" "$WORK/catatonit"
podman cp "$WORK/catatonit" "$infra:/catatonit"
podman start -a "$infra"
