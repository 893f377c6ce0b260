#!/bin/bash
# t-interop.sh against servers of OpenVPN 2.7: epoch keys wherever the cipher is AEAD.
export NSVPN_INTEROP=2.7
exec bash "$(dirname "$(readlink -f "$0")")/t-interop.sh" "$@"
