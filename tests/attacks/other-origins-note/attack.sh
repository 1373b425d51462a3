. "$LIB"
export XDG_CONFIG_HOME="$WORK/home" HOME="$WORK/home"
mkdir -p "$WORK/etc" "$WORK/home"
printf 'state_dir = "%s"\nrun_dir = "%s"\ndecisions = "%s"\n[engines]\ndocker_roots = ["%s"]\n' \
    "$WORK/state" "$WORK/run" "$WORK/log" "$DOCKER_ROOT" >"$WORK/etc/config.toml"
CONFIG=$WORK/etc/config.toml
vcn ledger init "$WORK/ledger" --origin ledger.test/other >&2
vcn enroll "$WORK/ledger" >&2
vcn notarize docker://withdrawn:1 >&2
vcn sync >&2
rm -r "$STATE/allowlist"
cp -a "$WORK/state/allowlist" "$STATE/allowlist"
run withdrawn:1
