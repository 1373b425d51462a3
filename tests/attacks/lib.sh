# What every attack.sh starts with. The runner sets:
#   DOCKER_HOST, DOCKER_ROOT   a private daemon and its data root
#   NODE, CONFIG, STATE        the node that is attacked, its config.toml and its state
#   LEDGER, VCN                its ledger, and vcn-hook as its administrator
#   EVIL, EVIL_BIN, EVIL_SO     foreign code as a script, a program and a library; each says MARK
#   WORK                       an empty folder of the attacker's
#   BEFORE                     if this file exists, it runs just before a start is judged
#   PODMAN, PODMAN_ROOT        where an attack needs it: podman with a graph root of its own, and that root
#   OFF                        1 while the rule is off (and the attack must succeed), else empty
# Images: app:1 (notarized), dyn:1 (notarized, dynamically linked), stranger:1 (never notarized),
# other:1 (app:1's layers under another config), withdrawn:1 (notarized, then untrusted).
# An attack has succeeded when MARK is on standard output.
set -eu

run() { docker run --rm --network=none "$@"; }
create() { docker create --network=none "$@"; }
vcn() { "$VCN" -c "$CONFIG" "$@"; }
podman() { "$PODMAN" "$@"; }
image_id() { docker image inspect --format '{{.Id}}' "$1"; }

# The folder of the layer that brought FILE into IMAGE.
layer_with() { # layer_with IMAGE FILE
    docker image inspect --format '{{.GraphDriver.Data.UpperDir}}:{{.GraphDriver.Data.LowerDir}}' "$1" |
        tr ':' '\n' | while read -r folder; do
        [ -e "$folder/$2" ] && echo "$folder" && break
    done
}

# The node's ledger over HTTP, as whoever is outside reaches it: sets URL and SERVER.
serve() {
    "$VCN" -c "$CONFIG" -o json ledger serve "$LEDGER" --listen 127.0.0.1:0 >"$WORK/serve" &
    SERVER=$!
    until [ -s "$WORK/serve" ]; do sleep 0.1; done
    URL=$(jq -r .url "$WORK/serve")
}

# Ends it, which waits until what it took is indexed.
unserve() {
    kill "$SERVER"
    wait "$SERVER"
}

# Sends every statement of the log in FOLDER to the served ledger; its answers are shown.
state_all() { # state_all FOLDER
    entries=$(cat "$1"/tile/entries/000.p/* | grep -ao '{"payloadType":[^[]*\[{[^}]*}\]}' | sort -u)
    [ -n "$entries" ]
    echo "$entries" | while read -r entry; do
        printf %s "$entry" | curl -sS --data-binary @- "$URL/add" >&2
    done
}
