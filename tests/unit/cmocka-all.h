/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_TESTS_UNIT_CMOCKA_ALL_H
#define BERTH_TESTS_UNIT_CMOCKA_ALL_H
/* cmocka with what it needs to be included before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* cmocka 1.1 does not say that skip() and fail() never return. */
void _skip(const char *const file, const int line) __attribute__((noreturn));
void _fail(const char *const file, const int line) __attribute__((noreturn));

#ifdef __clang_analyzer__
/* Nor that what was asserted holds afterwards. */
#undef assert_true
#undef assert_non_null
#define assert_true(c) ((c) ? (void)0 : _fail(__FILE__, __LINE__))
#define assert_non_null(c) ((c) ? (void)0 : _fail(__FILE__, __LINE__))
#endif
#endif
