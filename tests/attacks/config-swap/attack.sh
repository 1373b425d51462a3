. "$LIB"
run other:1
