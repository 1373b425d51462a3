. "$LIB"
rm "$STATE/gate.bin"
run stranger:1
