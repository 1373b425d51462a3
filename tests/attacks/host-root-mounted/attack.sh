. "$LIB"
run -v /:/data --entrypoint /bin/sh app:1 -c "touch /data$STATE/x && echo $MARK"
