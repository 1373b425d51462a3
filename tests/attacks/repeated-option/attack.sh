. "$LIB"
cp -a "$BUNDLE" "$WORK/good"
$RUNC run --bundle "$WORK/good" --bundle "$BUNDLE" attack-repeated
