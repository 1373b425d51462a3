. "$LIB"
trap 'docker volume rm -f attack-alias >/dev/null' EXIT
ln -s "$DOCKER_ROOT" "$WORK/innocent"
docker volume create -d local -o type=none -o o=bind -o device="$WORK/innocent/containers" attack-alias >/dev/null
run -v attack-alias:/data --entrypoint /bin/sh app:1 -c "ls /data | grep -q . && echo $MARK"
