# The box: a whole Debian with real systemd, D-Bus, polkit, logind, systemd-resolved, nscd and sshd, booted with
# systemd-nspawn so that its network is the lab's namespace `host`: servers, resolvers and judge of the lab are around it.
# Sourced after lab.sh by the tests that need a service manager:
#
#   . lab.sh; . box.sh; box_need bookworm; lab_enter "$@"; lab_up; lab_pki; lab_server b; box_up; box_import b home
#
# The root is made once with debootstrap and kept read-only under $NSVPN_BOX_CACHE (tests/run's, removed at its end; a
# script that runs alone makes and removes its own); each box writes into an overlay in memory. The container dies with the lab's PID
# namespace, so nothing is left, however a test ends.

BOX=/run/lab/box        # the root as it is seen from outside
BOX_PID=                # its PID 1, as it is seen from outside
BOX_NSPAWN=
BOX_PACKAGES=systemd,systemd-sysv,dbus,polkitd,libpam-systemd,systemd-resolved,libnss-resolve,nscd,sudo,openssh-server,openssh-client
BOX_PACKAGES=$BOX_PACKAGES,tmux,vim-tiny,procps,iproute2,nftables,curl,jq,bind9-dnsutils,libcap2-bin,util-linux,adduser
BOX_PACKAGES=$BOX_PACKAGES,libnl-3-200,libnl-route-3-200,libnftables1,libmnl0,liblzo2-2,liblz4-1,libseccomp2,passwd,ca-certificates

