#!/bin/bash
# Other machines: cross-built for arm64 and armhf with Debian's compilers, without a warning; the unit tests of both run under
# qemu-user, and those of a 32-bit build (i386) on this kernel itself, because no emulator has netfilter sockets and system call
# filters. Which tests are left out where, and why, says exceptions(). `make deb` for both. Without NSVPN_LONG=1 i386 has only the
# folders next to the kernel that are quick, and one package is made.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
. "$(dirname "$(readlink -f "$0")")/box.sh"
. "$(dirname "$(readlink -f "$0")")/deb.sh"
suite=${NSVPN_BOX_SUITE:-trixie}
[ "$(id -u)" = 0 ] || skip_all "the lab needs root"
[ -z "${NSVPN_FRESH:-}" ] || skip_all "cross compilers are not installed inside a fresh root"
[ "$(uname -m)" = x86_64 ] || skip_all "this machine is not an amd64"
[ -c /dev/net/tun ] || skip_all "there is no /dev/net/tun here"
command -v debootstrap >/dev/null || skip_all "debootstrap is not installed"
box_cache

# architecture, compiler's prefix, what runs its programs, slower by
machines="arm64 aarch64-linux-gnu qemu-aarch64 4
armhf arm-linux-gnueabihf qemu-arm 4
i386 i686-linux-gnu env 1"

# Of i386, and packages.
short="base nl ipc engine"
packages=armhf
[ -z "${NSVPN_LONG:-}" ] || packages="arm64 armhf"
folders() { # ARCHITECTURE
  if [ "$1" = i386 ] && [ -z "${NSVPN_LONG:-}" ]; then echo "$short"; else ls "$LAB_TOP/tests/unit"; fi
}

# What is not run where. Folders that live on the kernel's privileged interfaces (netfilter sockets, system call filters, new mount
# calls, none of which qemu-user has) name the suites that do without; all of them run as i386.
exceptions() { # ARCHITECTURE FOLDER
  local suite
  case $1 in
    i386)
      echo "sandbox::a_forbidden_call_ends_the_process calls go through socketcall(2), whose arguments no filter sees"
      echo "sandbox::a_call_that_passes_has_its_twin_* calls go through socketcall(2), and have no number of their own"
      return
      ;;
  esac
  for suite in $(sed -n "s/^$2: //p" <<'END'
nl: nl_addr nl_link nl_route rtnl
net: journal legacy_tables packet_walk plan step_dns
launch: creds order request
engine: attempt checksum datapath gso moderation monitor_client mss patience stats stream
daemon: access auth_pair handover logfile manager_bus monitor resolve store tunnel tunnel_state
END
  ); do echo "$suite::* run"; done
  case $2 in
    nl | net | launch | engine | daemon) echo "* qemu-user has not what it needs of a kernel" ;;
    base)
      echo "fd::too_many_descriptors_are_refused_whole qemu-user does not say that descriptors were cut off"
      echo "process::signal_state_is_fresh qemu-user keeps for its children what was ignored when it began"
      echo "secret::pages_stay_out_of_dumps qemu-user keeps MADV_DONTDUMP to itself"
      ;;
  esac
}

# ---- inside the root, in namespaces of its own ----

test_one() { # ARCHITECTURE PREFIX RUNNER SLOWER
  local out=/made/$1 folder bin name t0 targets="all unit-bins lab-tools"
  mkdir -p "$out"
  t0=$SECONDS
  if [ "$(folders "$1")" = "$short" ]; then targets="$out/build/nsvpn $out/build/nsvpn-engine $(printf "$out/build/tests/test_%s " $short)"; fi
  # shellcheck disable=SC2086
  make -s -C /src -j2 CROSS="$2" BUILD="$out/build" WERROR=1 $targets >"$out/build.log" 2>&1
  echo $? $((SECONDS - t0)) >"$out/build.rc"
  for folder in $(folders "$1"); do
    name=test_$folder bin=$out/build/tests/$name
    [ -x "$bin" ] || continue
    t0=$SECONDS
    exceptions "$1" "$folder" >"$out/$name.except"
    (cd /src && exec "$3" "$bin" -j2 --timeout=60 --slow="$4" --except="$out/$name.except" --tap="$out/$name.tap") >"$out/$name.err" 2>&1 </dev/null
    echo $? $((SECONDS - t0)) >"$out/$name.rc"
  done
}

if [ "${NSVPN_CROSS:-}" = inside ]; then
  root=$CROSS_ROOT
  mount --bind "$root" "$root" && mount -t proc proc "$root/proc" && mount --rbind /dev "$root/dev" && mount -t sysfs sysfs "$root/sys" &&
    mount -t tmpfs -o mode=755 run "$root/run" && mount -t tmpfs -o mode=1777 tmp "$root/tmp" && mount --bind "$LAB_TOP" "$root/src" &&
    mount -o remount,bind,ro "$root/src" || exit 1
  ip link set lo up
  renice -n 5 $$ >/dev/null # other tests measure time
  mkdir -p "$root/old"
  cd "$root" && pivot_root . old && cd / && umount -l /old || exit 1
  export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
  LAB_TOP=/src
  unset MAKEFLAGS MFLAGS MAKELEVEL BUILD CC CFLAGS SANITIZE
  while read -r arch prefix runner slower; do
    test_one "$arch" "$prefix" "$runner" "$slower" &
  done <<<"$machines"
  wait
  for arch in $packages; do /src/units/debian/build "/made/$arch/package" "$arch" >"/made/$arch/deb.log" 2>&1; done
  exit 0
