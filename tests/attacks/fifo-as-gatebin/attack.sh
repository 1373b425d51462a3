. "$LIB"
rm "$STATE/gate.bin"
mkfifo -m 644 "$STATE/gate.bin"
run stranger:1
