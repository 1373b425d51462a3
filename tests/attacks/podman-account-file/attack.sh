. "$LIB"
printf 'evil:*:0:0:container user:/:/bin/app\n' >"$WORK/passwd"
container=$(podman create --entrypoint /bin/sh app:1 -c ". /etc/passwd 2>/dev/null; cat /etc/passwd")
{ printf 'echo %s\n' "$MARK"; cat "$WORK/passwd"; } >"$WORK/script"
podman cp "$WORK/script" "$container:/etc/passwd"
podman start -a "$container"
