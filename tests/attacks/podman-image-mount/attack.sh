. "$LIB"
podman run --rm --mount type=image,source=stranger:1,destination=/other --entrypoint /other/bin/app app:1
