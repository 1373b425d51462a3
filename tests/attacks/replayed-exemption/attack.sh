. "$LIB"
note=ended
if [ -n "$OFF" ]; then note=sound; fi
mkdir "${CONFIG%/*}/exemptions"
cp "$NODE/forged/$note.note" "${CONFIG%/*}/exemptions/"
vcn apply >&2
run stranger:1
