#!/bin/bash
# A tunnel that starts with the machine asks for the pass phrase of its key, or for user name and password, through the password
# agents of systemd: once, and each answer goes where it belongs. Nobody who answers is a sentence, not a tunnel without lock.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
. "$(dirname "$(readlink -f "$0")")/box.sh"
box_need "${NSVPN_BOX_SUITE:-bookworm}"
lab_enter "$@"
lab_pki && lab_up || { diag "the lab could not be built"; exit 1; }
lab_server b && lab_server c || { diag "no server"; exit 1; }
openssl pkcs8 -topk8 -in $PKI/client.key -out $PKI/client.enc -passout "pass:a pass phrase"
ok "boots" box_up

{ lab_profile b 1195 | sed '/^<key>/,/^<.key>/d'; printf 'askpass\n'; inline key $PKI/client.enc; } >$BOX/root/home.ovpn
lab_profile c 1196 >$BOX/root/work.ovpn
for t in home work; do ok "import $t" box nsvpn import /root/$t.ovpn --name $t; done

question() { box sh -c 'cat /run/systemd/ask-password/ask.* 2>/dev/null'; }
is_asked() { question | grep -q "^Message=$1"; }
# What an agent does: the answer to the socket that the question names.
answer() { # TEXT
  local socket
  socket=$(question | sed -n 's/^Socket=//p')
  box sh -c "printf %s '$1' | /lib/systemd/systemd-reply-password 1 $socket"
}
box_state() { box nsvpn status "$1" --json | jq -r '.tunnels[0].state'; }
is_connected() { [ "$(box_state "$1")" = connected ]; }

box systemctl start --no-block nsvpn@home.service
ok "the pass phrase is asked for" wait_for 60 is_asked 'pass phrase of the private key for tunnel home'
is "and not shown" "" "$(question | grep '^Echo=1')"
answer "a pass phrase"
ok "the tunnel is connected" wait_for 60 is_connected home
is "nothing is asked any more" "" "$(question)"
is "IPv4 comes out at the server" 198.51.100.10 "$(box nsvpn exec -t home -- curl -4 -s -m 10 http://web.example.net/)"
# Asked for once: a new engine gets it from the helper.
engine=$(box pgrep -x nsvpn-engine)
box kill -KILL "$engine"
has_another() { local now; now=$(box pgrep -x nsvpn-engine) && [ "$now" != "$engine" ]; }
ok "after a crash there is a new engine" wait_for 60 has_another
ok "and it is connected again" wait_for 60 is_connected home
is "nobody was asked" "" "$(question)"
box systemctl stop nsvpn@home.service

box systemctl start --no-block nsvpn@work.service
ok "the user name is asked for" wait_for 60 is_asked 'user name for tunnel work'
like "and shown" 'Echo=1' "$(question)"
answer alice
ok "then the password" wait_for 60 is_asked 'password for tunnel work'
is "which is not shown" "" "$(question | grep '^Echo=1')"
answer "open sesame"
ok "the tunnel is connected" wait_for 60 is_connected work
box systemctl stop nsvpn@work.service

# An agent says that nobody will answer.
box systemctl start --no-block nsvpn@home.service
ok "asked again after a stop" wait_for 60 is_asked 'pass phrase'
socket=$(question | sed -n 's/^Socket=//p')
box sh -c ": | /lib/systemd/systemd-reply-password 0 $socket"
ok "a refusal is the end of the start" wait_for 60 sh -c "nsenter -t $BOX_PID -m -u -i -n -p -r -w -- systemctl is-failed nsvpn-netns@home.service"
like "with its sentence" 'no pass phrase of the private key for tunnel home: nobody answered' "$(box journalctl -u nsvpn-netns@home.service --no-pager)"
is "the phrase is nowhere in the journal" "" "$(box journalctl --no-pager | grep -F 'a pass phrase')"
box_down
tap_done
