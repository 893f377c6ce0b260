/* nsvpn: the table of its commands. */
#include "cli/cli.h"

static const struct command commands[] = {
	{ "import", "FILE [--name NAME]", "take a provider's .ovpn file as a tunnel",
	  "Checks FILE, copies it and the files that it names into the configuration folder as tunnel NAME, and prints\n"
	  "which of its lines are ignored and why. Nothing in a profile is ever run: a profile with script hooks, plugins or\n"
	  "unknown options is refused with the line that is in the way. A password file that it names may be missing: `nsvpn\n"
	  "up` then asks.\n\n"
	  "  --name NAME  the tunnel's name: up to 10 of a-z, 0-9 and '-'. Default: from the file's name\n"
	  "  -v           print the honoured lines, too\n\n"
	  "  nsvpn import ~/Downloads/provider.ovpn --name home",
	  true, cmd_import },
	{ "remove", "NAME", "the reverse of import",
	  "Deletes tunnel NAME from the configuration folder, keys and settings included. It has to be down.", false,
	  cmd_remove },
	{ "up", "[NAME | FILE] [--no-wait] [--timeout SECONDS] [--credentials FILE] [--uplink veth|socket] [--open] [--agent]",
	  "build the namespace, connect, wait until connected",
	  "Builds the locked namespace of the tunnel, starts its engine and waits until it is connected. FILE is imported\n"
	  "first under the name of the file, where it is not yet. Without NAME: the default tunnel, that is the setting\n"
	  "Default= of nsvpn.conf, else the only one there is.\n\n"
	  "  --no-wait           return as soon as the tunnel is locked and connecting\n"
	  "  --timeout SECONDS   give up waiting (exit code 7); the tunnel stays locked and goes on trying. Default: 60\n"
	  "  --credentials FILE  user name and password, one line each, and the answer to what the server asks, if it does;\n"
	  "                      - is standard input. Without it they are asked for at the terminal when the profile wants some\n"
	  "  --uplink KIND       veth or socket instead of what the tunnel's settings say\n"
	  "  --open              open the page at which the server wants a log-in, if it does, with xdg-open\n"
	  "  --agent             without a terminal, ask through the password agents of this machine (root's services)\n\n"
	  "Ctrl-C takes the tunnel down again.",
	  true, cmd_up },
	{ "down", "[NAME | --all] [--kill]", "stop; programs inside stay locked in",
	  "Takes the default route away, stops the engine and removes everything that `up` made. Programs that still run\n"
	  "inside stay in their namespace, locked, and are listed.\n\n"
	  "  --all   every tunnel that is up\n"
	  "  --kill  end the programs inside",
	  true, cmd_down },
	{ "exec", "[-t NAME] [--isolate] [--new-instance] [--user USER] [--timeout SECONDS] [--no-wait] [--] PROGRAM [ARGUMENT...]",
	  "run a program in the tunnel",
	  "Runs PROGRAM in the tunnel's namespace, with your arguments, environment, working folder, terminal and exit\n"
	  "status; under sudo as the user who called sudo. The tunnel is brought up first where it is down; where it has\n"
	  "lost its connection, the program starts at once, locked in, and has network when the tunnel is back. The first\n"
	  "word that is not an option is the program.\n\n"
	  "  -t, --tunnel NAME    which tunnel. Default: as with `nsvpn up`\n"
	  "  --user USER          run it as USER (name or number); for root\n"
	  "  --timeout SECONDS    how long to wait for the first connection. Default: 60\n"
	  "  --no-wait            do not wait for it: start the program as soon as the tunnel is locked\n"
	  "  --credentials FILE   as with `nsvpn up`\n"
	  "  --allow-inet-stdio   let it have a network socket of the outside as standard input, output or error\n"
	  "  --new-instance       a separate instance of a browser, office, editor ... with a folder of its own, beside one that\n"
	  "                       runs outside. Without it such a start is refused: the window would open outside\n"
	  "  --allow-running      do not refuse it\n"
	  "  --isolate            also close the sockets over which it could have another program act outside: buses, containers,\n"
	  "                       printing ... It sees no files in /tmp and /run; display and sound stay; see nsvpn(1), ISOLATION\n"
	  "  --no-new-privs       setuid programs in it give no rights\n"
	  "  --notify             show what goes wrong as a notification of the desktop, where there is no terminal\n"
	  "  --rootless           a tunnel of your own, without root and without the service\n"
	  "  --config FILE        with it: the tunnel of this profile, for as long as its programs run\n\n"
	  "Exit status: the program's own; 125 nsvpn failed, 126 it cannot be executed, 127 it was not found.\n\n"
	  "  nsvpn exec --new-instance firefox\n"
	  "  nsvpn exec --rootless --config work.ovpn -- ssh build.example.net",
	  false, cmd_exec },
	{ "shell", "[-t NAME] [--isolate] [--user USER] [--timeout SECONDS] [--no-wait]", "run your shell in the tunnel",
	  "The same as `nsvpn exec` with your own shell. The options and exit status are those of exec.", false, cmd_shell },
	{ "status", "[NAME] [--watch] [--escapes]", "state, addresses, traffic, programs inside, last error",
	  "Shows one tunnel or all. Nothing is started or changed.\n\n"
	  "  --watch    again every second, until Ctrl-C\n"
	  "  --escapes  instead: programs that were started for the tunnel and run outside, as far as they can be seen; exit code 5\n"
	  "             when there are some",
	  true, cmd_status },
	{ "list", "[--names]", "the tunnels there are",
	  "Lists the configured tunnels and their state.\n\n"
	  "  --names  nothing but the names, one a line",
	  true, cmd_list },
	{ "explain", "FILE", "what each line of a profile will do",
	  "Prints for each line of FILE whether it is honoured, ignored or refused, and why. Nothing is stored. The exit\n"
	  "code is 1 when `nsvpn import` would refuse it.",
	  true, cmd_explain },
	{ "plan", "[NAME]", "every change that up would make",
	  "Prints what `nsvpn up NAME` would change on this machine, as text for its administrator. Changes nothing.", true,
	  cmd_plan },
	{ "logs", "[NAME] [-f]", "the tunnel's log",
	  "Prints the log of the tunnel since the machine started.\n\n"
	  "  -f, --follow  go on as it grows, until Ctrl-C",
	  true, cmd_logs },
	{ "desktop", "add APP [-t NAME] [--new-instance] | remove APP [-t NAME] | list", "menu entries that start programs in a tunnel",
	  "Makes a menu entry \"APP (NAME)\" beside that of APP, which starts it in tunnel NAME. APP is the id of its entry or\n"
	  "the name of its program. The entry is a file in your own folder; it opens no types of files and no links, so it never\n"
	  "becomes the default for them. What goes wrong when it is clicked is shown as a notification.\n\n"
	  "  -t, --tunnel NAME  which tunnel. Default: as with `nsvpn up`\n"
	  "  --new-instance     as with `nsvpn exec`: separate from an instance that runs outside\n\n"
	  "  nsvpn desktop add firefox --new-instance",
	  true, cmd_desktop },
	{ "unit", "add UNIT [-t NAME] [--now] [--joins-namespace-of] | remove UNIT [--now] | list", "services that live in a tunnel",
	  "Makes a service of systemd live in tunnel NAME, from its first packet to its last: it is started when the tunnel is\n"
	  "connected and stopped before it is taken down. One file is written, a drop-in of UNIT, and compared with what systemd\n"
	  "makes of it; `remove` takes it away again. UNIT is the name of a service, or of a template (name@.service).\n\n"
	  "  -t, --tunnel NAME     which tunnel. Default: as with `nsvpn up`\n"
	  "  --now                 restart UNIT if it runs, so that it counts at once\n"
	  "  --joins-namespace-of  with PrivateNetwork= and JoinsNamespaceOf= in place of NetworkNamespacePath=\n\n"
	  "A tunnel that shall be up without any service: Autostart=yes in its settings.conf, or systemctl enable nsvpn@NAME.\n\n"
	  "  sudo nsvpn unit add kodi --now",
	  true, cmd_unit },
	{ "doctor", "", "what on this machine helps or hinders",
	  "Looks at what tunnels need and what gets in their way: the kernel, other programs' firewalls, name services, network\n"
	  "managers, what is installed, what a crash left behind. Each finding is ok, note, warning or problem, with what to do.\n"
	  "Nothing is changed. As root it sees more; what it could not see is said.\n\n"
	  "  -v  also what is as it should be\n"
	  "  -q  problems and warnings only\n\n"
	  "The exit code is 1 when there is a problem.",
	  true, cmd_doctor },
	{ "demo", "", "a self-contained demonstration",
	  "Builds a private lab (a server, an \"internet\", a tunnel, a program inside), shows the kill switch, and leaves\n"
	  "nothing behind. Takes about ten seconds.",
	  false, cmd_demo },
};

int main(int argc, char **argv)
{
	return cli_main(commands, ARRAY_SIZE(commands), argc, argv);
}
