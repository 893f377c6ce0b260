#!/bin/bash
# t-matrix.sh against servers of OpenVPN 2.7, from Debian's backports in a root of their own.
export NSVPN_MATRIX=2.7
exec bash "$(dirname "$(readlink -f "$0")")/t-matrix.sh" "$@"
