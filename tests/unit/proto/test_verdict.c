/* Every drop reason has a name of its own. */
#include <criterion/criterion.h>
#include <string.h>

#include "proto/proto.h"

Test(verdict, every_one_has_its_own_name)
{
	for (int i = 0; i < _VERDICT_MAX; i++) {
		cr_assert_str_neq(verdict_to_string((enum verdict)i), "unknown");
		for (int j = 0; j < i; j++)
			cr_assert_str_neq(verdict_to_string((enum verdict)i), verdict_to_string((enum verdict)j));
	}
	cr_assert_str_eq(verdict_to_string(_VERDICT_MAX), "unknown");
	cr_assert_str_eq(verdict_to_string((enum verdict)-1), "unknown");
}
