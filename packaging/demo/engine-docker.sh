# The demo on a Docker daemon of its own, whose runc is vcn-hook. Sourced by demo.sh.
needs='dockerd docker containerd runc docker-registry'
title="a private Docker daemon, whose runc is vcn-hook"
daemon=

settings() {
    printf '[engines]\ndocker_roots = ["%s"]\ndocker_socket = "%s"\n' "$home/docker" "$home/docker.sock"
}

prepare_engine() {
    export DOCKER_HOST=unix://$home/docker.sock
    unset DOCKER_CONTEXT DOCKER_CONFIG DOCKER_TLS_VERIFY
}

start_engine() {
    echo '{}' >"$home/daemon.json"
    PATH=$home/bin:$PATH dockerd --config-file "$home/daemon.json" --data-root "$home/docker" \
        --exec-root "$home/exec" --host "$DOCKER_HOST" --pidfile "$home/docker.pid" --storage-driver overlay2 \
        --iptables=false --ip6tables=false --bridge=none --shutdown-timeout 1 >"$home/docker.log" 2>&1 &
    daemon=$!
    for _ in $(seq 300); do
        docker version >/dev/null 2>&1 && break
        kill -0 "$daemon" 2>/dev/null || break
        sleep 0.1
    done
    docker version >/dev/null 2>&1 || { tail -20 "$home/docker.log" >&2; return 1; }
    start_registry
}

stop_engine() { end $daemon; }

load_image() { docker load -q >/dev/null; }

publish() {
    docker push -q "$1" >/dev/null
    docker rmi "$1" >/dev/null
}

refer_to() { ref=docker://$1; }
to_bring() { words=(docker pull "$1"); }
to_run() { words=(docker run --rm --network=none "$1"); }
to_keep() { words=(docker create --name kept --network=none "$1"); }
to_start_kept() { words=(docker start --attach kept); }
