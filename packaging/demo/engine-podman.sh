# The demo on Podman with a storage of its own, whose runtime is vcn-hook. Sourced by demo.sh.
needs='podman conmon runc docker-registry'
title="Podman with a storage of its own, whose runc is vcn-hook"

settings() {
    printf '[engines]\ndocker_roots = []\nstorage_roots = ["%s"]\n' "$home/storage"
}

# Podman reads all this from its own files, so that its commands are the ones that you would type.
prepare_engine() {
    cat >"$home/etc/containers.conf" <<END
[engine]
runtime = "runc"
tmp_dir = "$home/libpod"
cgroup_manager = "cgroupfs"
events_logger = "none"
[engine.runtimes]
runc = ["$home/bin/runc"]
[containers]
log_driver = "k8s-file"
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
END
    printf '[storage]\ndriver = "overlay"\ngraphroot = "%s"\nrunroot = "%s"\n' \
        "$home/storage" "$home/storage-run" >"$home/etc/storage.conf"
    printf '{"default":[{"type":"insecureAcceptAnything"}]}' >"$home/etc/policy.json"
    printf '[[registry]]\nlocation = "127.0.0.1"\ninsecure = true\n' >"$home/etc/registries.conf"
    for port in 5077 5078 5079 5177 5277; do
        printf '[[registry]]\nlocation = "127.0.0.1:%s"\ninsecure = true\n' $port >>"$home/etc/registries.conf"
    done
    export CONTAINERS_CONF=$home/etc/containers.conf CONTAINERS_STORAGE_CONF=$home/etc/storage.conf
    export CONTAINERS_REGISTRIES_CONF=$home/etc/registries.conf
    unset CONTAINER_HOST CONTAINER_CONNECTION
}

start_engine() { start_registry; }

# What still runs of this storage's containers ends with them.
stop_engine() { podman rm --all --force --time 0 >/dev/null 2>&1; }

load_image() { podman load -q >/dev/null 2>&1; }

publish() {
    podman push -q "$1" >/dev/null
    podman rmi "$1" >/dev/null
}

refer_to() { ref=podman://$1; }
to_bring() { words=(podman pull -q "$1"); }
to_run() { words=(podman run --rm --network=none "$1"); }
to_keep() { words=(podman create --name kept --network=none "$1"); }
to_start_kept() { words=(podman start --attach kept); }
