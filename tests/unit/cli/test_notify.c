/* What becomes of a sentence in a notification. */
#include <criterion/criterion.h>

#include "base/cleanup.h"
#include "cli/notify.h"

Test(notify, markup_of_the_sentence_is_text)
{
	_cleanup_(freep) char *s = notify_escape("<b>x</b> & \"y\"");

	cr_expect_str_eq(s, "&lt;b&gt;x&lt;/b&gt; &amp; \"y\"");
}
