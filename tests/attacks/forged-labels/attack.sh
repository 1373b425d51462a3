. "$LIB"
good=$(image_id app:1)
run --name "app-1" --hostname app \
    --label "org.opencontainers.image.ref.digest=$good" --label "io.kubernetes.cri.image-name=app:1" \
    --label "io.kubernetes.cri.container-type=sandbox" --label "vcn-hook.mode=audit" \
    -e VCN_HOOK_MODE=audit -e VCN_HOOK_CONFIG=/dev/null -e "IMAGE=$good" stranger:1