# Where Debian comes from is this machine's own setting.
box_mirror() {
  local m
  m=$(awk '$1 == "deb" { for (i = 2; i <= NF; i++) if ($i ~ /^(https?|file):/) { print $i; exit } }' /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null)
  [ -n "$m" ] || m=$(awk '$1 == "URIs:" { print $2; exit }' /etc/apt/sources.list.d/*.sources 2>/dev/null)
  echo "$m"
}

# box_make ROOT SUITE PACKAGES: 0 done, 77 no mirror, else failed; the log is ROOT.log
box_make() {
  local root=$1 suite=$2 packages=$3 extra= scripts=/usr/share/debootstrap/scripts
  [ "$suite" = bookworm ] && extra=,pkexec,libssl3
  [ "$suite" = bookworm ] || extra=,libssl3t64
  # shellcheck disable=SC2046
  if ! debootstrap --variant=minbase --include="$packages$extra" "$suite" "$root" $(box_mirror) \
    $([ -e $scripts/"$suite" ] || echo $scripts/sid) >"$root.log" 2>&1; then # a suite that is newer than debootstrap
    grep -qE "Failed getting release file|Couldn't download|Invalid Release" "$root.log" && return 77
    return 1
  fi
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
}

# openvpn_root VERSION: a small Debian with that OpenVPN, 2.5 (Debian 11) or 2.7 (Debian 13 and its backports), in
# $NSVPN_BOX_CACHE/openvpn-VERSION; made once, skips the test without a mirror.
openvpn_root() {
  local version=$1 root=$NSVPN_BOX_CACHE/openvpn-$1 suite from= rc
  case $version in
    2.5) suite=bullseye ;;
    2.7) suite=trixie from=trixie-backports ;;
  esac
  (
    flock 9
    [ -e "$root.ok" ] && exit 0
    [ -e "$root.none" ] && exit 77
    rm -rf --one-file-system "$root"
    # shellcheck disable=SC2046
    debootstrap --variant=minbase $suite "$root" $(box_mirror) >"$root.log" 2>&1 || exit 77
    [ -z "$from" ] || echo "deb $(box_mirror) $from main" >>"$root/etc/apt/sources.list"
    cp /etc/resolv.conf /etc/hosts "$root/etc/"
    chroot "$root" sh -c "apt-get update -q && RUNLEVEL=1 apt-get install -y -q --no-install-recommends ${from:+-t $from} openvpn" \
      >>"$root.log" 2>&1 || exit 77
    chroot "$root" /usr/sbin/openvpn --version | grep -q "^OpenVPN ${version/./\\.}" || exit 78
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
  ) 9>"$root.lock"
  rc=$?
  case $rc in
    0) : >"$root.ok" ;;
    77) : >"$root.none"; skip_all "no mirror with Debian's $suite${from:+ and $from} can be reached from here" ;;
    *) skip_all "Debian's ${from:-$suite} has no OpenVPN $version" ;;
  esac
}

# openvpn_need VERSION: before lab_enter; sets OPENVPN, the server's command. openvpn_mounts: after it.
openvpn_need() {
  OPENVPN=openvpn OPENVPN_ROOT=
  [ "$1" != 2.6 ] || return 0
  if [ "${NSVPN_LAB:-}" != inside ]; then
    [ "$(id -u)" = 0 ] || skip_all "the lab needs root"
    [ -z "${NSVPN_FRESH:-}" ] || skip_all "roots of other releases are not made inside a fresh root"
    command -v debootstrap >/dev/null || skip_all "debootstrap is not installed"
    box_cache
    openvpn_root "$1"
  fi
  OPENVPN_ROOT=$NSVPN_BOX_CACHE/openvpn-$1
  OPENVPN="chroot $OPENVPN_ROOT /usr/sbin/openvpn"
}
openvpn_mounts() {
  local d
  [ -n "$OPENVPN_ROOT" ] || return 0
  for d in run dev proc; do mount --rbind /$d "$OPENVPN_ROOT/$d" || { diag "no /$d in the root"; return 1; }; done
}

# proxies_root ROOT: a small Debian 12 with three proxies (dante, squid, tinyproxy) and a user for them; made once, skips the test
# without a mirror. Installed on the machine itself they would be services of it.
proxies_root() {
  local root=$1 rc
  (
    flock 9
    [ -e "$root.ok" ] && exit 0
    [ -e "$root.none" ] && exit 77
    rm -rf --one-file-system "$root"
    # shellcheck disable=SC2046
    debootstrap --variant=minbase bookworm "$root" $(box_mirror) >"$root.log" 2>&1 || exit 77
    cp /etc/resolv.conf /etc/hosts "$root/etc/"
    chroot "$root" sh -c 'apt-get update -q && RUNLEVEL=1 apt-get install -y -q --no-install-recommends dante-server squid tinyproxy &&
      useradd -M -p "$(openssl passwd -6 "sesam oeffne dich" 2>/dev/null || perl -e "print crypt(q(sesam oeffne dich), q(\$6\$lab))")" carol' \
      >>"$root.log" 2>&1 || exit 78
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
  ) 9>"$root.lock"
  rc=$?
  case $rc in
    0) : >"$root.ok" ;;
    77) : >"$root.none"; skip_all "no mirror of Debian 12 can be reached from here" ;;
    *) skip_all "the proxies of Debian 12 cannot be installed: $(tail -n 1 "$root.log")" ;;
  esac
}

# Where roots are kept; a script that runs alone is run again with a folder of its own, which is removed afterwards.
box_cache() {
  [ -z "${NSVPN_BOX_CACHE:-}" ] || return 0
  NSVPN_BOX_CACHE=$(mktemp -d /var/tmp/nsvpn-box.XXXXXX) || exit 2
  export NSVPN_BOX_CACHE
  trap 'box_sweep; rm -rf --one-file-system "$NSVPN_BOX_CACHE"' EXIT
  trap 'exit 130' INT TERM HUP
  "$(readlink -f "$0")"
  exit $?
}

# box_need SUITE [EXTRA PACKAGES, comma separated]: before lab_enter, while Debian can still be reached.
box_need() {
  local suite=$1 extra=${2:-} key rc
  key=$suite
  [ -n "$extra" ] && key=$suite-$(echo "$extra" | cksum | cut -d' ' -f1)
  if [ "${NSVPN_LAB:-}" = inside ]; then
    BOX_ROOT=$NSVPN_BOX_CACHE/$key
    return
  fi
  [ "$(id -u)" = 0 ] || skip_all "the lab needs root"
  [ -z "${NSVPN_FRESH:-}" ] || skip_all "systemd containers are not made inside a fresh root"
  for t in systemd-nspawn debootstrap; do command -v $t >/dev/null || skip_all "$t is not installed"; done
  case $(. /etc/os-release && echo "${VERSION_CODENAME:-}"):$suite in
    trixie:bookworm) skip_all "programs built on Debian 13 do not run on Debian 12" ;;
  esac
  box_cache
  BOX_ROOT=$NSVPN_BOX_CACHE/$key
  (
    flock 9
    [ -e "$BOX_ROOT.ok" ] && exit 0
    [ -e "$BOX_ROOT.none" ] && exit 77
    rm -rf --one-file-system "$BOX_ROOT"
    box_make "$BOX_ROOT" "$suite" "$BOX_PACKAGES${extra:+,$extra}"
    rc=$?
    [ $rc = 0 ] && : >"$BOX_ROOT.ok"
    [ $rc = 77 ] && : >"$BOX_ROOT.none"
    exit $rc
  ) 9>"$BOX_ROOT.lock"
  rc=$?
  [ $rc != 77 ] || skip_all "no Debian mirror can be reached from here"
  [ $rc = 0 ] && return
  # Packages of a Debian that is not released yet may contradict each other for days.
  [ "$suite" != forky ] || skip_all "Debian forky cannot be installed today: $(grep '^[EW]:' "$BOX_ROOT.log" | tail -n 1)"
  tail -n 20 "$BOX_ROOT.log" | sed 's/^/# /'
  echo "not ok 1 - a root of Debian $suite"
  echo "1..1"
  exit 1
}

# box_up: boots it. Users: alice (1000), bob (1001), carol (1002, group nsvpn). nsvpn is installed in /usr/local, or with
# BOX_INSTALL=none not at all. BOX_PREPARE names a function that changes the root ($BOX) before it boots.
box_up() {
  local upper=$WORK/box-upper u
  mkdir -p $BOX $upper
  mount -t tmpfs -o mode=755 upper $upper && mkdir $upper/u $upper/w || return 1
  mount -t overlay -o lowerdir="$BOX_ROOT",upperdir=$upper/u,workdir=$upper/w overlay $BOX || return 1
  for u in alice bob carol; do mkdir -p $BOX/home/$u; done
  chroot $BOX sh -c 'n=1000; for u in alice bob carol; do useradd -u $n -s /bin/bash -d /home/$u $u && chown $u:$u /home/$u; n=$((n + 1)); done' \
    >$WORK/box-users.log 2>&1
  [ "${BOX_INSTALL:-make}" = none ] || box_install || return 1
  # The host's resolver of this Debian is the ISP's in the lab, through systemd-resolved.
  mkdir -p $BOX/etc/systemd/resolved.conf.d $BOX/root/.ssh
  printf '[Resolve]\nDNS=203.0.113.53\nFallbackDNS=\nLLMNR=no\nMulticastDNS=no\nDNSSEC=no\n' >$BOX/etc/systemd/resolved.conf.d/lab.conf
  ln -sf ../run/systemd/resolve/stub-resolv.conf $BOX/etc/resolv.conf
  sed -i 's/^hosts:.*/hosts: files resolve [!UNAVAIL=return] dns/' $BOX/etc/nsswitch.conf
  : >$BOX/etc/machine-id
  rm -f $BOX/etc/systemd/system/timers.target.wants/*
  # Tests restart it more often than people do.
  mkdir -p $BOX/usr/lib/systemd/system/polkit.service.d
  printf '[Unit]\nStartLimitIntervalSec=0\n' >$BOX/usr/lib/systemd/system/polkit.service.d/lab.conf
  ${BOX_PREPARE:-:}
  box_boot
}

# Each box has control groups of its own: systemd names them after its units, and where two boxes share them, each takes the
# other's processes for its own. They are named after the cache of roots, so that whoever removes that knows them (box_sweep).
box_cgroup_roots() { # where groups are, and the one this process is in; of version 2, and what nspawn puts beside that
  local mine
  mine=$(sed -n 's/^0:://p' /proc/self/cgroup)
  case $(stat -fc %T /sys/fs/cgroup) in
    cgroup2fs) echo "/sys/fs/cgroup${mine%/}" ;;
    *) for d in unified systemd; do [ ! -d /sys/fs/cgroup/$d ] || echo "/sys/fs/cgroup/$d${mine%/}"; done ;;
  esac
}
box_cgroup() { # sets BOX_CGROUP; empty where there is nothing to be made
  BOX_CGROUP=${BOX_CGROUP:-$(box_cgroup_roots | head -n 1)/${NSVPN_BOX_CACHE##*/}.$(tr -d - </proc/sys/kernel/random/uuid)}
  mkdir -p "$BOX_CGROUP" 2>/dev/null || BOX_CGROUP=
}
box_sweep() { # what dead boxes with this cache have left
  local root d
  for root in $(box_cgroup_roots); do
    for d in "$root/${NSVPN_BOX_CACHE##*/}".*; do
      [ ! -d "$d" ] || wait_for 5 sh -c "find '$d' -depth -type d -exec rmdir {} + ; ! test -e '$d'"
    done
  done
}

