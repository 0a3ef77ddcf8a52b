/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/cmocka-all.h"

#include <glib/gstdio.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/loop.h"
#include "engine/auth/auth.h"

static char dir[] = "/tmp/berth-auth-XXXXXX";
static int64_t clock_usec = 1000000;

static int64_t fake_clock(void)
{
	return clock_usec;
}

static struct auth *make(const char *password)
{
	char *file = g_build_filename(dir, "password", NULL);
	if (password)
		assert_true(g_file_set_contents(file, password, -1, NULL));
	const struct auth_settings settings = { .data_dir = dir, .admin_password_file = password ? file : NULL, .clock = fake_clock };
	GError *error = NULL;
	struct auth *auth = auth_new(&settings, &error);
	g_clear_error(&error);
	g_free(file);
	return auth;
}

static char *basic(const char *pair)
{
	char *text = g_base64_encode((const guchar *)pair, strlen(pair)), *header = g_strconcat("Basic ", text, NULL);
	g_free(text);
	return header;
}

static void test_parse(void **state)
{
	char *name = NULL, *password = NULL;
	char *header = basic("admin@internal:a:b");
	assert_true(auth_parse_basic(header, &name, &password));
	assert_string_equal(name, "admin@internal");
	assert_string_equal(password, "a:b");
	g_free(name);
	g_free(password);
	const char *const bad[] = { NULL, "", "Basic", "Basic ", "Basic ====", "Basic YWRtaW5AaW50ZXJuYWw6 eA==", "Basic YWRtaW5AaW50ZXJuYWw6e",
		"Digest YWRtaW5AaW50ZXJuYWw6eA==",
				    "Basic YWRt$W5AaW50ZXJuYWw6eA==" };
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		assert_false(auth_parse_basic(bad[i], &name, &password));
	g_free(header);
	const char *const pairs[] = { "admin:x", "admin@internal", "@internal:x", "admin@:x", ":x", "x:admin@internal" };
	for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++) {
		header = basic(pairs[i]);
		assert_false(auth_parse_basic(header, &name, &password));
		g_free(header);
	}
}

static const struct auth_user *verify(struct auth *auth, const char *pair, struct login *ret_login)
{
	char *header = basic(pair);
	const struct auth_user *user = auth_verify(auth, header, ret_login);
	g_free(header);
	g_free(ret_login->name);
	return user;
}

static void test_verify(void **state)
{
	struct auth *auth = make("secret\n");
	char *good = basic("admin@internal:secret"), *bad = basic("admin@internal:secreT");
	struct login login;
	assert_null(auth_cached(auth, good));
	assert_null(verify(auth, "admin@internal:secreT", &login));
	assert_int_equal(login.outcome, LOGIN_WRONG);
	assert_null(verify(auth, "root@internal:secret", &login));
	assert_int_equal(login.outcome, LOGIN_WRONG);
	assert_null(verify(auth, "admin@nowhere:secret", &login));
	assert_int_equal(login.outcome, LOGIN_WRONG);
	const struct auth_user *user = verify(auth, "admin@internal:secret", &login);
	assert_non_null(user);
	assert_int_equal(login.outcome, LOGIN_OK);
	assert_string_equal(user->id, AUTH_ADMIN_ID);
	assert_string_equal(user->name, AUTH_ADMIN_NAME);
	assert_ptr_equal(auth_cached(auth, good), user);
	assert_null(auth_cached(auth, bad));
	clock_usec += AUTH_CACHE_USEC + 1;
	assert_null(auth_cached(auth, good));
	auth_free(auth);
	/* kept as a hash: the file is not needed again, another password replaces it */
	auth = make(NULL);
	assert_non_null(verify(auth, "admin@internal:secret", &login));
	auth_free(auth);
	auth = make("other");
	assert_null(verify(auth, "admin@internal:secret", &login));
	auth_free(auth);
	assert_null(make("\n"));
	g_free(good);
	g_free(bad);
}

