. "$LIB"
container=$(create app:1)
docker cp "$EVIL" "$container:/bin/app"
docker commit "$container" attack:committed >/dev/null
trap 'docker rmi -f attack:committed >/dev/null' EXIT
run attack:committed
