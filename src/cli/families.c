/* Programs that keep one instance; theory in families.h. */
#include "cli/families.h"

#include "base/str.h"

#define MOZILLA "?--new-instance --profile %d", "--profile -profile", "--new-instance -new-instance --no-remote -no-remote"
#define CHROMIUM "--user-data-dir=%d", "--user-data-dir", NULL
#define OFFICE "-env:UserInstallation=file://%d", "-env:UserInstallation", NULL
/* Its session bus decides, or nothing is known that keeps instances apart. */
#define NO_WAY NULL, NULL, NULL

static const struct family families[] = {
	{ "Firefox", "firefox firefox-esr firefox-bin firefox-beta firefox-nightly firefox-devedition firefox-developer-edition "
		     "firefox-trunk firefox.real", MOZILLA },
	{ "LibreWolf", "librewolf librewolf-bin", MOZILLA },
	{ "Waterfox", "waterfox waterfox-bin", MOZILLA },
	{ "Floorp", "floorp floorp-bin", MOZILLA },
	{ "Zen", "zen zen-browser zen-bin", MOZILLA },
	{ "IceCat", "icecat icecat-bin", MOZILLA },
	{ "SeaMonkey", "seamonkey seamonkey-bin", MOZILLA },
	{ "Thunderbird", "thunderbird thunderbird-bin thunderbird-esr betterbird", MOZILLA },

	{ "Chromium", "chromium chromium-browser ungoogled-chromium", CHROMIUM },
	{ "Chrome", "google-chrome google-chrome-stable google-chrome-beta google-chrome-unstable chrome", CHROMIUM },
	{ "Brave", "brave brave-browser brave-browser-stable brave-browser-beta", CHROMIUM },
	{ "Vivaldi", "vivaldi vivaldi-stable vivaldi-snapshot vivaldi-bin", CHROMIUM },
	{ "Opera", "opera opera-stable opera-beta", CHROMIUM },
	{ "Edge", "microsoft-edge microsoft-edge-stable microsoft-edge-beta msedge", CHROMIUM },
	{ "Visual Studio Code", "code code-insiders code-oss", CHROMIUM },
	{ "VSCodium", "codium vscodium", CHROMIUM },
	{ "Slack", "slack", CHROMIUM },
	{ "Discord", "discord Discord", CHROMIUM },
	{ "Signal", "signal-desktop", CHROMIUM },
	{ "Element", "element-desktop", CHROMIUM },
	{ "Obsidian", "obsidian", CHROMIUM },
	{ "Teams", "teams teams-for-linux", CHROMIUM },

	{ "LibreOffice", "libreoffice soffice soffice.bin loffice lowriter localc lodraw loimpress lomath lobase", OFFICE },
	{ "Telegram", "telegram-desktop telegram Telegram", "-workdir %d", "-workdir", NULL },
	{ "qBittorrent", "qbittorrent", "--profile=%d", "--profile", NULL },
	{ "Transmission", "transmission-gtk transmission-qt", "--config-dir=%d", "--config-dir -g", NULL },
	{ "Deluge", "deluge deluge-gtk", "--config=%d", "--config -c", NULL },
	{ "GNOME Web", "epiphany epiphany-browser", "--profile=%d", "--profile", "--private-instance -p --incognito-mode -i" },
	{ "gedit", "gedit", "--standalone", NULL, "--standalone -s" },
	{ "GNOME Text Editor", "gnome-text-editor", "--standalone", NULL, "--standalone -s" },
	{ "Xfce Terminal", "xfce4-terminal", "--disable-server", NULL, "--disable-server" },
	{ "MATE Terminal", "mate-terminal", "--disable-factory", NULL, "--disable-factory" },
	{ "Terminator", "terminator", "--no-dbus", NULL, "--no-dbus -u" },
	{ "Tilix", "tilix", "--new-process", NULL, "--new-process" },

	{ "GNOME Terminal", "gnome-terminal gnome-terminal-server gnome-terminal.real", NO_WAY },
	{ "GNOME Console", "kgx", NO_WAY },
	{ "Ptyxis", "ptyxis", NO_WAY },
	{ "Files", "nautilus", NO_WAY },
	{ "Nemo", "nemo", NO_WAY },
	{ "Thunar", "thunar Thunar", NO_WAY },
	{ "Evolution", "evolution", NO_WAY },
	{ "Geary", "geary", NO_WAY },
	{ "Rhythmbox", "rhythmbox", NO_WAY },
	{ "Totem", "totem", NO_WAY },
	{ "Fractal", "fractal", NO_WAY },
	{ "Spotify", "spotify", NO_WAY },
	{ "Steam", "steam", NO_WAY },
};

/* Is `word`, len bytes, one of the words of `list`? */
static bool has_word(const char *list, const char *word, size_t len)
{
	while (list && *list) {
		size_t n = strcspn(list, " ");

		if (n == len && memcmp(list, word, n) == 0)
			return true;
		list += n;
		list += strspn(list, " ");
	}
	return false;
}

bool family_has(const struct family *f, const char *program)
{
	const char *name = str_base_name(program);

	return *name && has_word(f->programs, name, strlen(name));
}

const struct family *family_find(const char *program)
{
	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		if (family_has(&families[i], program))
			return &families[i];
	return NULL;
}

static int add_argument(char ***args, const char *word, size_t len, const char *folder)
{
	_cleanup_(freep) char *s = strndup(word, len), *whole = NULL;
	char *mark = s ? strstr(s, "%d") : NULL;

	if (!s)
		return -ENOMEM;
	if (!mark)
		return strv_add(args, s);
	*mark = '\0';
	whole = str_format("%s%s%s", s, folder, mark + 2);
	return whole ? strv_add(args, whole) : -ENOMEM;
}

int family_separate(const struct family *f, const char *folder, bool is_in_use, char ***ret)
{
	_cleanup_(strv_freep) char **args = NULL;
	int r = 0;

	if (!f->separate)
		return -EOPNOTSUPP;
	for (const char *p = f->separate; *p && r >= 0;) {
		bool is_first_only = *p == '?';
		size_t n;

		p += is_first_only;
		n = strcspn(p, " ");
		if (!is_first_only || !is_in_use)
			r = add_argument(&args, p, n, folder);
		p += n;
		p += strspn(p, " ");
	}
	if (r < 0)
		return r;
	*ret = TAKE_PTR(args);
	return 0;
}

const char *family_own_folder(const struct family *f, char *const *arguments)
{
	for (; *arguments && !str_eq(*arguments, "--"); arguments++) {
		size_t n = strcspn(*arguments, "=");
		const char *value = (*arguments)[n] ? *arguments + n + 1 : arguments[1];

		if (!has_word(f->folder_options, *arguments, n) || !value)
			continue;
		return str_has_prefix(value, "file://") ? value + strlen("file://") : value;
	}
	return NULL;
}

bool family_is_apart(const struct family *f, char *const *arguments)
{
	for (; *arguments && !str_eq(*arguments, "--"); arguments++)
		if (has_word(f->apart_options, *arguments, strlen(*arguments)))
			return true;
	return false;
}
