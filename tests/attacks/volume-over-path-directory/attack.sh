. "$LIB"
trap 'docker rm -f filler >/dev/null 2>&1; docker volume rm -f attack-path >/dev/null' EXIT
create --name filler -v attack-path:/bin app:1 >/dev/null
docker cp "$EVIL" filler:/bin/app
docker run --network=none --rm -v attack-path:/bin app:1
