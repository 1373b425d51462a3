#!/usr/bin/env bash
# install-needs.sh build|fuzz|deb|rpm|test|bench|demo: installs what that target needs and this machine lacks.
# Installs nothing that is there, starts no service, and leaves no policy file of its own behind.
set -euo pipefail

want=${1:?usage: install-needs.sh build|fuzz|deb|rpm|test|bench|demo}

# command or file -> Debian package
declare -A build_needs=([cc]=gcc [musl-gcc]=musl-tools)
declare -A fuzz_needs=([c++]=g++)
declare -A deb_needs=([dpkg-deb]=dpkg)
declare -A rpm_needs=([rpmbuild]=rpm)
declare -A engine_needs=([dockerd]=docker.io [docker]=docker.io [containerd]=containerd [runc]=runc
    [docker-registry]=docker-registry [/bin/busybox]=busybox-static [curl]=curl)
declare -A podman_needs=([podman]=podman [runc]=runc [docker-registry]=docker-registry [/bin/busybox]=busybox-static)
declare -A runc_needs=([runc]=runc [/bin/busybox]=busybox-static)
declare -A crun_needs=([crun]=crun [/bin/busybox]=busybox-static)
declare -A test_needs=([strace]=strace [crun]=crun [podman]=podman [/usr/libexec/podman/catatonit]=catatonit
    [nginx]=nginx-light [jq]=jq [skopeo]=skopeo [ssh-agent]=openssh-client
    [debootstrap]=debootstrap [lintian]=lintian [man]=man-db [systemd-analyze]=systemd [systemd-nspawn]=systemd-container
    [influxd]=influxdb [prometheus]=prometheus [promtool]=prometheus [victoria-metrics]=victoria-metrics
    [chromium]=chromium [docker-compose]=docker-compose
    [zsh]=zsh [fish]=fish [setfattr]=attr [setcap]=libcap2-bin
    [go]=golang-go [/lib/systemd/systemd-journald]=systemd
    [/usr/share/gocode/src/golang.org/x/mod/sumdb/tlog/tlog.go]=golang-golang-x-mod-dev)

missing=()
need() { # need NAME_OF_TABLE
    local -n table=$1
    local what
    for what in "${!table[@]}"; do
        case $what in
        /*) [ -e "$what" ] || missing+=("${table[$what]}") ;;
        *) PATH=$PATH:/usr/sbin:/sbin command -v "$what" >/dev/null || missing+=("${table[$what]}") ;;
        esac
    done
}
need build_needs
case $want in
build) ;;
fuzz) need fuzz_needs ;;
deb) need deb_needs ;;
rpm) need rpm_needs ;;
demo)
    # The engine that was asked for, else one that is here, else Docker.
    engine=${ENGINE:-$("$(dirname "$0")/../packaging/demo/demo.sh" --which 2>/dev/null || echo docker)}
    case $engine in
    docker) need engine_needs ;;
    podman) need podman_needs ;;
    runc) need runc_needs ;;
    crun) need crun_needs ;;
    *) ;; # what it lacks, the demo says itself
    esac
    ;;
test | bench) need fuzz_needs && need deb_needs && need rpm_needs && need engine_needs && need test_needs ;;
*) echo "install-needs.sh: unknown target '$want'" >&2 && exit 64 ;;
esac
# The busybox of Debian's `busybox` package is dynamic; images are made of the static one.
case $want in build | fuzz | deb | rpm) images= ;; *) images=yes ;; esac
if [ -n "$images" ] && [ -e /bin/busybox ] && ldd /bin/busybox >/dev/null 2>&1; then
    missing+=(busybox-static)
fi

if [ "${#missing[@]}" -gt 0 ]; then
    if [ "$(id -u)" != 0 ]; then
        echo "install-needs.sh: as root, install: ${missing[*]}" >&2
        exit 1
    fi
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    export DEBIAN_FRONTEND=noninteractive
    echo "installing ${missing[*]}"
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null 2>&1 || {
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    }
fi

if ! command -v cargo >/dev/null; then
    echo "install-needs.sh: no cargo; install Rust 1.89 or newer, for example with rustup" >&2
    exit 1
fi
target=x86_64-unknown-linux-musl
if [ ! -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ]; then
    rustup target add "$target"
fi
