. "$LIB"
# A ledger of the attacker's own under the same name, with a signer of the same name.
export HOME="$WORK" XDG_CONFIG_HOME="$WORK/config"
origin=$(head -n 1 "$LEDGER/checkpoint")
sed '/^ledger/d' "$CONFIG" >"$WORK/config.toml"
own() { "$VCN" -c "$WORK/config.toml" "$@" >&2; }
own ledger init "$WORK/ledger" --origin "$origin"
own notarize --ledger "$WORK/ledger" docker://stranger:1
serve
state_all "$WORK/ledger"
unserve
vcn sync >&2
run stranger:1
