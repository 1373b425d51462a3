. "$LIB"
$RUNC run --bundle "$BUNDLE" attack-bundle
