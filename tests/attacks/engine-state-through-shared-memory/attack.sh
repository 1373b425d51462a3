. "$LIB"
other=$(docker run -d --network=none --entrypoint /bin/sh app:1 -c "ln -s $DOCKER_ROOT /dev/shm/l; sleep 60")
trap 'docker rm -f "$other" >/dev/null' EXIT
link=$DOCKER_ROOT/containers/$other/mounts/shm/l
for _ in 1 2 3 4 5 6 7 8 9 10; do [ -L "$link" ] && break; sleep 0.2; done
run -v "$link:/data" --entrypoint /bin/sh app:1 -c "ls /data/containers | grep -q . && echo $MARK"
