# The demo on crun by hand. Sourced by demo.sh.
needs='crun'
title="crun by hand, which is vcn-hook, on bundles that root says are images"
bare=crun
# shellcheck source=bare.sh
. "$here/bare.sh"
