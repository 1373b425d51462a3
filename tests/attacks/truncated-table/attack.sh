. "$LIB"
for table in "$STATE"/allowlist/*.idx; do
    truncate -s $(($(stat -c %s "$table") - 4096)) "$table"
done
run withdrawn:1
