. "$LIB"
sed -i '0,/"root"/s//"root": {"path": "decoy"},\n"root"/' "$BUNDLE/config.json"
[ "$(grep -c '"root":' "$BUNDLE/config.json")" -ge 2 ]
$RUNC run --bundle "$BUNDLE" attack-doubled
