. "$LIB"
id=$(printf '%064d' 7)
fake=$WORK/docker
mkdir -p "$fake/overlay2/aa/merged" "$fake/containers/$id" "$fake/bundle/$id"
cp -a "$BUNDLE/rootfs/." "$fake/overlay2/aa/merged/"
printf '{"ID":"%s","Image":"%s","Driver":"overlay2","HasBeenStartedBefore":false}' \
    "$id" "$(image_id app:1)" >"$fake/containers/$id/config.v2.json"
sed "s#\"path\": *\"rootfs\"#\"path\": \"$fake/overlay2/aa/merged\"#" "$BUNDLE/config.json" >"$fake/bundle/$id/config.json"
grep -q merged "$fake/bundle/$id/config.json"
$RUNC run --bundle "$fake/bundle/$id" "$id"
