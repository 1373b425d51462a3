. "$LIB"
yes '                                                               ' | head -c 67108864 >>"$BUNDLE/config.json"
$RUNC run --bundle "$BUNDLE" attack-oversized