/* The diary of auth.c, on a clock of our own. */
static void test_slow_down(void **state)
{
	struct auth *auth = make("secret");
	struct login login;
	for (int i = 0; i < AUTH_TRIES; i++) {
		assert_null(verify(auth, "Admin@internal:wrong", &login));
		assert_int_equal(login.outcome, LOGIN_WRONG);
	}
	for (int pause = 1; pause <= 300; pause *= 2) {
		clock_usec += pause * G_USEC_PER_SEC - 1;
		assert_null(verify(auth, "admin@internal:secret", &login));
		assert_int_equal(login.outcome, LOGIN_LOCKED);
		clock_usec++;
		assert_null(verify(auth, "admin@internal:wrong", &login));
		assert_int_equal(login.outcome, LOGIN_WRONG);
	}
	clock_usec += 299 * (int64_t)G_USEC_PER_SEC;
	assert_null(verify(auth, "admin@internal:secret", &login));
	assert_int_equal(login.outcome, LOGIN_LOCKED);
	clock_usec += G_USEC_PER_SEC;
	assert_non_null(verify(auth, "admin@internal:secret", &login));
	/* forgotten with the right one, and with time */
	for (int i = 0; i < AUTH_TRIES - 1; i++)
		assert_null(verify(auth, "admin@internal:wrong", &login));
	clock_usec += 901 * (int64_t)G_USEC_PER_SEC;
	assert_null(verify(auth, "admin@internal:wrong", &login));
	assert_non_null(verify(auth, "admin@internal:secret", &login));
	auth_free(auth);
}

/* rows: r01-018 */
static void test_sessions(void **state)
{
	struct auth *auth = make("secret");
	static const struct auth_user user = { .id = "1", .name = "x" };
	char *usual = session_open(auth, &user, INT_MIN), *brief = session_open(auth, &user, 1), *endless = session_open(auth, &user, 0);
	assert_string_not_equal(usual, brief);
	assert_int_equal(strlen(usual), 24);
	clock_usec += 50 * G_USEC_PER_SEC;
	assert_ptr_equal(session_use(auth, brief), &user);
	clock_usec += 50 * G_USEC_PER_SEC;
	assert_ptr_equal(session_use(auth, brief), &user);          /* use renews it */
	clock_usec += 61 * G_USEC_PER_SEC;
	assert_null(session_use(auth, brief));
	assert_non_null(session_use(auth, usual));
	clock_usec += (AUTH_SESSION_IDLE_MIN * 60 + 1) * (int64_t)G_USEC_PER_SEC;
	assert_null(session_use(auth, usual));
	assert_non_null(session_use(auth, endless));
	assert_true(session_end(auth, endless));
	assert_null(session_use(auth, endless));
	assert_false(session_end(auth, endless));
	assert_null(session_use(auth, "bogus"));
	assert_int_equal(session_count(auth), 0);
	/* a thousand at most: the one that was idle longest goes */
	char *first = session_open(auth, &user, 0);
	for (int i = 0; i < AUTH_SESSIONS_MAX; i++) {
		clock_usec++;
		g_free(session_open(auth, &user, 0));
	}
	assert_int_equal(session_count(auth), AUTH_SESSIONS_MAX);
	assert_null(session_use(auth, first));
	g_free(first);
	g_free(usual);
	g_free(brief);
	g_free(endless);
	auth_free(auth);
}

static int tear_down(void **state)
{
	const char *const names[] = { "auth", "auth.lock", "password", "initial-password" };
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		char *file = g_build_filename(dir, names[i], NULL);
		(void)g_unlink(file);
		g_free(file);
	}
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_parse), cmocka_unit_test(test_verify),
		cmocka_unit_test(test_slow_down), cmocka_unit_test(test_sessions) };
	if (!mkdtemp(dir))
		return 1;
	return cmocka_run_group_tests(tests, NULL, tear_down);
}
