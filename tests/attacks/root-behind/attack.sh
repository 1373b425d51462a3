. "$LIB"
run withdrawn:1
