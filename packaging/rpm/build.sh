#!/usr/bin/env bash
# build.sh VERSION DIST: the rpm from what `make install` installs, the same bytes each time.
set -euo pipefail
cd "$(dirname "$0")/../.."
version=$1 dist=$2
: "${SOURCE_DATE_EPOCH:?run 'make rpm'}" "${VCN_HOOK_BIN:?run 'make rpm'}"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022
make -s install DESTDIR="$work/stage" PREFIX=/usr BINARY="$VCN_HOOK_BIN"
install -d "$work/stage/etc/vcn-hook/conf.d"
find "$work/stage" -path '*/share/man/*' -type f -exec gzip -9n {} +
find "$work/stage" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

# Nothing of the machine that builds it gets in: no host, no build ids, no time of its own.
rpmbuild --quiet -bb packaging/rpm/vcn-hook.spec \
    --target x86_64-linux --buildroot "$work/root" \
    --define "our_version $version" --define "our_stage $work/stage" \
    --define "_topdir $work/top" --define "_rpmdir $work/out" \
    --define '_buildhost reproducible.invalid' --define '_build_id_links none' \
    --define 'use_source_date_epoch_as_buildtime 1' --define 'clamp_mtime_to_source_date_epoch 1' \
    --define '__os_install_post %{nil}' --define '_binary_payload w6.xzdio' >&2
mkdir -p "$dist"
cp "$work/out/x86_64/vcn-hook-$version-1.x86_64.rpm" "$dist/"
echo "$dist/vcn-hook-$version-1.x86_64.rpm"
