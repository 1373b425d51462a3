. "$LIB"
# The publisher's own key, and a ledger for trying things out.
sed '/^ledger/d' "$CONFIG" >"$WORK/config.toml"
staging() { "$VCN" -c "$WORK/config.toml" "$@" >&2; }
staging ledger init "$WORK/staging" --origin ledger.test/staging
staging notarize --ledger "$WORK/staging" docker://stranger:1
serve
state_all "$WORK/staging"
unserve
vcn sync >&2
run stranger:1
