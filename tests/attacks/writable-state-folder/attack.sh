. "$LIB"
chmod o+w "$STATE"
run stranger:1
