#!/bin/bash
# t-units-life.sh in a container of Debian 14 (forky), with systemd without cgroups of version 1.
export NSVPN_BOX_SUITE=forky
exec bash "$(dirname "$(readlink -f "$0")")/t-units-life.sh" "$@"
