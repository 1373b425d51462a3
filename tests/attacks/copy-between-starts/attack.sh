. "$LIB"
container=$(create app:1)
docker start -a "$container"
docker cp "$EVIL" "$container:/bin/app"
docker start -a "$container"
