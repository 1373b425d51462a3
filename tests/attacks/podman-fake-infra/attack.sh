. "$LIB"
mkdir -p "$WORK/image"
cp "$EVIL_BIN" "$WORK/image/catatonit"
trap 'podman rmi -f localhost/podman-pause:4.3.1-0 >/dev/null' EXIT
tar -C "$WORK/image" -c catatonit |
    podman import -q --change 'ENTRYPOINT ["/catatonit","-P"]' - localhost/podman-pause:4.3.1-0 >/dev/null
podman run --rm localhost/podman-pause:4.3.1-0
