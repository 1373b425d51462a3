. "$LIB"
container=$(create stranger:1)
trusted=$(create app:1)
record=$DOCKER_ROOT/containers/$container/config.v2.json
mounts=$DOCKER_ROOT/image/overlay2/layerdb/mounts
cat >"$BEFORE" <<END
sed -i 's/$(image_id stranger:1)/$(image_id app:1)/' '$record'
cp '$mounts/$container/parent' '$WORK/parent'
cp '$mounts/$trusted/parent' '$mounts/$container/parent'
END
trap 'cp "$WORK/parent" "$mounts/$container/parent"' EXIT
docker start -a "$container"
