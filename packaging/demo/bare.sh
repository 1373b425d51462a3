# What the demo does without an engine: bundles by hand, each an image by root's word. Sourced by engine-runc.sh and
# engine-crun.sh, which say what `bare` is.

settings() { :; }

prepare_engine() {
    mkdir -p "$home/images" "$home/bundles" "$home/etc/conf.d"
    # crun takes a cgroup2 hierarchy that is mounted beside cgroup v1 for the one to use, and then fails.
    if [ "$bare" = crun ] && [ -d /sys/fs/cgroup/unified ]; then
        printf '#!/bin/sh\nexec unshare -m sh -c '\''umount /sys/fs/cgroup/unified; exec "$@"'\'' sh %s -c %s runtime crun -- "$@"\n' \
            "$binary" "$home/etc/config.toml" >"$home/bin/crun"
    fi
}

start_engine() { :; }

stop_engine() { "$bare" --root "$home/containers" delete --force kept >/dev/null 2>&1; }

# What a bundle, and everything about it, is called here: the last part of the image's name.
called() { basename "$1" | tr -c 'a-z0-9.\n' -; }

# A bundle of the image's files and its entry point, and root's word on what it is.
load_image() {
    local name archive bundle layer args
    name=$(called "$1")
    archive=$home/images/$name.tar
    bundle=$home/bundles/$name
    cat >"$archive"
    mkdir -p "$bundle/rootfs/proc" "$bundle/rootfs/dev" "$home/unpacked"
    tar -C "$home/unpacked" -xf "$archive"
    for layer in $(grep -o '[a-z]*/layer.tar' "$home/unpacked/manifest.json"); do
        tar -C "$bundle/rootfs" -xf "$home/unpacked/$layer"
    done
    args=$(sed -n 's/.*"Entrypoint":\(\[[^]]*\]\).*/\1/p' "$home/unpacked/config.json")
    printf '[[bundle]]\npath = "%s"\nconfig = "sha256:%s"\n' "$bundle" \
        "$(sha256sum "$home/unpacked/config.json" | cut -d' ' -f1)" >"$home/etc/conf.d/$name.toml"
    rm -rf "$home/unpacked"
    cat >"$bundle/config.json" <<END
{ "ociVersion": "1.0.2", "root": { "path": "rootfs", "readonly": true },
  "process": { "user": { "uid": 0, "gid": 0 }, "cwd": "/", "args": $args, "env": ["PATH=/bin"] },
  "mounts": [{ "destination": "/proc", "type": "proc", "source": "proc" },
    { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] }],
  "linux": { "maskedPaths": ["/proc/kcore", "/proc/keys"], "readonlyPaths": ["/proc/sys", "/proc/sysrq-trigger"],
    "namespaces": [{ "type": "pid" }, { "type": "mount" }, { "type": "ipc" }, { "type": "uts" }, { "type": "network" }] } }
END
    # Before the node is enrolled there is nothing to apply it to: enrolling does.
    if [ -e "$home/state/gate.bin" ]; then vcn-hook apply >/dev/null; fi
}

publish() { :; }

refer_to() { ref=docker-archive:$home/images/$(called "$1").tar; }
to_bring() { words=(cat "$home/etc/conf.d/$(called "$1").toml"); }
to_run() { words=("$bare" --root "$home/containers" run --bundle "$home/bundles/$(called "$1")" "ran-$RANDOM"); }
to_keep() { words=("$bare" --root "$home/containers" create --bundle "$home/bundles/$(called "$1")" kept); }
to_start_kept() { words=("$bare" --root "$home/containers" start kept); }
