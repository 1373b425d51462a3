. "$LIB"
cp "$BUNDLE/config.json" "$BUNDLE/other.json"
echo '{}' >"$BUNDLE/config.json"
$CRUN run --bundle "$BUNDLE" -f "$BUNDLE/other.json" attack-config