# Boots what box_up has put together. BOX_INIT: a tool of the lab that becomes systemd.
box_boot() {
  local i state= init=
  BOX_PID=
  if [ -n "${BOX_INIT:-}" ]; then
    install -D -m 755 "$LABBIN/$BOX_INIT" "$BOX/usr/local/bin/$BOX_INIT" || return 1
    init="/usr/local/bin/$BOX_INIT /usr/lib/systemd/systemd"
  fi
  # From version 258 systemd has no cgroups of version 1; nspawn would give it what this machine has.
  case $BOX_ROOT in *bookworm* | *trixie*) ;; *) export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 ;; esac
  box_cgroup
  # shellcheck disable=SC2086
  SYSTEMD_NSPAWN_API_VFS_WRITABLE=network sh -c '[ -z "$0" ] || echo $$ >"$0/cgroup.procs"; exec "$@"' "$BOX_CGROUP" systemd-nspawn $([ -n "$init" ] || echo --boot) --quiet --register=no --keep-unit --directory=$BOX --machine=box --network-namespace-path=/run/netns/host \
    --bind=/dev/net/tun --console=pipe --capability=all --system-call-filter='@keyring bpf' --resolv-conf=off --timezone=off \
    --kill-signal=SIGRTMIN+3 $init >$WORK/box-boot.log 2>&1 </dev/null &
  BOX_NSPAWN=$!
  for ((i = 0; i < 600; i++)); do
    BOX_PID=$(pgrep -P $BOX_NSPAWN -x systemd | head -n 1)
    if [ -n "$BOX_PID" ]; then
      state=$(box systemctl is-system-running 2>/dev/null)
      case $state in running | degraded) break ;; esac
    fi
    kill -0 $BOX_NSPAWN 2>/dev/null || break
    sleep 0.05
  done
  case ${state:-} in running | degraded) ;; *) diag "the box did not boot (${state:-nothing}): $(tail -n 5 $WORK/box-boot.log)"; return 1 ;; esac
  # As udev sets it on a real machine.
  box chmod 666 /dev/net/tun
  box mkdir -p /run/netns
}

