#!/bin/bash
# t-matrix.sh against servers of OpenVPN 2.5, from Debian's version 11 in a root of their own.
export NSVPN_MATRIX=2.5
exec bash "$(dirname "$(readlink -f "$0")")/t-matrix.sh" "$@"
