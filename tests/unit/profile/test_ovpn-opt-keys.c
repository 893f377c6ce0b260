/*
 * tls-crypt-v2 client keys. The published ones are of OpenVPN's tests/unit_tests/openvpn/test_tls_crypt.c at commit
 * 01ee1693 (constants only): Kc is 00 01 … ff; the first one has a time as metadata, the second three bytes.
 */
#include "sample.h"

#include <errno.h>

#define BEGIN "-----BEGIN OpenVPN tls-crypt-v2 client key-----\n"
#define END "-----END OpenVPN tls-crypt-v2 client key-----\n"
#define KC                                                                                                         \
	"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4v\n"                                       \
	"MDEyMzQ1Njc4OTo7PD0+P0BBQkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5f\n"                                       \
	"YGFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6e3x9fn+AgYKDhIWGh4iJiouMjY6P\n"                                       \
	"kJGSk5SVlpeYmZqbnJ2en6ChoqOkpaanqKmqq6ytrq+wsbKztLW2t7i5uru8vb6/\n"                                       \
	"wMHCw8TFxsfIycrLzM3Oz9DR0tPU1dbX2Nna29zd3t/g4eLj5OXm5+jp6uvs7e7v\n"
#define TIMED                                                                                                      \
	"8PHy8/T19vf4+fr7/P3+/xd9pcB0qUYZsWvkrLcfGmzPJPM8a7r0mEWdXwbDadSV\n"                                       \
	"LHg5bv2TwlmPR3HgaMr8o9LTh9hxUTkrH3S0PfKRNwcso86ua/dBFTyXsM9tg4aw\n"                                       \
	"3dS6ogH9AkaT+kRRDgNcKWkQCbwmJK2JlfkXHBwbAtmn78AkNuho6QCFqCdqGab3\n"                                       \
	"zh2vheFqGMPdGpukbFrT3rcO3VLxUeG+RdzXiMTCpJSovFBP1lDkYwYJPnz6daEh\n"                                       \
	"j0TzJ3BVru9W3CpotdNt7u09knxAfpCxjtrP3semsDew/gTBtcfQ/OoTFyFHnN5k\n"                                       \
	"RZ+q17SC4nba3Pp8/Fs0+hSbv2tJozoD8SElFq7SIWJsciTYh8q8f5yQxjdt4Wxu\n"
#define TIMED_LAST "/Z5wtPCAZ0tOzj4ItTI77fBOYRTfEayzHgEr\n"
#define WORDY                                                                                                      \
	"8PHy8/T19vf4+fr7/P3+/2ntp1WCqhcLjJQY/igkjNt3Yb6i0neqFkfrOp2UCDcz\n"                                       \
	"6RSJtPLZbvOOKUHk2qwxPYUsFCnz/IWV6/ZiLRrabzUpS8oSN1HS6P7qqAdrHKgf\n"                                       \
	"hVTHasdSf2UdMTPC7HBgnP9Ll0FhKN0h7vSzbbt7QM7wH9mr1ecc/Mt0SYW2lpwA\n"                                       \
	"aJObYGTyk6hTgWm0g/MLrworLrezTqUHBZzVsu+LDyqLWK1lzJNd66MuNOsGA4YF\n"                                       \
	"fbCsDh8n3H+Cw1k5YNBZDYYJOtVUgBWXheO6vgoOmqDdI0dAQ3hVo9DE+SkCFjgf\n"                                       \
	"l4FY2yLEh9ZVZZrl1eD1Owh/X178CkHrBJYl9LNQSyQEKlDGWwBLQ/pY3qtjctr3\n"                                       \
	"pV62MPQdBo+1lcsjDCJVQA6XUyltas4BKQ==\n"
#define V2(key) "<tls-crypt-v2>\n" key "</tls-crypt-v2>\n"
#define TIMED_KEY BEGIN KC TIMED TIMED_LAST END
#define WORDY_KEY BEGIN KC WORDY END

