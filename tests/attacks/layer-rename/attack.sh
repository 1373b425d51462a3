. "$LIB"
layer=$(layer_with app:1 bin/app)
mv "$layer" "$layer.true"
cp -a "$layer.true" "$layer"
cp "$EVIL" "$layer/bin/app"
trap 'if [ -e "$layer.true" ]; then rm -rf "$layer"; mv "$layer.true" "$layer"; fi; rm -rf "$layer.foreign"' EXIT
echo "mv '$layer' '$layer.foreign'; mv '$layer.true' '$layer'" >"$BEFORE"
run app:1
