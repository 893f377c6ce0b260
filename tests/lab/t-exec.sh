#!/bin/bash
# `nsvpn exec` and `shell`: argv, environment, working directory, standard streams, terminal, signals, exit status,
# identity, descriptors; and what the engine's process looks like from outside.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
lab_enter "$@"
lab_pki && lab_up && lab_server b || { diag "lab"; exit 1; }
lab_import b home
# exec brings the tunnel up by itself.
is "exec brings the tunnel up first" 198.51.100.10 "$(inside curl -4 -s -m 5 http://web.example.net/)"
ex() { in_ns host "$NSVPN" exec "$@"; }

is "argv is passed as it is" '[a b][][*][$x]["q"]' "$(ex -- bash -c 'printf "[%s]" "$@"' - 'a b' '' '*' '$x' '"q"')"
is "without --" x "$(ex echo x)"
is "options of the program stay its own" "-t" "$(ex printf %s -t)"
is "environment" "v1 home" "$(FOO=v1 ex sh -c 'echo $FOO $NSVPN_TUNNEL')"
is "working directory" /usr/share "$(cd /usr/share && ex pwd)"
is "umask" 0027 "$(umask 027; ex sh -c umask)"
is "stdin, stdout" "abc" "$(echo abc | ex cat)"
is "stderr" "e" "$(ex sh -c 'echo e >&2' 2>&1 >/dev/null)"
is "a closed stdin does not hurt" ok "$(ex sh -c 'echo ok' <&-)"
for s in 0 1 3 42 255; do is "exit status $s" $s "$(ex sh -c "exit $s"; echo $?)"; done
is "killed by a signal" 143 "$(ex sh -c 'kill -TERM $$' 2>/dev/null; echo $?)"
spawn host "$NSVPN" exec sleep 60
pid=$!
sleep 0.5
kill -INT $pid
sleep 0.1
kill -TERM $pid 2>/dev/null
wait $pid
is "signals reach the program" 143 $?
is "SIGPIPE is as it was" 141 "$(ex bash -c 'trap "" EXIT; (sleep 0.2; yes) | head -n 1 >/dev/null; echo ${PIPESTATUS[0]}')"
is "not found: 127" 127 "$(ex /no/such/program 2>/dev/null; echo $?)"
is "not found in PATH: 127" 127 "$(ex nosuchprogramm 2>/dev/null; echo $?)"
is "not executable: 126" 126 "$(ex /etc/passwd 2>/dev/null; echo $?)"
is "the tunnel does not exist: 125" 125 "$(ex -t other true 2>/dev/null; echo $?)"
like "and the sentence names it" other "$(ex -t other true 2>&1)"
is "only 0, 1, 2 are open" "0 1 2" "$(exec 7</dev/null 8</etc/passwd; ex bash -c 'cd /proc/self/fd; for f in *; do readlink $f >/dev/null && [ "$f" -lt 200 ] && echo $f; done' | sort -n | head -n 3 | tr '\n' ' ' | sed 's/ $//')"
is "descriptors 7 and 8 are not there" "" "$(exec 7</dev/null 8</etc/passwd; ex bash -c 'ls /proc/$$/fd' | grep -xE '7|8')"
spawn host "$LABBIN"/echod --udp-echo 127.0.0.1:4007 >/dev/null 2>&1
echod=$!
sleep 0.2
is "an internet socket as stdin is refused" 125 \
  "$(host bash -c 'exec "$0" exec true <>/dev/udp/127.0.0.1/4007' "$NSVPN" 2>/dev/null; echo $?)"
kill $echod
is "network namespace" "$(stat -Lc %i /run/netns/home)" "$(ex stat -Lc %i /proc/self/ns/net)"

# Identity.
is "root stays root without sudo" 0 "$(ex id -u)"
is "--user" "$(id -u nobody) $(id -g nobody)" "$(ex --user nobody sh -c 'echo $(id -u) $(id -g)')"
is "sudo's user" "65534 65534" "$(SUDO_UID=65534 SUDO_GID=65534 SUDO_USER=nobody ex sh -c 'echo $(id -u) $(id -g)')"
is "no capabilities left for a user" 0000000000000000 "$(ex --user nobody sh -c "sed -n 's/^CapEff:\t//p' /proc/self/status")"
is "groups are the user's" "$(id -G nobody)" "$(ex --user nobody id -G)"
is "HOME is the user's" "$(getent passwd nobody | cut -d: -f6)" "$(ex --user nobody sh -c 'echo $HOME')"
is "a user cannot enter the default namespace" 1 "$(ex --user nobody nsenter --net=/proc/1/ns/net true 2>/dev/null; echo $?)"
is "a user cannot change the lock" 1 "$(ex --user nobody nft flush ruleset 2>/dev/null; echo $?)"
is "an unknown user" 125 "$(ex --user nosuchuser true 2>/dev/null; echo $?)"

