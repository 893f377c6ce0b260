# Clean roots of Debian, and the package built for them. Sourced after lab.sh and box.sh, and used while Debian can still be
# reached (before lab_enter):
#
#   deb_need bookworm            $DEB is `make deb`'s package for that release
#   deb_root NAME bookworm       $DEB_ROOT is a fresh copy of a minimal root
#   deb_in NAME COMMAND...       in that copy, with /proc, /dev and this tree as /src
#   deb_done NAME                away with it
#
# Everything is below $NSVPN_BOX_CACHE (box.sh). On a machine of that very release the package is built on the machine, as people
# do; for another one in a root of that release, because its libraries and compiler are others.

DEB_HERE=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
# What building needs, as tests/deps says it.
DEB_BUILD=dpkg-dev,$(sed -n '/^build="/,/"$/p' "$LAB_TOP/tests/deps" | sed 's/^build=//' | tr -s '" \n' ' ' | sed 's/^ //; s/ $//; s/ /,/g')

deb_fail() { # WHAT LOG
  tail -n 20 "$2" | sed 's/^/# /'
  echo "not ok 1 - $1"
  echo "1..1"
  exit 1
}

# How this machine reaches its mirror, for apt inside: its administrator's files, not those of its packages.
deb_settings() { # ROOT
  local f
  for f in /etc/apt/apt.conf.d/* /etc/apt/trusted.gpg.d/* /etc/apt/auth.conf.d/*; do
    if [ -f "$f" ] && ! dpkg -S "$f" >/dev/null 2>&1; then install -D -m 644 "$f" "$1$f"; fi
  done
  mkdir -p "$1/etc/ssl"
  cp -aL /etc/ssl/certs "$1/etc/ssl/" 2>/dev/null
  cp -L /etc/hosts /etc/resolv.conf "$1/etc/"
  printf '#!/bin/sh\nexit 101\n' >"$1/usr/sbin/policy-rc.d"
  chmod 755 "$1/usr/sbin/policy-rc.d"
}

deb_clean() { # SUITE: makes the minimal root, once; 0 made, 77 no mirror, else failed
  local suite=$1 root=$NSVPN_BOX_CACHE/clean-$1 scripts=/usr/share/debootstrap/scripts
  [ -e "$root.ok" ] && return 0
  [ -e "$root.none" ] && return 77
  rm -rf --one-file-system "$root"
  # shellcheck disable=SC2046
  if ! debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" $(box_mirror) \
    $([ -e $scripts/"$suite" ] || echo $scripts/sid) >"$root.log" 2>&1; then # a suite that is newer than debootstrap
    grep -qE "Failed getting release file|Couldn't download|Invalid Release" "$root.log" || return 1
    : >"$root.none"
    return 77
  fi
  deb_settings "$root"
  chroot "$root" apt-get update -q >>"$root.log" 2>&1 || return 1
  : >"$root.ok"
}

deb_root() { # NAME SUITE [PACKAGES, comma separated]
  local rc
  DEB_ROOT=$NSVPN_BOX_CACHE/$1
  (
    flock 9
    deb_clean "$2"
  ) 9>"$NSVPN_BOX_CACHE/clean-$2.lock"
  rc=$?
  [ $rc != 77 ] || skip_all "no Debian mirror can be reached from here"
  [ $rc = 0 ] || deb_fail "a clean root of Debian $2" "$NSVPN_BOX_CACHE/clean-$2.log"
  rm -rf --one-file-system "$DEB_ROOT"
  cp -a --reflink=auto "$NSVPN_BOX_CACHE/clean-$2" "$DEB_ROOT"
  [ -z "${3:-}" ] && return
  # shellcheck disable=SC2086
  deb_in "$1" apt-get install -q -y --no-install-recommends ${3//,/ } >"$DEB_ROOT.log" 2>&1 ||
    deb_fail "packages for a root of Debian $2" "$DEB_ROOT.log"
}

deb_in() { # NAME COMMAND...
  unshare --mount --pid --fork --kill-child --propagation private bash -c '
    root=$1 top=$2
    shift 2
    mkdir -p "$root/src"
    mount -t proc proc "$root/proc" && mount --rbind /dev "$root/dev" && mount -t tmpfs -o mode=755 run "$root/run" &&
      mount --bind "$top" "$root/src" && mount -o remount,bind,ro "$root/src" || exit 125
    cd "$root" && exec chroot "$root" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
      LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive ${http_proxy:+http_proxy=$http_proxy} ${https_proxy:+https_proxy=$https_proxy} "$@"
  ' deb "$NSVPN_BOX_CACHE/$1" "$LAB_TOP" "${@:2}" </dev/null
}

deb_done() { rm -rf --one-file-system "${NSVPN_BOX_CACHE:?}/$1" "$NSVPN_BOX_CACHE/$1.log"; }

deb_build() { # SUITE FOLDER LOG
  if [ "$1" = "$DEB_HERE" ]; then
    "$LAB_TOP"/units/debian/build "$2" >"$3" 2>&1
    return
  fi
  deb_root "build-$1" "$1" "$DEB_BUILD"
  mkdir -p "$2"
  deb_in "build-$1" /src/units/debian/build /made >"$3" 2>&1 && cp -r "$DEB_ROOT/made/deb" "$2"/
  local rc=$?
  deb_done "build-$1"
  return $rc
}

deb_need() { # SUITE: sets DEB
  local folder
  if [ "${NSVPN_LAB:-}" = inside ]; then
    DEB=$(echo "$NSVPN_BOX_CACHE/deb-$1"/deb/*.deb)
    return
  fi
  [ "$(id -u)" = 0 ] || skip_all "the lab needs root"
  [ -z "${NSVPN_FRESH:-}" ] || skip_all "containers are not made inside a fresh root"
  for t in debootstrap dpkg-buildpackage; do command -v $t >/dev/null || skip_all "$t is not installed"; done
  box_cache
  folder=$NSVPN_BOX_CACHE/deb-$1
  (
    flock 8
    [ -e "$folder.ok" ] || { deb_build "$1" "$folder" "$folder.log" && : >"$folder.ok"; }
  ) 8>"$folder.lock"
  [ -e "$folder.ok" ] || deb_fail "a package for Debian $1" "$folder.log"
  DEB=$(echo "$folder"/deb/*.deb)
}
