#!/bin/bash
# t-inside.sh in a container of Debian 13.
export NSVPN_BOX_SUITE=trixie
exec bash "$(dirname "$(readlink -f "$0")")/t-inside.sh" "$@"
