/*
 * The part of Criterion that the unit tests use, for machines for which Debian has no Criterion (armhf), and where it cannot
 * work: under qemu-user, since it starts its workers by addresses and memory maps of its own. Same names, same meaning;
 * `make CRITERION=small`, and always with CROSS=. Theory and runner: ../runner.c.
 */
#pragma once

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct small_settings {
	void (*init)(void), (*fini)(void);
	double timeout; /* seconds; 0: the suite's, and then the runner's */
};

struct small_test {
	const char *suite, *name; /* name NULL: settings of the whole suite */
	void (*run)(void);
	struct small_settings settings;
	struct small_test *next;
};

void small_register(struct small_test *t);
/* A check that did not hold: prints, notes, and ends the test when fatal. */
void small_failed(bool fatal, const char *file, int line, const char *what, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
void small_skip(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void small_log(const char *format, ...) __attribute__((format(printf, 1, 2)));
int small_strcmp(const char *a, const char *b);

#define Test(suite_, name_, ...)                                                                                                 \
	static void suite_##_##name_##_body(void);                                                                               \
	static struct small_test suite_##_##name_##_test = { #suite_, #name_, suite_##_##name_##_body, { __VA_ARGS__ }, NULL };  \
	__attribute__((constructor)) static void suite_##_##name_##_register(void)                                               \
	{                                                                                                                        \
		small_register(&suite_##_##name_##_test);                                                                        \
	}                                                                                                                        \
	static void suite_##_##name_##_body(void)

#define TestSuite(suite_, ...)                                                                                                   \
	static struct small_test suite_##_settings = { #suite_, NULL, NULL, { __VA_ARGS__ }, NULL };                             \
	__attribute__((constructor)) static void suite_##_register_settings(void)                                                \
	{                                                                                                                        \
		small_register(&suite_##_settings);                                                                              \
	}                                                                                                                        \
	extern int small_swallows_semicolon

/* A message, if there is one, is the last thing in __VA_ARGS__. */
#define small_check_(fatal, ok, what, ...)                                                                                       \
	do {                                                                                                                     \
		if (!(ok))                                                                                                       \
			small_failed(fatal, __FILE__, __LINE__, what, " " __VA_ARGS__);                                           \
	} while (0)
#define small_binary_(fatal, a, op, b, ...) small_check_(fatal, (a) op (b), #a " " #op " " #b, ##__VA_ARGS__)
#define small_string_(fatal, a, op, b, ...) small_check_(fatal, small_strcmp((a), (b)) op 0, #a " " #op " " #b, ##__VA_ARGS__)

#define cr_assert(x, ...)             small_check_(true, (x), #x, ##__VA_ARGS__)
#define cr_assert_not(x, ...)         small_check_(true, !(x), "!(" #x ")", ##__VA_ARGS__)
#define cr_assert_null(x, ...)        small_check_(true, (x) == NULL, #x " == NULL", ##__VA_ARGS__)
#define cr_assert_not_null(x, ...)    small_check_(true, (x) != NULL, #x " != NULL", ##__VA_ARGS__)
#define cr_assert_eq(a, b, ...)       small_binary_(true, a, ==, b, ##__VA_ARGS__)
#define cr_assert_neq(a, b, ...)      small_binary_(true, a, !=, b, ##__VA_ARGS__)
#define cr_assert_lt(a, b, ...)       small_binary_(true, a, <, b, ##__VA_ARGS__)
#define cr_assert_leq(a, b, ...)      small_binary_(true, a, <=, b, ##__VA_ARGS__)
#define cr_assert_gt(a, b, ...)       small_binary_(true, a, >, b, ##__VA_ARGS__)
#define cr_assert_geq(a, b, ...)      small_binary_(true, a, >=, b, ##__VA_ARGS__)
#define cr_assert_str_eq(a, b, ...)   small_string_(true, a, ==, b, ##__VA_ARGS__)
#define cr_assert_str_neq(a, b, ...)  small_string_(true, a, !=, b, ##__VA_ARGS__)
#define cr_assert_str_empty(a, ...)   small_string_(true, a, ==, "", ##__VA_ARGS__)
#define cr_assert_str_not_empty(a, ...) small_string_(true, a, !=, "", ##__VA_ARGS__)
#define cr_assert_arr_neq(a, b, n, ...) small_check_(true, memcmp((a), (b), (n)) != 0, #a " != " #b, ##__VA_ARGS__)
#define cr_assert_arr_eq(a, b, n, ...) small_check_(true, memcmp((a), (b), (n)) == 0, #a " == " #b, ##__VA_ARGS__)
#define cr_assert_fail(...)           small_check_(true, false, "cr_assert_fail()", ##__VA_ARGS__)
#define cr_fatal(...)                 small_check_(true, false, "cr_fatal()", ##__VA_ARGS__)

#define cr_expect(x, ...)             small_check_(false, (x), #x, ##__VA_ARGS__)
#define cr_expect_not(x, ...)         small_check_(false, !(x), "!(" #x ")", ##__VA_ARGS__)
#define cr_expect_null(x, ...)        small_check_(false, (x) == NULL, #x " == NULL", ##__VA_ARGS__)
#define cr_expect_not_null(x, ...)    small_check_(false, (x) != NULL, #x " != NULL", ##__VA_ARGS__)
#define cr_expect_eq(a, b, ...)       small_binary_(false, a, ==, b, ##__VA_ARGS__)
#define cr_expect_neq(a, b, ...)      small_binary_(false, a, !=, b, ##__VA_ARGS__)
#define cr_expect_lt(a, b, ...)       small_binary_(false, a, <, b, ##__VA_ARGS__)
#define cr_expect_leq(a, b, ...)      small_binary_(false, a, <=, b, ##__VA_ARGS__)
#define cr_expect_gt(a, b, ...)       small_binary_(false, a, >, b, ##__VA_ARGS__)
#define cr_expect_geq(a, b, ...)      small_binary_(false, a, >=, b, ##__VA_ARGS__)
#define cr_expect_str_eq(a, b, ...)   small_string_(false, a, ==, b, ##__VA_ARGS__)
#define cr_expect_str_neq(a, b, ...)  small_string_(false, a, !=, b, ##__VA_ARGS__)
#define cr_expect_str_empty(a, ...)   small_string_(false, a, ==, "", ##__VA_ARGS__)
#define cr_expect_str_not_empty(a, ...) small_string_(false, a, !=, "", ##__VA_ARGS__)
#define cr_expect_arr_neq(a, b, n, ...) small_check_(false, memcmp((a), (b), (n)) != 0, #a " != " #b, ##__VA_ARGS__)
#define cr_expect_arr_eq(a, b, n, ...) small_check_(false, memcmp((a), (b), (n)) == 0, #a " == " #b, ##__VA_ARGS__)
#define cr_expect_fail(...)           small_check_(false, false, "cr_expect_fail()", ##__VA_ARGS__)

#define cr_skip(...)      small_skip("" __VA_ARGS__)
#define cr_skip_test(...) small_skip("" __VA_ARGS__)
#define cr_log_info(...)  small_log(__VA_ARGS__)
#define cr_log_warn(...)  small_log(__VA_ARGS__)
#define cr_log_error(...) small_log(__VA_ARGS__)
