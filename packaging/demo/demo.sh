#!/usr/bin/env bash
# make demo: a notarized image starts, others are refused. Each step is shown as you would type it.
# Runs on an engine of its own, touches no other, and leaves nothing behind. Which one: the first that
# this machine has of those below, or ENGINE=docker|podman|runc|crun.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# Each engine is one file beside this, which has
#   needs                 the programs without which it cannot be shown
#   title                 what the demo calls it
#   settings              (function) its part of config.toml, on standard output
#   prepare_engine        (function) files and variables; runs before the daemon, if there is one
#   start_engine          (function) from here on the engine answers
#   stop_engine           (function) at the end, whatever happened
#   load_image TAG        (function) takes a docker-archive on standard input
#   publish TAG           (function) leaves the image where `bring` finds it, and not in the engine
#   refer_to TAG          (function) sets ref: how vcn-hook calls the image
#   to_bring, to_run, to_keep, to_start_kept TAG
#                         (functions) set words: the commands that are shown and run
engines='docker podman runc crun'

# pick: the engine that was asked for, or the first whose programs are here.
pick() {
    local name program
    for name in ${ENGINE:-$engines}; do
        [ -e "$here/engine-$name.sh" ] || { echo "ENGINE is one of:" $engines >&2; return 64; }
        needs=$(sed -n "s/^needs='\(.*\)'$/\1/p" "$here/engine-$name.sh")
        for program in $needs; do
            command -v "$program" >/dev/null || { missing="$name needs $program"; continue 2; }
        done
        engine=$name
        return
    done
    echo "nothing to show it on: $missing" >&2
    return 1
}
engine= missing=
pick
if [ "${1:-}" = --which ]; then echo "$engine"; exit; fi

[ "$(id -u)" = 0 ] || { echo "make demo starts containers: run it as root" >&2; exit 1; }
binary=${VCN_HOOK_BIN:?set by the Makefile}
image=127.0.0.1:5077/greeter
home=$(mktemp -d /var/lib/vcn-hook-demo.XXXXXX)
chmod 755 "$home"
registry=
# shellcheck source=/dev/null
. "$here/engine-$engine.sh"

cleanup() {
    status=$?
    trap - EXIT
    set +e
    stop_engine
    end $registry
    awk -v t="$home/" 'index($5, t) == 1 {print $5}' /proc/self/mountinfo | sort -r | xargs -r -n1 umount -l 2>/dev/null
    rm -rf --one-file-system "$home"
    if [ "$status" != 0 ]; then echo "The demo did not behave as it should (exit $status)." >&2; fi
    exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

end() { for pid in "$@"; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null; done; }
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

# The engine's runtimes are the gate; -c names this demo's configuration instead of /etc/vcn-hook.
prepare() {
    mkdir -p "$home/bin" "$home/etc" "$home/home" "$home/ctx"
    ln -s "$binary" "$home/bin/vcn-hook"
    {
        printf 'state_dir = "%s"\nrun_dir = "%s"\ndecisions = "%s"\n' \
            "$home/state" "$home/run" "$home/log/decisions.jsonl"
        echo '[runtime]'
        for runtime in runc crun; do
            if real=$(command -v $runtime); then echo "$runtime = \"$real\""; fi
        done
        settings
    } >"$home/etc/config.toml"
    for runtime in runc crun; do
        printf '#!/bin/sh\nexec %s -c %s runtime %s -- "$@"\n' "$binary" "$home/etc/config.toml" $runtime \
            >"$home/bin/$runtime"
        chmod 755 "$home/bin/$runtime"
    done
    export HOME=$home/home XDG_CONFIG_HOME=$home/home/.config VCN_HOOK_CONFIG=$home/etc/config.toml
    prepare_engine
}

# A registry on this machine and nowhere else; image is then a name in it.
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

# make_image TAG CONFIG-JSON LAYER...: an image of these layers, loaded into the engine.
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
    tar -C "$home/image" -cf - config.json manifest.json "$@" | load_image "$tag"
}

# Three layers: a busybox, a script, its text.
make_greeter() {
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
    publish "$image:1.0"
}

# The same three layers under other words, and an image with a text of its own.
make_others() {
    make_image "$image:lookalike" '{"Entrypoint":["/bin/sh","-c","echo hello from other words"]}' base app text
    echo "hello from an image that nobody notarized" >"$home/ctx/srv/text"
    layer other srv/text
    make_image "$stranger" '{"Entrypoint":["/bin/greet"]}' base app other
}

stranger=localhost/stranger:latest
prepare
bold "vcn-hook demo: $title"
start_engine
make_greeter
PATH=$home/bin:$PATH
refer_to "$image:1.0"

step "A ledger on this machine, and this node enrolled with it"
do_ vcn-hook ledger init "$home/ledger" --origin demo.example/ledger
do_ vcn-hook enroll "$home/ledger"

step "An image of three layers. Nobody vouches for it yet: it does not start"
to_bring "$image:1.0" && do_ "${words[@]}"
to_run "$image:1.0" && refused unknown "${words[@]}"

step "Its publisher notarizes it, the node syncs, and it starts"
do_ vcn-hook notarize "$ref"
do_ vcn-hook sync
do_ vcn-hook verify "$ref"
to_run "$image:1.0" && do_ "${words[@]}" | tee "$home/said"
grep -q 'hello from a notarized image' "$home/said"

make_others
step "Another image, which nobody notarized"
to_run "$stranger" && refused unknown "${words[@]}"

step "The very same layers under another config: another entry point, another image"
to_run "$image:lookalike" && refused unknown "${words[@]}"

step "A container that is there already, and then its image is no longer trusted"
to_keep "$image:1.0" && show "${words[@]}" && "${words[@]}" >/dev/null
do_ vcn-hook untrust "$ref" --reason "CVE-2026-0001"
do_ vcn-hook sync
to_start_kept "$image:1.0" && refused untrusted "${words[@]}"
to_run "$image:1.0" && refused untrusted "${words[@]}"

step "Why, in the node's own words"
do_ vcn-hook explain kept
do_ vcn-hook status

bold "Done: one image started while it was trusted, and nothing else did."
