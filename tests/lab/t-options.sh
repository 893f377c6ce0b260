#!/bin/bash
# The option surface, from outside: every option that the manuals of openvpn name gets its line in `nsvpn explain`, with a
# fate and a reason, as text and as JSON; and the list in tests/golden/openvpn-options.txt is that of the installed manual.
. "$(dirname "$(readlink -f "$0")")/lab.sh"
lab_enter "$@" # for a /run of its own
nsvpn() { "$NSVPN" "$@"; } # needs no lab around it
list=$LAB_TOP/tests/golden/openvpn-options.txt
names=$(sed '/^#/d; s/ .*//' "$list")
version=$(openvpn --version | sed -n '1s/^OpenVPN \([0-9]*\.[0-9]*\).*/\1/p')
manual=
for f in /usr/share/man/man8/openvpn.8.gz /usr/local/share/man/man8/openvpn.8; do [ ! -e "$f" ] || manual=$f; done

# The bold heads of the page's items: ".BI \-\-name \ args".
heads() { zcat -f "$1" | sed -nE 's/\\-/-/g; s/^\.BI? +--([a-z][a-z0-9-]*).*/\1/p' | sort -u; }

if [ -z "$manual" ]; then
  skip "the manual page of openvpn" "it is not installed"
else
  heads "$manual" >$WORK/manual.txt
  diag "openvpn $version names $(grep -c . $WORK/manual.txt) options in $manual, the list $(grep -c . <<<"$names")"
  ok "the manual page was understood" test "$(grep -c . $WORK/manual.txt)" -ge 250
  is "each option of the installed manual is in the list" "" "$(sort -u <<<"$names" | comm -13 - $WORK/manual.txt)"
  is "and no other one is said to be of this version" "" \
    "$(sed -n "/^#/d; s/ .*$version.*//p" "$list" | sort | comm -23 - $WORK/manual.txt)"
fi

# One file with a line for each, and one line that is no option. Nothing that it says is done.
{ echo "$names"; echo "no-such-option"; } >$WORK/all.ovpn
is "explain refuses such a file" 1 "$(nsvpn explain $WORK/all.ovpn >$WORK/all.txt 2>&1; echo $?)"
nsvpn --json explain $WORK/all.ovpn >$WORK/all.json 2>/dev/null
n=$(grep -c . <<<"$names")
is "text: every line has its fate" $((n + 1)) "$(grep -cE '^ +[1-9][0-9]*  (honoured|ignored|refused) ' $WORK/all.txt)"
is "text: unknown is what is no option, and nothing else" no-such-option \
  "$(sed -nE "s/^.*unknown option '([^']*)'.*/\1/p" $WORK/all.txt | sort -u)"
like "text: the sums" "^  [0-9]+ honoured, [0-9]+ ignored, [0-9]+ refused" "$(cat $WORK/all.txt)"
diag "$(grep -E 'honoured, [0-9]+ ignored' $WORK/all.txt)"
like "text: what import would say, with file and line" "$WORK/all.ovpn:[0-9]+: " "$(tail -n 1 $WORK/all.txt)"
if command -v python3 >/dev/null; then
  python3 - $WORK/all.json $WORK/all.ovpn >$WORK/json.out 2>&1 <<'PY'
import json, sys
j = json.load(open(sys.argv[1]))
names = open(sys.argv[2]).read().split()
seen = {}
for l in j["lines"]:
    assert l["fate"] in ("honoured", "ignored", "refused"), l
    assert l["text"], l
    if l["line"]:
        seen[l["line"]] = l
for i, name in enumerate(names, 1):
    assert seen[i]["option"] == name, (i, name, seen[i])
for fate in ("honoured", "ignored", "refused"):
    assert j[fate] == sum(l["fate"] == fate for l in j["lines"]), fate
assert j["error"].startswith(sys.argv[2] + ":"), j["error"]
PY
  is "JSON: a note for every line, right sums, the error" "" "$(cat $WORK/json.out)"
else
  skip "JSON: a note for every line" "python3 is not installed"
fi

# The lines that people meet most, word for word enough to be of use.
fate() { # LINE: what explain says about it, in a file that is fine otherwise
  printf 'client\ndev tun\nremote 192.0.2.1\nauth-user-pass\nremote-cert-tls server\n%s\n' "$1" >$WORK/one.ovpn
  nsvpn explain $WORK/one.ovpn 2>&1 | grep -E '^ +6  '
}
like "a script is refused, and the line is named" 'refused +up .*never runs a program.*line 6' "$(fate 'up /bin/x')"
like "a static key is refused with its reason" 'refused +secret .*forward secrecy.*TLS profile' "$(fate 'secret static.key')"
like "setenv is for scripts only" 'ignored +setenv .*environment' "$(fate 'setenv FOO bar')"
like "setenv opt: a known option counts" 'honoured +route-nopull' "$(fate 'setenv opt route-nopull')"
like "setenv opt: an unknown one may be" 'ignored +fancy-option .*setenv opt' "$(fate 'setenv opt fancy-option 1')"
like "a route around the tunnel is dropped" 'ignored +route .*around the tunnel' \
  "$(fate 'route 192.0.2.0 255.255.255.0 net_gateway')"
like "a route by name is refused" 'refused +route .*write its address' "$(fate 'route www.example.net')"
like "a typing mistake gets a hint" "refused +rout .*did you mean 'route'" "$(fate 'rout 192.0.2.0')"
tap_done
