. "$LIB"
sed -i 's/^time \([0-9]*\) [0-9]*$/time \1 4102444800/' "$STATE/allowlist/note"
run withdrawn:1
