#!/bin/bash
# t-deb.sh in a container of Debian 13; on Debian 12 the upgrade is from the package of the one to that of the other.
export NSVPN_BOX_SUITE=trixie
exec bash "$(dirname "$(readlink -f "$0")")/t-deb.sh" "$@"
