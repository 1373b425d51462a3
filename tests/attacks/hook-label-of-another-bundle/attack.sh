. "$LIB"
cp -a "$BUNDLE" "$WORK/evil"
cp "$EVIL" "$WORK/evil/rootfs/bin/app"
jq --arg b "$BUNDLE" '.annotations = {bundle: $b, "io.container.manager": "libpod"}' "$WORK/evil/config.json" >"$WORK/new"
cp "$WORK/new" "$WORK/evil/config.json"
$RUNC run --bundle "$WORK/evil" attack-labelled