# A terminal.
cat >$WORK/tty.sh <<'EOF'
set -u
sock=$1
t() { tmux -S "$sock" "$@"; }
wait_text() { for i in $(seq 60); do t capture-pane -p | grep -q "$1" && return 0; sleep 0.1; done; t capture-pane -p; return 1; }
t new-session -d -x 80 -y 24 "bash --norc"
t send-keys "PS1='out> '" Enter
wait_text 'out>' || exit 1
t send-keys "$NSVPN shell -t home" Enter
sleep 1
t send-keys "PS1='in> '" Enter; wait_text 'in> ' || exit 2
t send-keys "tty -s && echo is-a-tty" Enter; wait_text '^is-a-tty' || exit 3
t send-keys "sleep 100" Enter; sleep 0.5; t send-keys C-c; t send-keys "echo after-\$?" Enter; wait_text 'after-130' || exit 4
t send-keys "sleep 100" Enter; sleep 0.5; t send-keys C-z; wait_text Stopped || exit 5
t send-keys "fg" Enter; sleep 0.3; t send-keys C-c; t send-keys "echo back" Enter; wait_text '^back' || exit 6
t resize-window -x 100 -y 30; t send-keys "stty size" Enter; wait_text '30 100' || exit 7
t send-keys "exit 3" Enter; sleep 0.5; t send-keys "echo status-\$?" Enter; wait_text 'status-3' || exit 8
t send-keys "stty -a | grep -c ' echo '" Enter; wait_text '^1' || exit 9
t kill-server
EOF
export NSVPN
if command -v tmux >/dev/null; then
  ok "an interactive shell behaves like a plain one (terminal, Ctrl-C, Ctrl-Z, fg, resize, exit status)" \
    in_ns host env TERM=xterm SHELL=/bin/bash bash $WORK/tty.sh $WORK/tmux.sock
else
  skip "an interactive shell behaves like a plain one" "tmux is not installed"
fi

# The helper from outside: net_admin, sys_admin, sys_chroot, sys_ptrace, kill, setuid, setgid, setpcap, dac_override.
h=/proc/$(helper_pid)
for set in CapEff CapPrm CapBnd; do
  is "helper: $set is its list and no more" 00000000002c11e2 "$(sed -n "s/^$set:\t//p" $h/status)"
done
is "helper: NoNewPrivs" 1 "$(sed -n 's/^NoNewPrivs:\t//p' $h/status)"

# The engine from outside.
e=/proc/$(engine_pid)
is "engine: CapEff" 0000000000000000 "$(sed -n 's/^CapEff:\t//p' $e/status)"
is "engine: CapPrm" 0000000000000000 "$(sed -n 's/^CapPrm:\t//p' $e/status)"
is "engine: CapBnd" 0000000000000000 "$(sed -n 's/^CapBnd:\t//p' $e/status)"
is "engine: NoNewPrivs" 1 "$(sed -n 's/^NoNewPrivs:\t//p' $e/status)"
is "engine: Seccomp" 2 "$(sed -n 's/^Seccomp:\t//p' $e/status)"
like "engine: not root" '^[1-9]' "$(awk '/^Uid:/ { print $2 }' $e/status)"
is "engine: sees no files" "" "$(nsenter --mount=$e/ns/mnt -- /bin/ls / 2>/dev/null)"
is "engine: no path sockets, no files among its descriptors" "" \
  "$(for f in $e/fd/*; do readlink "$f"; done | grep -vE '^(socket:|anon_inode:|pipe:|/dev/net/tun|/dev/null|/memfd:|null)' | head -n 3)"
is "helper links no TLS" "" "$(ldd "$BUILD/nsvpnd" | grep -E 'libssl|libcrypto\.so' | grep -v systemd | head -n 1)" || true
is "secrets are not in any argument list or environment" "" \
  "$(cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\0' '\n' | grep -E 'BEGIN (EC )?PRIVATE' | head -n 1)"

# A tunnel that is reconnecting: the program starts at once, locked in.
in_ns vpn nft add table ip gap
in_ns vpn nft 'add chain ip gap in { type filter hook input priority 0; policy drop; }'
kill -9 "$(engine_pid)"
ok "the tunnel is reconnecting" wait_for 5 is_state reconnecting
t0=$SECONDS
is "exec does not wait for it" ok "$(ex sh -c 'curl -s -m 2 http://192.0.2.80/ || echo ok')"
ok "and is quick about it" test $((SECONDS - t0)) -lt 10
in_ns vpn nft delete table ip gap
ok "connected again" wait_for 30 is_state connected

# The installed tree. With the prefix of the build: another one would link the programs anew under the other labs' feet.
make -s -C "$LAB_TOP" BUILD="$BUILD" DESTDIR=$WORK/inst install >$WORK/install.out 2>&1
ok "make install" test -x $WORK/inst/usr/local/bin/nsvpn
is "no installed file has a setuid, setgid or capability bit" "" \
  "$(find $WORK/inst \( -perm -4000 -o -perm -2000 \) -type f; command -v getcap >/dev/null && getcap -r $WORK/inst)"
ok "down" nsvpn down home
ok "nothing is left" no_leftovers
tap_done
