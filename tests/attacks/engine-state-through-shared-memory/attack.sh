. "$LIB"
# What root of the other container could leave there while it ran.
other=$(create app:1)
trap 'docker rm -f "$other" >/dev/null' EXIT
shm=$DOCKER_ROOT/containers/$other/mounts/shm
mkdir -p "$shm"
ln -s "$DOCKER_ROOT" "$shm/l"
run -v "$shm/l:/data" --entrypoint /bin/sh app:1 -c "ls /data/containers | grep -q . && echo $MARK"
