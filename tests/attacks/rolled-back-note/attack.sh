. "$LIB"
cp -a "$NODE/before-withdrawal" "$WORK/old"
rm -r "$STATE/allowlist"
cp -a "$WORK/old" "$STATE/allowlist"
if [ -n "$OFF" ]; then rm "$STATE/high-water"; fi
run withdrawn:1
