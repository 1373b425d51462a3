. "$LIB"
mv "$STATE/gate.bin" "$WORK/gate.bin"
ln -s "$WORK/gate.bin" "$STATE/gate.bin"
run stranger:1
