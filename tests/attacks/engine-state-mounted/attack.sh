. "$LIB"
layer=$(layer_with app:1 bin/app)
cp -p "$layer/bin/app" "$WORK/app"
trap 'cp -p "$WORK/app" "$layer/bin/app"' EXIT
inside=/data/${layer#"$DOCKER_ROOT"/}/bin/app
run -v "$DOCKER_ROOT:/data" --entrypoint /bin/sh app:1 -c "echo 'echo $MARK' >> $inside"
run app:1
