/* Small helpers of the language itself; nothing here knows about nsvpn. */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
/* Each argument is evaluated once; the counter keeps nested uses from shadowing one another. */
#define _JOIN2(a, b) a##b
#define _JOIN(a, b) _JOIN2(a, b)
#define _COMPARE(a, op, b, x, y)                                                                   \
	({                                                                                         \
		__typeof__(a) x = (a);                                                             \
		__typeof__(b) y = (b);                                                             \
		x op y ? x : y;                                                                    \
	})
#define MIN(a, b) _COMPARE(a, <, b, _JOIN(_min_a, __COUNTER__), _JOIN(_min_b, __COUNTER__))
#define MAX(a, b) _COMPARE(a, >, b, _JOIN(_max_a, __COUNTER__), _JOIN(_max_b, __COUNTER__))
#define container_of(ptr, type, member)                                                            \
	((type *)((char *)(1 ? (ptr) : &((type *)0)->member) - offsetof(type, member)))

#define _printf_(fmt, args) __attribute__((format(printf, fmt, args)))
#define _unused_ __attribute__((unused))
#define _noreturn_ __attribute__((noreturn))
#define _warn_unused_ __attribute__((warn_unused_result))
#define _pure_ __attribute__((pure))

#define USEC_PER_SEC 1000000ULL
#define USEC_PER_MSEC 1000ULL
#define USEC_INFINITY UINT64_MAX

/* Microseconds; of which clock, the name or the header of the function says. */
typedef uint64_t usec_t;