box_install() {
  make -s -C "$LAB_TOP" BUILD="$BUILD" DESTDIR=$BOX install >$WORK/box-install.log 2>&1 || { diag "make install: $(tail -n 3 $WORK/box-install.log)"; return 1; }
  chroot $BOX sh -c 'systemd-sysusers; getent group nsvpn >/dev/null || groupadd -r nsvpn; usermod -aG nsvpn carol' >>$WORK/box-users.log 2>&1
}

# The same machine again, on its file system as it is (but for /run). Ends with what runs in it going down in its own order.
box_reboot() {
  box systemctl --no-block reboot
  wait_for 90 sh -c "! kill -0 $BOX_NSPAWN" || return 1
  wait $BOX_NSPAWN 2>/dev/null
  box_boot
}

# Root inside, without a session.
box() { nsenter -t "$BOX_PID" --mount --uts --ipc --net --pid --root --wdns=/root -- env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM="${TERM:-dumb}" LANG=C.UTF-8 "$@"; }
# A user without a session (what `su` or a cron job is).
box_as() {
  local u=$1
  shift
  box setpriv --reuid "$u" --regid "$u" --init-groups -- env HOME=/home/"$u" USER="$u" LOGNAME="$u" SHELL=/bin/bash "$@"
}
# (PID 1 replaces $ in what systemd-run gives it, so it is doubled.)
# A transient unit of a user without a terminal, not a session.
box_unit() {
  local u=$1
  shift
  box systemd-run --quiet --wait --pipe --collect --uid="$u" --setenv=HOME=/home/"$u" --working-directory=/home/"$u" -- "${@//\$/\$\$}"
}
# A session on seat0: local and active for polkit.
box_session() {
  local u=$1
  shift
  box systemd-run --quiet --wait --pipe --collect -p User="$u" -p PAMName=login -p WorkingDirectory=/home/"$u" \
    -p Environment="XDG_SEAT=seat0 XDG_SESSION_TYPE=x11 XDG_SESSION_CLASS=user" -- "${@//\$/\$\$}"
}
# A session over SSH: remote for logind, so not local for polkit.
box_ssh() {
  local u=$1
  shift
  if ! box test -e /home/"$u"/.ssh/authorized_keys; then
    box sh -c '[ -e /root/.ssh/id ] || ssh-keygen -q -t ed25519 -N "" -f /root/.ssh/id'
    box install -d -m 700 -o "$u" -g "$u" /home/"$u"/.ssh
    box install -m 600 -o "$u" -g "$u" /root/.ssh/id.pub /home/"$u"/.ssh/authorized_keys
  fi
  box ssh -q -i /root/.ssh/id -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "$u"@127.0.0.1 "$(printf '%q ' "$@")"
}
# polkit with the rules that are there now, as soon as it answers and knows our actions.
box_polkit() {
  box systemctl reset-failed polkit 2>/dev/null
  box systemctl restart polkit
  wait_for 60 box_polkit_answers || { diag "polkit does not answer: $(box systemctl status polkit 2>&1 | tail -n 5)"; return 1; }
}
box_polkit_answers() {
  box busctl --system call org.freedesktop.PolicyKit1 /org/freedesktop/PolicyKit1/Authority org.freedesktop.PolicyKit1.Authority EnumerateActions s "" |
    grep -q 'org\.nsvpn1\.'
}
box_log() { box journalctl --no-pager -q -o cat "$@"; }
box_down() {
  [ -n "$BOX_NSPAWN" ] || return 0
  box systemctl --no-block poweroff 2>/dev/null
  wait_for 15 sh -c "! kill -0 $BOX_NSPAWN" || kill -KILL $BOX_NSPAWN
  wait $BOX_NSPAWN 2>/dev/null
  BOX_NSPAWN=
  umount $BOX $WORK/box-upper
}
# A tunnel of the lab's server KIND, imported by root inside. box_import KIND NAME [UPLINK]
box_import() {
  install -m 600 "$WORK/$1.ovpn" $BOX/root/"$2".ovpn
  box nsvpn import /root/"$2".ovpn --name "$2" >$WORK/box-import.out 2>&1 || { diag "import: $(cat $WORK/box-import.out)"; return 1; }
  [ -z "${3:-}" ] || box sh -c "printf '[Tunnel]\nUplink=$3\n' >>/etc/nsvpn/tunnels/$2/settings.conf; chmod 600 /etc/nsvpn/tunnels/$2/settings.conf"
}
