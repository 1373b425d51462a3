#!/usr/bin/env bash
# roots.sh SUITE: makes a clean Debian root (bookworm, trixie) with Docker in it, and prints where it is.
# It is kept outside the clone and made again when it is gone or this file asks for other packages.
# Tests never write to it: they run on an overlay.
set -euo pipefail

suite=${1:?usage: roots.sh SUITE}
# What a new user's machine has before ours comes: an engine, and systemd, which would be PID 1.
packages=(ca-certificates containerd crun dbus docker.io iptables kmod logrotate runc systemd systemd-sysv udev busybox-static)
# What tests ask with: rpm for the other package.
packages+=(rpm)
case $suite in
bookworm) ;;
*) packages+=(docker-cli) ;; # a package of its own since Debian 13
esac

cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/vcn-hook-ci/roots
root=$cache/$suite
mkdir -p "$cache"
exec 9>"$cache/$suite.lock"
flock 9 # two test files may want it at once

# What would be built: this script and the day's rule are all that decides.
want=$(sha256sum <"$0")
if [ "$(cat "$root.made" 2>/dev/null)" = "$want" ] && [ -x "$root/usr/bin/dockerd" -o -x "$root/usr/sbin/dockerd" ]; then
    echo "$root"
    exit
fi

# The mirror is the one that this machine installs from.
mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -m1 '/debian/\?$') ||
    { echo "roots.sh: apt knows no Debian mirror" >&2; exit 1; }
echo "roots.sh: making a $suite root" >&2
rm -rf "$root" "$root.made"
{
    debootstrap --variant=minbase "$suite" "$root" "$mirror"
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod 755 "$root/usr/sbin/policy-rc.d"
    printf 'path-exclude=/usr/share/doc/*\npath-exclude=/usr/share/locale/*\n' >"$root/etc/dpkg/dpkg.cfg.d/small"
    cp /etc/resolv.conf "$root/etc/resolv.conf"
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
        chroot "$root" apt-get install -y --no-install-recommends "${packages[@]}"
    rm -f "$root/usr/sbin/policy-rc.d" "$root/etc/dpkg/dpkg.cfg.d/small"
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
} >"$cache/$suite.log" 2>&1 || { tail -20 "$cache/$suite.log" >&2; exit 1; }
echo "$want" >"$root.made"
echo "$root"
