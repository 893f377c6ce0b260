# Does matrix.txt name every value, and every pair of values that can be, for each server? Prints what is missing or wrong and
# one line of figures for each server; exit status 1 when something is missing.
#
# What cannot be: epoch keys came with OpenVPN 2.7, and there every AEAD cipher has them, so AES-256-GCM stands as "epoch"
# there and as itself elsewhere.
BEGIN {
	columns = split("transport wrap cipher framing topology login", column)
	values["transport"] = "udp4 udp6 tcp4 tcp6"
	values["wrap"] = "none tls-auth tls-crypt tls-crypt-v2"
	values["cipher"] = "AES-256-GCM AES-128-GCM CHACHA20-POLY1305 AES-256-CBC epoch"
	values["framing"] = "none comp-lzo lz4-v2 stub-v2"
	values["topology"] = "net30 subnet p2p"
	values["login"] = "cert cert+pass pass fingerprint"
	servers = split("2.5 2.6 2.7", server)
}
function can(s, value) {
	return value == "epoch" ? s == "2.7" : value == "AES-256-GCM" ? s != "2.7" : 1
}
function wrong(what) {
	print what
	bad = 1
}
/^#/ || !NF { next }
{
	if (NF != columns + 1)
		wrong("line " NR ": " NF " columns")
	rows[$1]++
	for (i = 1; i <= columns; i++) {
		if (index(" " values[column[i]] " ", " " $(i + 1) " ") == 0 || !can($1, $(i + 1)))
			wrong("line " NR ": " column[i] " cannot be " $(i + 1) " with " $1)
		for (j = i + 1; j <= columns; j++)
			met[$1, i, $(i + 1), j, $(j + 1)] = 1
	}
}
END {
	for (s = 1; s <= servers; s++) {
		pairs = 0
		for (i = 1; i < columns; i++)
			for (j = i + 1; j <= columns; j++) {
				n = split(values[column[i]], left)
				m = split(values[column[j]], right)
				for (a = 1; a <= n; a++)
					for (b = 1; b <= m; b++) {
						if (!can(server[s], left[a]) || !can(server[s], right[b]))
							continue
						pairs++
						if (!((server[s], i, left[a], j, right[b]) in met))
							wrong(server[s] ": no row has " left[a] " and " right[b])
					}
			}
		printf "%s: %d pairs in %d rows\n", server[s], pairs, rows[server[s]]
	}
	exit bad
}
