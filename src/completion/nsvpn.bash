# Completion of nsvpn for bash. Names of tunnels come from `nsvpn list --names`.

# Of a user's own tunnels where --rootless stands on the line.
_nsvpn_names() {
	local own=""
	[[ " ${COMP_WORDS[*]} " == *" --rootless "* ]] && own=--rootless
	# shellcheck disable=SC2086
	nsvpn list $own --names 2>/dev/null
}

_nsvpn_options() {
	case $1 in
	import) echo "--name --json" ;;
	up) echo "--no-wait --timeout --credentials --uplink --agent --open --json" ;;
	down) echo "--all --kill --json" ;;
	exec | shell) echo "--tunnel --user --timeout --no-wait --credentials --allow-inet-stdio --new-instance --allow-running --notify --isolate --no-new-privs --config" ;;
	status) echo "--watch --escapes --json" ;;
	list) echo "--names --json" ;;
	desktop) echo "--tunnel --new-instance --json" ;;
	unit) echo "--tunnel --now --joins-namespace-of --json" ;;
	explain | plan | doctor) echo "--json" ;;
	logs) echo "--follow --json" ;;
	esac
	echo "--quiet --verbose --rootless --help"
}

_nsvpn() {
	local commands="import remove up down exec shell status list explain plan logs desktop unit doctor demo"
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command="" i
	COMPREPLY=()

	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-*) ;;
		*)
			command=${COMP_WORDS[i]}
			break
			;;
		esac
	done
	if [[ -z $command ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$commands help --json --quiet --verbose --rootless --version --help" -- "$cur")
		return
	fi

	# The program of exec and everything behind it complete as if they stood alone.
	if [[ $command == exec ]]; then
		for ((i = i + 1; i < COMP_CWORD; i++)); do
			case ${COMP_WORDS[i]} in
			-t | --tunnel | --user | --timeout | --credentials | --config) ((i++)) ;;
			--) ((i++)); break ;;
			-*) ;;
			*) break ;;
			esac
		done
		if ((i < COMP_CWORD)); then
			if declare -F _command_offset >/dev/null; then
				_command_offset "$i"
			else
				mapfile -t COMPREPLY < <(compgen -f -- "$cur")
			fi
			return
		fi
	fi

	case $prev in
	-t | --tunnel) mapfile -t COMPREPLY < <(compgen -W "$(_nsvpn_names)" -- "$cur"); return ;;
	--user) mapfile -t COMPREPLY < <(compgen -u -- "$cur"); return ;;
	--credentials | --config) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
	--uplink) mapfile -t COMPREPLY < <(compgen -W "veth socket" -- "$cur"); return ;;
	--name | --timeout) return ;;
	esac
	if [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_nsvpn_options "$command")" -- "$cur")
		return
	fi
	case $command in
	remove | down | status | plan | logs)
		mapfile -t COMPREPLY < <(compgen -W "$(_nsvpn_names)" -- "$cur")
		;;
	up)
		mapfile -t COMPREPLY < <(compgen -W "$(_nsvpn_names)" -- "$cur"; compgen -f -X '!*.ovpn' -- "$cur")
		;;
	desktop) mapfile -t COMPREPLY < <(compgen -W "add remove list" -- "$cur"; compgen -c -- "$cur" | sort -u) ;;
	unit)
		mapfile -t COMPREPLY < <(compgen -W "add remove list" -- "$cur"
			systemctl list-unit-files --type=service --no-legend --plain -- "$cur*" 2>/dev/null | cut -d ' ' -f 1)
		;;
	import | explain) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
	exec) mapfile -t COMPREPLY < <(compgen -c -- "$cur" | sort -u) ;;
	help) mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$cur") ;;
	esac
}
complete -o filenames -F _nsvpn nsvpn
