. "$LIB"
trap 'docker rmi -f attack:built >/dev/null 2>&1' EXIT
printf 'FROM app:1\nENTRYPOINT []\nRUN ["/bin/sh","-c","echo %s"]\n' "$MARK" >"$WORK/Dockerfile"
DOCKER_BUILDKIT=0 docker build --no-cache --network=none -t attack:built "$WORK" | grep -v '^Step'
