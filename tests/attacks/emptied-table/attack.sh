. "$LIB"
for table in "$STATE"/allowlist/*.idx; do : >"$table"; done
run withdrawn:1
