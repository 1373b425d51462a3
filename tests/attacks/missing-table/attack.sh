. "$LIB"
rm "$STATE"/allowlist/*.idx
run withdrawn:1
