. "$LIB"
sed -i 's/"mode":"enforce"/"mode":"audit"/' "$STATE/gate.bin"
grep -q '"mode":"audit"' "$STATE/gate.bin"
run stranger:1
