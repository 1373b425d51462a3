# The demo on runc by hand. Sourced by demo.sh.
needs='runc'
title="runc by hand, which is vcn-hook, on bundles that root says are images"
bare=runc
# shellcheck source=bare.sh
. "$here/bare.sh"
