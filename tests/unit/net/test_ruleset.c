/* The text of `nft list ruleset`, from real machines (tests/golden/ruleset-*.txt) and from nobody. */
#include "net/ruleset.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>

#include "base/fd.h"
#include "base/str.h"

static struct ruleset *parse(const char *text)
{
	struct ruleset *rs = NULL;

	cr_assert_eq(ruleset_parse(text, &rs), 0, "%s", text);
	return rs;
}

static void must_refuse(const char *text)
{
	struct ruleset *rs = NULL;

	cr_assert_eq(ruleset_parse(text, &rs), -EBADMSG, "%s", text);
	cr_assert_null(rs);
}

Test(ruleset, reads_a_base_chain_and_its_rules)
{
	struct ruleset *rs = parse("table inet t {\n\tset s {\n\t\ttype ipv4_addr\n\t}\n\n\tchain f {\n"
				   "\t\tcomment \"mine; { }\"\n"
				   "\t\ttype filter hook forward priority filter + 10; policy drop;\n"
				   "\t\tiifname { \"a\", \"b c\" } log prefix \"x; { \" drop # handle 7\n\t}\n"
				   "\tchain g {\n\t}\n}\n");
	const struct nf_table *t = ruleset_table(rs, "inet", "t");
	const struct nf_chain *c = t ? nf_table_chain(t, "f") : NULL;

	cr_assert(t && c);
	cr_assert_eq(t->n_chains, 2);
	cr_assert(c->is_base && c->filters && c->drops);
	cr_assert_eq(c->hook, NF_HOOK_FORWARD);
	cr_assert_eq(c->priority, 10);
	cr_assert_eq(c->n_rules, 1);
	cr_assert_str_eq(c->rules[0].text, "iifname { \"a\", \"b c\" } log prefix \"x; { \" drop");
	cr_assert_not(nf_table_chain(t, "g")->is_base);
	ruleset_free(rs);
}

Test(ruleset, knows_names_and_numbers_of_priorities)
{
	static const struct {
		const char *text;
		int value;
	} cases[] = { { "0", 0 },	 { "-300", -300 },     { "raw", -300 },	  { "mangle - 5", -155 },
		      { "srcnat", 100 }, { "security + 1", 51 }, { "dstnat", -100 } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(freep) char *text = str_format(
			"table ip t {\nchain c {\ntype filter hook ingress priority %s; policy accept;\n}\n}\n", cases[i].text);
		struct ruleset *rs = parse(text);

		cr_assert_eq(rs->tables[0].chains[0].priority, cases[i].value, "%s", cases[i].text);
		cr_assert_eq(rs->tables[0].chains[0].hook, NF_HOOK_OTHER);
		ruleset_free(rs);
	}
}

Test(ruleset, sees_a_dormant_table)
{
	struct ruleset *rs = parse("table ip t {\n\tflags dormant\n\tchain c {\n\t}\n}\n");

	cr_assert(rs->tables[0].dormant);
	ruleset_free(rs);
}

Test(ruleset, joins_the_line_that_a_missing_extension_broke)
{
	struct ruleset *rs = parse("table ip filter {\n\tchain c {\n\t\tXT match conntrack not found\n counter accept\n"
				   "\t\tXT target LOG not found\n\n\t}\n}\n");
	const struct nf_chain *c = &rs->tables[0].chains[0];

	cr_assert_eq(c->n_rules, 2);
	cr_assert_str_eq(c->rules[0].text, "XT match conntrack not found counter accept");
	ruleset_free(rs);
}

Test(ruleset, takes_every_white_space_for_one)
{
	struct ruleset *rs = parse("table ip t {\n\tchain c {\n\t\ttcp\vdport\f22\r drop\n\t}\n\v\f}\n");
	const struct nf_chain *c = nf_table_chain(ruleset_table(rs, "ip", "t"), "c");

	cr_assert(c && c->n_rules == 1);
	cr_assert_str_eq(c->rules[0].text, "tcp dport 22 drop");
	ruleset_free(rs);
}

Test(ruleset, of_an_empty_machine_is_empty)
{
	struct ruleset *rs = parse("");

	cr_assert_eq(rs->n_tables, 0);
	ruleset_free(rs);
}

Test(ruleset, refuses_what_is_no_ruleset)
{
	must_refuse("table");
	must_refuse("table ip");
	must_refuse("table ip t");
	must_refuse("table ip t {");
	must_refuse("table ip t { chain c {");
	must_refuse("table ip t { chain c { drop");
	must_refuse("table ip t { chain c { { drop }\n");
	must_refuse("}");
	must_refuse("chain ip t { }");
	must_refuse("table ip t u { }");
	must_refuse("table ip t { chain c {\nlog prefix \"no end\n} }");
	must_refuse("table ip t { chain c {\ntype filter hook forward priority soon; policy drop;\n} }");
	must_refuse("table ip t { chain c {\ntype filter hook forward;\n} }");
}

/* Cut anywhere, it is refused or read, and never more than that. */
Test(ruleset, survives_every_cut)
{
	char *text = NULL;
	size_t len;

	cr_assert_eq(file_read(AT_FDCWD, "tests/golden/ruleset-docker.txt", 1 << 20, &text, &len), 0);
	for (size_t i = 0; i <= len; i++) {
		_cleanup_(freep) char *part = strndup(text, i);
		struct ruleset *rs = NULL;
		int r = ruleset_parse(part, &rs);

		cr_assert(r == 0 || r == -EBADMSG);
		ruleset_free(rs);
	}
	free(text);
}
