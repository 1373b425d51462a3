. "$LIB"
chmod g+w "$STATE/gate.bin"
run stranger:1
