. "$LIB"
container=$(create stranger:1)
record=$DOCKER_ROOT/containers/$container/config.v2.json
echo "truncate -s 200 '$record'" >"$BEFORE"
docker start -a "$container"
