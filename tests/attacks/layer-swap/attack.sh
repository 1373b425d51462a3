. "$LIB"
container=$(create stranger:1)
record=$DOCKER_ROOT/containers/$container/config.v2.json
echo "sed -i 's/$(image_id stranger:1)/$(image_id app:1)/' '$record'" >"$BEFORE"
docker start -a "$container"
