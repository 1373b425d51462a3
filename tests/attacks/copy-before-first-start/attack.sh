. "$LIB"
container=$(create app:1)
docker cp "$EVIL" "$container:/bin/app"
docker start -a "$container"
