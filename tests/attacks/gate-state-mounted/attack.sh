. "$LIB"
run -v "$STATE:/data" --entrypoint /bin/sh app:1 -c "touch /data/x && echo $MARK"
