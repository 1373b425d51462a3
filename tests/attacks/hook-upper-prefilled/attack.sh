. "$LIB"
mkdir -p "$BUNDLE/upper/bin"
cp "$EVIL" "$BUNDLE/upper/bin/app"
$RUNC run --bundle "$BUNDLE" attack-prefilled
