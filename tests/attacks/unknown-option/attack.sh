. "$LIB"
if [ -n "$OFF" ]; then option=--no-new-keyring; else option=--frobnicate=x; fi
$RUNC run $option --bundle "$BUNDLE" attack-unknown
