#!/usr/bin/env bash
# make demo: a notarized image starts, others are refused. Each step is shown as you would type it.
# Uses a Docker daemon of its own, touches no other, and leaves nothing behind.
set -euo pipefail

[ "$(id -u)" = 0 ] || { echo "make demo starts a Docker daemon of its own: run it as root" >&2; exit 1; }
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
binary=${VCN_HOOK_BIN:?set by the Makefile}
image=127.0.0.1:5077/greeter
home=$(mktemp -d /var/lib/vcn-hook-demo.XXXXXX)
chmod 755 "$home"
daemon= registry=

cleanup() {
    status=$?
    trap - EXIT
    set +e
    for pid in $daemon $registry; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null; done
    awk -v t="$home/" 'index($5, t) == 1 {print $5}' /proc/self/mountinfo | sort -r | xargs -r -n1 umount -l 2>/dev/null
    rm -rf --one-file-system "$home"
    if [ "$status" != 0 ]; then echo "The demo did not behave as it should (exit $status)." >&2; fi
    exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

bold() { if [ -t 1 ]; then printf '\n\033[1m%s\033[0m\n' "$*"; else printf '\n%s\n' "$*"; fi; }
step() { bold "# $*"; }
show() { printf '$ %s\n' "$*"; }

# Shows a command, runs it, and ends the demo if it fails.
do_() { show "$@"; "$@"; }

# Shows a command that must fail with this reason code and never say anything of its own.
refused() { # refused CODE COMMAND...
    local code=$1 output status=0
    shift
    show "$@"
    output=$("$@" 2>&1) || status=$?
    printf '%s\n' "$output"
    if [ "$status" = 0 ] || ! grep -qF "($code)" <<<"$output" || grep -q 'hello from' <<<"$output"; then
        echo "expected a refusal with '$code'" >&2
        return 1
    fi
}

# The daemon's runc is the gate; -c names this demo's configuration instead of /etc/vcn-hook.
prepare() {
    mkdir -p "$home/bin" "$home/etc" "$home/home" "$home/ctx"
    ln -s "$binary" "$home/bin/vcn-hook"
    printf '#!/bin/sh\nexec %s -c %s runtime -- "$@"\n' "$binary" "$home/etc/config.toml" >"$home/bin/runc"
    chmod 755 "$home/bin/runc"
    cat >"$home/etc/config.toml" <<END
state_dir = "$home/state"
run_dir = "$home/run"
decisions = "$home/log/decisions.jsonl"
[runtime]
runc = "$(command -v runc)"
[engines]
docker_roots = ["$home/docker"]
docker_socket = "$home/docker.sock"
END
    export DOCKER_HOST=unix://$home/docker.sock HOME=$home/home XDG_CONFIG_HOME=$home/home/.config
    export VCN_HOOK_CONFIG=$home/etc/config.toml
    unset DOCKER_CONTEXT DOCKER_CONFIG DOCKER_TLS_VERIFY
}

start_daemon() {
    echo '{}' >"$home/daemon.json"
    PATH=$home/bin:$PATH dockerd --config-file "$home/daemon.json" --data-root "$home/docker" \
        --exec-root "$home/exec" --host "$DOCKER_HOST" --pidfile "$home/docker.pid" --storage-driver overlay2 \
        --iptables=false --ip6tables=false --bridge=none --shutdown-timeout 1 >"$home/docker.log" 2>&1 &
    daemon=$!
    for _ in $(seq 300); do
        docker version >/dev/null 2>&1 && return
        kill -0 "$daemon" 2>/dev/null || break
        sleep 0.1
    done
    tail -20 "$home/docker.log" >&2
    return 1
}

start_registry() {
    local port
    for port in 5077 5078 5079 5177 5277; do
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then break; fi
    done
    image=127.0.0.1:$port/greeter
    printf 'version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: 127.0.0.1:%s}\n' \
        "$home/registry" "$port" >"$home/registry.yml"
    docker-registry serve "$home/registry.yml" >"$home/registry.log" 2>&1 &
    registry=$!
    for _ in $(seq 100); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return
        sleep 0.1
    done
    return 1
}

# layer NAME FILE...: a layer with these files of the build folder, the same bytes at each run.
layer() {
    mkdir -p "$home/image/$1"
    tar -C "$home/ctx" --owner=0 --group=0 --numeric-owner --mtime=@0 --sort=name -cf "$home/image/$1/layer.tar" "${@:2}"
}

# make_image TAG CONFIG-JSON LAYER...: an image of these layers, loaded into the daemon.
make_image() {
    local tag=$1 config=$2 layer ids= names=
    shift 2
    for layer in "$@"; do
        ids=$ids,\"sha256:$(sha256sum "$home/image/$layer/layer.tar" | cut -d' ' -f1)\"
        names=$names,\"$layer/layer.tar\"
    done
    printf '{"architecture":"amd64","os":"linux","config":%s,"rootfs":{"type":"layers","diff_ids":[%s]}}' \
        "$config" "${ids#,}" >"$home/image/config.json"
    printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":[%s]}]' "$tag" "${names#,}" >"$home/image/manifest.json"
    tar -C "$home/image" -cf - config.json manifest.json "$@" | docker load -q >/dev/null
}

# Three layers (a busybox, a script, its text), pushed to a registry on this machine and nowhere else.
publish_image() {
    mkdir -p "$home/ctx/bin" "$home/ctx/srv"
    cp /bin/busybox "$home/ctx/bin/busybox"
    ln -s busybox "$home/ctx/bin/sh"
    ln -s busybox "$home/ctx/bin/cat"
    printf '#!/bin/sh\ncat /srv/text\n' >"$home/ctx/bin/greet"
    chmod 755 "$home/ctx/bin/greet"
    echo "hello from a notarized image" >"$home/ctx/srv/text"
    layer base bin/busybox bin/sh bin/cat
    layer app bin/greet
    layer text srv/text
    make_image "$image:1.0" '{"Entrypoint":["/bin/greet"]}' base app text
    docker push -q "$image:1.0" >/dev/null
    docker rmi "$image:1.0" >/dev/null
}

# The same three layers under other words, and an image with a text of its own.
make_others() {
    make_image "$image:lookalike" '{"Entrypoint":["/bin/sh","-c","echo hello from other words"]}' base app text
    echo "hello from an image that nobody notarized" >"$home/ctx/srv/text"
    layer other srv/text
    make_image stranger:latest '{"Entrypoint":["/bin/greet"]}' base app other
}

prepare
bold "vcn-hook demo: a private Docker daemon, whose runc is vcn-hook"
start_daemon
start_registry
publish_image
PATH=$home/bin:$PATH

step "A ledger on this machine, and this node enrolled with it"
do_ vcn-hook ledger init "$home/ledger" --origin demo.example/ledger
do_ vcn-hook enroll "$home/ledger"

step "An image of three layers from a registry. Nobody vouches for it yet: it does not start"
do_ docker pull "$image:1.0"
refused unknown docker run --rm --network=none "$image:1.0"

step "Its publisher notarizes it, the node syncs, and it starts"
do_ vcn-hook notarize "docker://$image:1.0"
do_ vcn-hook sync
do_ vcn-hook verify "docker://$image:1.0"
do_ docker run --rm --network=none "$image:1.0" | tee "$home/said"
grep -q 'hello from a notarized image' "$home/said"

make_others
step "Another image, which nobody notarized"
refused unknown docker run --rm --network=none stranger:latest

step "The very same layers under another config: another entry point, another image"
refused unknown docker run --rm --network=none "$image:lookalike"

step "A container that is there already, and then its image is no longer trusted"
show docker create --name kept --network=none "$image:1.0"
docker create --name kept --network=none "$image:1.0" >/dev/null
do_ vcn-hook untrust "docker://$image:1.0" --reason "CVE-2026-0001"
do_ vcn-hook sync
refused untrusted docker start --attach kept
refused untrusted docker run --rm --network=none "$image:1.0"

step "Why, in the node's own words"
do_ vcn-hook explain kept
do_ vcn-hook status

bold "Done: one image started while it was trusted, and nothing else did."
