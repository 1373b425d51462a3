. "$LIB"
$CRUN run "--bund=$BUNDLE" attack-abbreviated
