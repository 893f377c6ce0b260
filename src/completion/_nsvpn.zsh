#compdef nsvpn
# Completion of nsvpn for zsh; installed as _nsvpn. Names of tunnels come from `nsvpn list --names`.

_nsvpn_tunnels() {
	local -a names
	local -a own
	((words[(I)--rootless])) && own=(--rootless)
	names=(${(f)"$(nsvpn list $own --names 2>/dev/null)"})
	compadd -a names
}

_nsvpn() {
	local context state state_descr line ret=1
	typeset -A opt_args
	local -a commands globals running
	commands=(
		'import:take a provider file as a tunnel'
		'remove:the reverse of import'
		'up:build the namespace, connect, wait until connected'
		'down:stop; programs inside stay locked in'
		'exec:run a program in the tunnel'
		'shell:run your shell in the tunnel'
		'status:state, addresses, traffic, last error'
		'list:the tunnels there are'
		'explain:what each line of a profile will do'
		'plan:every change that up would make'
		'logs:the log of the tunnel'
		'desktop:menu entries that start programs in a tunnel'
		'unit:services that live in a tunnel'
		'doctor:what on this machine helps or hinders'
		'demo:a self-contained demonstration'
	)
	globals=(
		'(-q --quiet)'{-q,--quiet}'[print errors only]'
		'(-v --verbose)'{-v,--verbose}'[say more]'
		'--json[print data as JSON]'
		'--rootless[a tunnel of your own, without root]'
		'(-h --help)'{-h,--help}'[help]'
	)
	running=(
		'(-t --tunnel)'{-t,--tunnel}'[which tunnel]:tunnel:_nsvpn_tunnels'
		'--user[run it as this user]:user:_users'
		'--timeout[how long to wait]:seconds'
		'--no-wait[start the program as soon as the tunnel is locked]'
		'--credentials[user name and password]:file:_files'
		'--allow-inet-stdio[allow network sockets as streams]'
		'--new-instance[a separate instance with a folder of its own]'
		'--allow-running[although an instance runs outside]'
		'--isolate[close the sockets that lead to programs outside]'
		'--no-new-privs[setuid programs give no rights]'
		'--config[with --rootless: the tunnel of this profile]:file:_files -g "*.ovpn"'
		'--notify[failures as notifications of the desktop]'
	)

	_arguments -C $globals '--version[the version]' '1:command:->command' '*::argument:->argument' && ret=0
	case $state in
	command) _describe command commands && ret=0 ;;
	argument)
		case $words[1] in
		import) _arguments $globals '--name[name of the tunnel]:name' '1:file:_files -g "*.ovpn"' && ret=0 ;;
		remove | plan) _arguments $globals '1:tunnel:_nsvpn_tunnels' && ret=0 ;;
		up)
			_arguments $globals '--no-wait[return while connecting]' '--timeout[how long to wait]:seconds' \
				'--credentials[user name and password]:file:_files' '--uplink[how packets leave]:kind:(veth socket)' \
				'--agent[ask through password agents]' '--open[open the log-in page of the server in a browser]' '1:tunnel or file:{ _nsvpn_tunnels; _files -g "*.ovpn" }' && ret=0
			;;
		down) _arguments $globals '--all[every tunnel]' '--kill[end programs inside]' '1:tunnel:_nsvpn_tunnels' && ret=0 ;;
		exec) _arguments $globals $running '1:program: _command_names -e' '*::arguments: _normal' && ret=0 ;;
		shell) _arguments $globals $running && ret=0 ;;
		status) _arguments $globals '--watch[again every second]' '--escapes[programs that got out]' '1:tunnel:_nsvpn_tunnels' && ret=0 ;;
		explain) _arguments $globals '1:file:_files -g "*.ovpn"' && ret=0 ;;
		logs) _arguments $globals '(-f --follow)'{-f,--follow}'[go on as it grows]' '1:tunnel:_nsvpn_tunnels' && ret=0 ;;
		doctor) _arguments $globals && ret=0 ;;
		list) _arguments $globals '--names[the names alone]' && ret=0 ;;
		help) _describe command commands && ret=0 ;;
		desktop) _arguments $globals '(-t --tunnel)'{-t,--tunnel}'[which tunnel]:tunnel:_nsvpn_tunnels' \
			'--new-instance[a separate instance]' '1:action:(add remove list)' '2:program:_command_names -e' && ret=0 ;;
		unit) _arguments $globals '(-t --tunnel)'{-t,--tunnel}'[which tunnel]:tunnel:_nsvpn_tunnels' '--now[restart it if it runs]' \
			'--joins-namespace-of[by JoinsNamespaceOf=]' '1:action:(add remove list)' \
			'2:unit:{ compadd -- ${(f)"$(systemctl list-unit-files --type=service --no-legend --plain 2>/dev/null | cut -d " " -f 1)"} }' && ret=0 ;;
		demo) _arguments $globals && ret=0 ;;
		esac
		;;
	esac
	return ret
}

_nsvpn "$@"
