#!/bin/bash
# t-deb-clean.sh with a root of Debian 13, for which the package is built there.
export NSVPN_BOX_SUITE=trixie
exec bash "$(dirname "$(readlink -f "$0")")/t-deb-clean.sh" "$@"
