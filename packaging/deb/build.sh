#!/usr/bin/env bash
# build.sh VERSION DIST: Debian's package from what `make install` installs, the same bytes each time.
set -euo pipefail
cd "$(dirname "$0")/../.."
version=$1 dist=$2
: "${SOURCE_DATE_EPOCH:?run 'make deb'}" "${VCN_HOOK_BIN:?run 'make deb'}"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root doc=$work/root/usr/share/doc/vcn-hook
umask 022
mkdir "$root" "$root/DEBIAN"
make -s install DESTDIR="$root" PREFIX=/usr BINARY="$VCN_HOOK_BIN"

# What Debian wants elsewhere or otherwise.
rm "$doc/LICENSE"
cat >"$doc/copyright" <<'END'
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: vcn-hook

Files: *
Copyright: 2026 The vcn-hook maintainers
License: Apache-2.0
 On Debian systems, the full text of the Apache License, version 2.0, is in
 /usr/share/common-licenses/Apache-2.0.
END
cat <<END | gzip -9n >"$doc/changelog.gz"
vcn-hook ($version) unstable; urgency=medium

  * What is new is in CHANGELOG.md.

 -- The vcn-hook maintainers <maintainers@vcn-hook.invalid>  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
END

mv "$root/usr/share/zsh/site-functions" "$root/usr/share/zsh/vendor-completions"
find "$root/usr/share/man" -type f -exec gzip -9n {} +
install -d "$root/etc/vcn-hook/conf.d" "$root/usr/share/lintian/overrides"
install -m 0644 packaging/deb/lintian-overrides "$root/usr/share/lintian/overrides/vcn-hook"

install -m 0755 packaging/deb/{postinst,prerm,postrm} "$root/DEBIAN/"
(cd "$root" && find etc -type f -printf '/%p\n' | LC_ALL=C sort) >"$root/DEBIAN/conffiles"
(cd "$root" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
size=$(cd "$root" && find etc usr -printf '%k\n' | awk '{all += $1} END {print all}')
sed "s/@VERSION@/$version/; s/@SIZE@/$size/" packaging/deb/control >"$root/DEBIAN/control"

find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
mkdir -p "$dist"
dpkg-deb --root-owner-group -Zxz --build "$root" "$dist/vcn-hook_${version}_amd64.deb" >&2
echo "$dist/vcn-hook_${version}_amd64.deb"
