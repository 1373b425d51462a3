. "$LIB"
umount "$BUNDLE/rootfs"
lower=$(docker image inspect --format '{{.GraphDriver.Data.UpperDir}}:{{.GraphDriver.Data.LowerDir}}' stranger:1)
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$BUNDLE/upper,workdir=$BUNDLE/work" "$BUNDLE/rootfs"
$RUNC run --bundle "$BUNDLE" attack-layers
