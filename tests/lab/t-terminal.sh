#!/bin/bash
# A user's `nsvpn exec` and `nsvpn shell` at a terminal: job control, keys, window size, exit status, and a terminal that is as
# it was whatever ends. tmux plays the terminal, in a real system.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
. "$(dirname "$(readlink -f "$0")")/box.sh"
box_need "${NSVPN_BOX_SUITE:-bookworm}"
lab_enter "$@"
lab_up || { diag "the lab could not be built"; exit 1; }
lab_pki || { diag "no PKI"; exit 1; }
lab_server b || { diag "no server"; exit 1; }
ok "boots" box_up
ok "root imports" box_import b home
ok "root brings it up" box nsvpn up home

T() { box_as carol env TERM=xterm tmux -S /home/carol/tmux "$@"; }
keys() { T send-keys -t w "$@"; }
screen() { T capture-pane -p -t w; }
has() { screen | grep -qE -- "$1"; }
sees() { # DESCRIPTION REGEX [SECONDS]
  ok "$1" wait_for "${3:-8}" has "$2" || screen | grep . | tail -n 12 | sed 's/^/#   screen: /'
}
fresh() { # an empty screen
  keys "clear" Enter
  sleep 0.3
}
mode() { # as the outer shell sees it
  fresh
  keys 'echo "mode=$(stty -g)"' Enter
  wait_for 5 has '^mode=' >/dev/null
  screen | sed -n 's/^mode=//p' | tail -n 1
}
# Carol is a member of group nsvpn: nobody is asked for a password.
T -f /dev/null new-session -d -s w -x 120 -y 24 'cd; exec bash --norc'
sees "a terminal" '\$ *$'
keys "PS1='out> '; set +o histexpand" Enter
sees "with a shell" '^out> *$'
before=$(mode)

# ---- nsvpn shell ---------------------------------------------------------------------------------------------------------
fresh
keys "SHELL=/bin/bash nsvpn shell" Enter
sleep 1
keys "PS1='in> '" Enter
sees "nsvpn shell: a prompt" '^in> *$'
keys 'tty -s && echo is-a-tty; ip -o -4 addr show tun0 | wc -l' Enter
sees "on a terminal" '^is-a-tty'
keys "clear; sleep 100" Enter
sleep 0.5
keys C-c
keys 'echo after-$?' Enter
sees "Ctrl-C" '^after-130'
keys "clear; sleep 100" Enter
sleep 0.5
keys C-z
sees "Ctrl-Z inside" 'Stopped'
keys "fg" Enter
sleep 0.3
keys C-c
keys 'echo back' Enter
sees "fg inside" '^back'
T resize-window -t w -x 110 -y 30
keys 'clear; stty size' Enter
sees "the window's size" '^30 110'
keys 'clear; vi -u NONE one' Enter
sleep 0.7
keys i 'hello from vi' Escape ':wq' Enter
sleep 0.5
is "vi" "hello from vi" "$(box cat /home/carol/one)"
keys 'exit 3' Enter
sleep 0.7
keys 'echo status-$?' Enter
sees "the exit status" '^status-3'
is "the terminal is as before" "$before" "$(mode)"

# ---- a program of its own ------------------------------------------------------------------------------------------------
fresh
keys 'nsvpn exec vi -u NONE two' Enter
sleep 1.2
keys i 'second' Escape C-z
sees "vi, Ctrl-Z: the outer shell has a stopped job" 'Stopped'
is "and its terminal" "$before" "$(mode)"
keys 'fg' Enter
sleep 0.7
keys ':wq' Enter
sleep 0.7
is "fg and :wq" "second" "$(box cat /home/carol/two)"
fresh
keys 'nsvpn exec sleep 100' Enter
sleep 1
keys C-c
keys 'echo status-$?' Enter
sees "Ctrl-C of a program: 130" '^status-130'
fresh
keys 'nsvpn exec sh -c "echo one; echo two" | tr a-z A-Z; echo piped' Enter
sees "in a pipe" '^TWO'
fresh
keys 'nsvpn exec cat &' Enter
sleep 1.2
keys Enter
sees "in the background it stops for input" 'Stopped'
keys 'fg' Enter
sleep 0.5
keys 'typed' Enter
sees "and goes on in the foreground" '^typed'
keys C-d
sleep 0.5
is "the terminal is as before, again" "$before" "$(mode)"

# ---- what goes wrong -----------------------------------------------------------------------------------------------------
fresh
keys 'nsvpn exec sh -c "while :; do read x || exit 5; echo got-\$x; done"' Enter
sleep 1.2
box sh -c 'kill -KILL $(systemctl show -P MainPID nsvpnd)'
sleep 1
keys 'still' Enter
sees "the helper is killed in the middle: the program goes on" '^got-still'
keys C-d
keys 'echo status-$?' Enter
sees "and ends as it wants" '^status-5'
is "the terminal is as before" "$before" "$(mode)"
fresh
keys 'nsvpn exec sleep 77' Enter
sleep 1.2
box pkill -KILL -x nsvpn-launch
sees "the supervisor is killed: a sentence" 'nsvpn: .*supervisor'
keys 'echo status-$?' Enter
sees "and 125" '^status-125'
is "the terminal is as before, once more" "$before" "$(mode)"
box pkill -x sleep
fresh
keys 'nsvpn exec sh -c "trap \"echo hup >/home/carol/hup; exit\" HUP; while :; do sleep 0.1; done"' Enter
sleep 1.2
T kill-window -t w
ok "the window is closed: the program hears of it" wait_for 8 test -s $BOX/home/carol/hup
ok "and nothing is left" wait_for 8 sh -c "! nsenter -t $BOX_PID -a systemctl list-units --plain --no-legend 'nsvpn-exec-*' | grep -q ."
box nsvpn down home >/dev/null
box_down
tap_done