fi

# ---- the root ----

WORK=$(mktemp -d "$NSVPN_BOX_CACHE/cross-work.XXXXXX") || exit 2
root=cross-$suite-$$
trap 'deb_done $root; rm -rf "$WORK"' EXIT
trap 'exit 130' INT TERM HUP
deb_root "$root" "$suite"
libraries=$(tr , '\n' <<<"$DEB_BUILD" | grep -E '^lib.*-dev$')
want="make pkg-config dpkg-dev qemu-user iproute2 nftables openvpn openssl curl procps e2fsprogs"
legacy=
while read -r arch prefix runner slower; do
  deb_in "$root" dpkg --add-architecture "$arch"
  want="$want gcc-$prefix $(sed "s/\$/:$arch/" <<<"$libraries" | tr '\n' ' ')"
  legacy="$legacy openssl-provider-legacy:$arch"
done <<<"$machines"
deb_in "$root" apt-get update -q >$WORK/apt.log 2>&1
# shellcheck disable=SC2086
deb_in "$root" apt-get install -q -y --no-install-recommends $want >>$WORK/apt.log 2>&1 ||
  skip_all "cross compilers cannot be installed in a root of Debian $suite: $(grep -E '^(E:|Err)' $WORK/apt.log | tail -n 1)"
# One module of OpenSSL, in a package that cannot be there for several architectures at once.
[ "$suite" = bookworm ] ||
  deb_in "$root" sh -c "cd /var/tmp && apt-get download -q $legacy && for d in openssl-provider-*.deb; do dpkg-deb -x \$d /; done" >>$WORK/apt.log 2>&1
diag "the root took $SECONDS s"
mkdir -p "$DEB_ROOT/made" "$DEB_ROOT/src"
NSVPN_CROSS=inside CROSS_ROOT=$DEB_ROOT unshare --mount --net --pid --fork --mount-proc --kill-child --propagation private \
  "$(readlink -f "$0")" >$WORK/inside.log 2>&1 </dev/null || diag "$(tail -n 5 $WORK/inside.log)"

# ---- what came of it ----

folder_report() { # ARCHITECTURE NAME
  local d=$DEB_ROOT/made/$1 rc took n skipped
  read -r rc took <"$d/$2.rc"
  n=$(grep -cE '^ok ' "$d/$2.tap")
  skipped=$(grep -cE '^ok .*# SKIP' "$d/$2.tap")
  is "$1: $2: $((n - skipped)) passed, $skipped left out, $took s" "0 $(sed -n 's/^1\.\.//p' "$d/$2.tap")" "$rc $n" && return
  { grep -A6 '^not ok' "$d/$2.tap"; tail -n 5 "$d/$2.err"; } | sed 's/^/#   /' | head -n 40
}
while read -r arch prefix runner slower; do
  d=$DEB_ROOT/made/$arch
  read -r rc took <"$d/build.rc"
  is "$arch: programs and unit tests are built without a warning, $took s" "0:" "$rc:$(grep -i 'warning' "$d/build.log")" ||
    grep -iE 'error|warning' "$d/build.log" | head -n 20 | sed 's/^/#   /'
  for tap in "$d"/test_*.tap; do [ -e "$tap" ] && folder_report "$arch" "$(basename "$tap" .tap)"; done
  is "$arch: the tests of each folder ran" "$(folders "$arch" | wc -w)" "$(ls "$d"/test_*.rc 2>/dev/null | wc -l)"
  like "$arch: the programs run" '^nsvpn [0-9]' "$(deb_in "$root" "$runner" "/made/$arch/build/nsvpn" --version | head -n 1)"
  cat "$d"/test_*.tap | sed -n 's/^ok - .*# SKIP //p' | sort | uniq -c | while read -r n why; do diag "$arch: $n tests left out: $why"; done
  case " $packages " in *" $arch "*)
    deb=$(echo "$d"/package/deb/*.deb)
    like "$arch: a package" "^Architecture: $arch\$" "$(dpkg-deb -f "$deb" 2>&1)" || sed 's/^/#   /' "$d/deb.log"
    like "$arch: that needs the libraries of its release" '^Depends: .*libc6 .*libnftables1.*libsystemd0' "$(dpkg-deb -f "$deb" 2>&1)"
    like "$arch: with its programs" "$(case $arch in arm64) echo AArch64 ;; *) echo ARM ;; esac)" \
      "$(dpkg-deb -x "$deb" "$WORK/$arch" && readelf -h "$WORK/$arch/usr/libexec/nsvpn/nsvpn-engine" | grep Machine)" ;;
  esac
done <<<"$machines"
tap_done
