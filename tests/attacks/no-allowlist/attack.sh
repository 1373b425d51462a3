. "$LIB"
rm -r "$STATE/allowlist"
run withdrawn:1
