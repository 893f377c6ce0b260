#!/bin/bash
# t-p2p.sh against servers of OpenVPN 2.7.
export NSVPN_INTEROP=2.7
exec bash "$(dirname "$(readlink -f "$0")")/t-p2p.sh" "$@"
