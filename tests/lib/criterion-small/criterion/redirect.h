/* The part of Criterion's redirection that the unit tests use; see criterion.h. */
#pragma once

#include "criterion/criterion.h"

void cr_redirect_stdout(void);
void cr_redirect_stderr(void);
/* What was written since the last look. */
FILE *cr_get_redirected_stdout(void);
FILE *cr_get_redirected_stderr(void);

bool small_output_is(FILE *f, const char *want);
#define cr_assert_stdout_eq_str(s, ...) small_check_(true, small_output_is(cr_get_redirected_stdout(), s), "stdout", ##__VA_ARGS__)
#define cr_assert_stderr_eq_str(s, ...) small_check_(true, small_output_is(cr_get_redirected_stderr(), s), "stderr", ##__VA_ARGS__)
#define cr_expect_stdout_eq_str(s, ...) small_check_(false, small_output_is(cr_get_redirected_stdout(), s), "stdout", ##__VA_ARGS__)
#define cr_expect_stderr_eq_str(s, ...) small_check_(false, small_output_is(cr_get_redirected_stderr(), s), "stderr", ##__VA_ARGS__)