Test(ovpn_opt_keys, published_client_keys)
{
	static const struct {
		const char *text;
		size_t wkc;
	} rows[] = { { SMALL V2(TIMED_KEY), 299 }, { SMALL V2("# a comment\n" WORDY_KEY), 297 } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct parsed d = sample_parse_text(rows[i].text);
		const struct ovpn_options *o;
		char *error = NULL;

		cr_assert_eq(d.r, 0, "%s", d.error);
		cr_assert_eq(profile_verify(d.p, &error), 0, "%s", error);
		o = &d.p->ovpn;
		cr_assert_eq(o->wrap, CONTROL_WRAP_TLS_CRYPT);
		cr_assert_eq(secret_len(o->static_key), 256);
		for (unsigned k = 0; k < 256; k++)
			cr_assert_eq(secret_bytes(o->static_key)[k], k);
		cr_assert_eq(secret_len(o->wkc), rows[i].wkc);
		cr_assert_eq(secret_bytes(o->wkc)[rows[i].wkc - 1], rows[i].wkc & 0xff);
		parsed_done(&d);
	}
}

Test(ovpn_opt_keys, says_what_is_wrong_with_a_client_key)
{
	static const struct {
		const char *text, *part;
	} rows[] = {
		{ SMALL V2("x\n"), "holds no client key" },
		{ SMALL V2("-----BEGIN OpenVPN tls-crypt-v2 server key-----\nAAAA\n"), "the server's key" },
		{ SMALL V2(BEGIN KC TIMED), "cut off" },
		{ SMALL V2(BEGIN KC TIMED "!" TIMED_LAST END), "damaged" },
		{ SMALL V2(BEGIN KC TIMED END), "too short" },
		{ SMALL V2(BEGIN KC TIMED TIMED TIMED_LAST END), "its length is not what it says" },
		{ SMALL V2(BEGIN KC END), "too short" },
		{ SMALL V2(BEGIN KC KC KC KC KC KC TIMED END), "longer than servers accept" },
		{ SMALL V2(BEGIN END), "too short" },
		{ SMALL V2(SAMPLE_KEY), "holds no client key" },
		{ SMALL "<tls-crypt>\n" TIMED_KEY "</tls-crypt>\n", "holds no static key" },
		{ SMALL V2(TIMED_KEY) "<tls-crypt>\n" SAMPLE_KEY "</tls-crypt>\n", "exclude each other" },
		{ SMALL "<tls-auth>\n" SAMPLE_KEY "</tls-auth>\n" V2(TIMED_KEY), "exclude each other" },
		{ SMALL "<connection>\nremote b\n" V2(TIMED_KEY) "</connection>\n<connection>\nremote c\n" V2(WORDY_KEY)
		  "</connection>\n", "a key for each <connection>" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct parsed d = sample_parse_text(rows[i].text);

		cr_expect_eq(d.r, -EINVAL, "row %zu", i);
		cr_expect(d.error && strstr(d.error, rows[i].part), "row %zu: %s", i, d.error);
		parsed_done(&d);
	}
}

Test(ovpn_opt_keys, a_client_key_file_becomes_a_block)
{
	static const struct sample_file files[] = { { "me.key", TIMED_KEY, 0 }, { NULL, NULL, 0 } };
	static const char text[] = SMALL "tls-crypt-v2 me.key\n";
	struct secret *inlined = NULL;
	struct parsed d, e;
	const char *what = NULL;
	char *error = NULL;

	d = sample_parse(text, sizeof(text) - 1, files);
	cr_assert_eq(d.r, 0, "%s", d.error);
	cr_assert_eq(profile_inline_ovpn(text, sizeof(text) - 1, "x", sample_load, (void *)files, &inlined, &error), 0, "%s",
		     error);
	e = sample_parse_text(secret_string(inlined));
	cr_assert_eq(e.r, 0, "%s", e.error);
	cr_assert(profiles_equal(d.p, e.p, &what), "%s", what);
	parsed_done(&d);
	parsed_done(&e);
	secret_free(inlined);
}
