#!/bin/bash
# In a fresh Debian 12 root (debootstrap) with only git, make and sudo added, `sudo make demo` and `sudo make check` each
# do all their own set-up and succeed. The root is a folder of its own; what runs in it runs in namespaces of its own.
set -u
here=$(dirname "$(readlink -f "$0")")
top=$(dirname "$(dirname "$here")")
[ "$(id -u)" = 0 ] || { echo "1..0 # SKIP needs root"; exit 0; }
command -v debootstrap >/dev/null || { echo "1..0 # SKIP debootstrap is not installed"; exit 0; }
git -C "$top" rev-parse HEAD >/dev/null 2>&1 || { echo "1..0 # SKIP not a git checkout"; exit 0; }

if [ "${NSVPN_FRESH_INSIDE:-}" != 1 ]; then
  root=$(mktemp -d /var/tmp/nsvpn-fresh.XXXXXX) || exit 1
  trap 'rm -rf --one-file-system "$root" "$root.log"' EXIT
  NSVPN_FRESH_INSIDE=1 FRESH_ROOT=$root unshare --mount --pid --fork --mount-proc --kill-child --propagation private "$(readlink -f "$0")"
  exit $?
fi
root=$FRESH_ROOT
n=0 bad=0
result() { # STATUS DESCRIPTION
  n=$((n + 1))
  if [ "$1" = 0 ]; then echo "ok $n - $2"; else bad=1; sed 's/^/#   /' "$log" | tail -n 60; echo "not ok $n - $2"; fi
}
# Where packages come from is this machine's own setting.
mirror=$(awk '$1 == "deb" { for (i = 2; i <= NF; i++) if ($i ~ /^(https?|file):/) { print $i; exit } }' /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null)
[ -n "$mirror" ] || mirror=$(awk '$1 == "URIs:" { print $2; exit }' /etc/apt/sources.list.d/*.sources 2>/dev/null)
mount -t tmpfs -o size=6g tmpfs "$root" || exit 1
trap 'rm -f "$root.log"' EXIT
log=$root.log
# shellcheck disable=SC2086
debootstrap --variant=minbase --include=git,make,sudo,ca-certificates bookworm "$root" $mirror >"$log" 2>&1
rc=$?
if [ $rc != 0 ] && grep -qE "Failed getting release file|Couldn't download" "$log"; then
  echo "1..0 # SKIP no Debian mirror can be reached from here"
  exit 0
fi
result $rc "debootstrap of Debian 12 with git, make and sudo"
[ $bad = 0 ] || { echo "1..$n"; exit 1; }
for d in apt/apt.conf.d apt/sources.list apt/sources.list.d apt/trusted.gpg.d apt/auth.conf.d ssl/certs; do
  [ -e /etc/$d ] && { mkdir -p "$root/etc/$(dirname $d)"; cp -aL /etc/$d "$root/etc/$(dirname $d)/" 2>/dev/null; }
done
for d in /usr/local/share/ca-certificates; do [ -d $d ] && cp -aL $d "$root/usr/local/share/"; done
cp -L /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null
cp -L /etc/hosts "$root/etc/hosts" 2>/dev/null
for f in proc sys dev; do mount --rbind /$f "$root/$f"; done
mount -t tmpfs tmpfs "$root/run"
git clone -q "$top" "$root/srv/nsvpn" >"$log" 2>&1
result $? "git clone"
# The new root becomes the real one of this mount namespace (a chroot would not do: nothing could be pivoted inside it).
mkdir -p "$root/old"
: >"$root/log"
cd "$root" && pivot_root . old && cd /srv/nsvpn && umount -l /old || { echo "not ok $((n + 1)) - the new root"; exit 1; }
trap - EXIT
log=/log
in_root() {
  env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb LANG=C.UTF-8 NSVPN_FRESH=1 \
    NSVPN_REKEY_SECONDS=30 NSVPN_STOP_SECONDS=3 NSVPN_DEAD_SECONDS=3 NSVPN_DOWN_SECONDS=3 FUZZ_TIME=5 \
    ${http_proxy:+http_proxy=$http_proxy} ${https_proxy:+https_proxy=$https_proxy} "$@"
}
in_root sudo make demo >"$log" 2>&1
result $? "sudo make demo"
sed 's/^/#   /' "$log" | tail -n 40
in_root sudo --preserve-env=NSVPN_FRESH,NSVPN_REKEY_SECONDS,NSVPN_STOP_SECONDS,NSVPN_DEAD_SECONDS,NSVPN_DOWN_SECONDS,FUZZ_TIME make check >"$log" 2>&1
rc=$?
result $rc "sudo make check"
grep -E 'passed|failed|not ok|SKIP' "$log" | tail -n 80 | sed 's/^/#   /'
echo "1..$n"
exit $bad
