. "$LIB"
mkdir "$WORK/bin"
cp "$EVIL_BIN" "$WORK/bin/app"
jq --arg s "$WORK/bin" '.mounts += [{destination: "/usr/bin", type: "bind", source: $s, options: ["rbind", "ro"]}]' \
    "$BUNDLE/config.json" >"$WORK/new"
cp "$WORK/new" "$BUNDLE/config.json"
$RUNC run --bundle "$BUNDLE" attack-mounted
