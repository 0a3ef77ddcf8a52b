/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_TESTS_UNIT_TLS_FIXTURE_H
#define BERTH_TESTS_UNIT_TLS_FIXTURE_H
/* A directory with a CA and certificates, for tests and benchmarks. Failures end the program. */
#include <glib.h>
#include <glib/gstdio.h>
#include "common/error.h"
#include "common/tls.h"

struct pki {
	char *dir, *ca, *cert, *key;
};

static inline void pki_check(bool good, GError *error)
{
	if (!good)
		g_error("certificates for the test: %s", error->message);
}

/* Issues <name>.pem and <name>.key, for localhost, 127.0.0.1 and ::1, both roles; *ret_cert and *ret_key are g_free()d by the caller. */
static inline void pki_issue(const struct pki *pki, const char *name, int days, char **ret_cert, char **ret_key)
{
	static const char *const addresses[] = { "localhost", "127.0.0.1", "::1", NULL };
	struct ca_request request = { .common_name = name, .addresses = addresses, .server = true, .client = true, .days = days };
	GError *error = NULL;

	*ret_cert = g_strdup_printf("%s/%s.pem", pki->dir, name);
	*ret_key = g_strdup_printf("%s/%s.key", pki->dir, name);
	pki_check(ca_issue(pki->dir, &request, *ret_cert, *ret_key, &error), error);
}

static inline struct pki *pki_new(const char *name, int days)
{
	struct pki *pki = g_new0(struct pki, 1);
	GError *error = NULL;

	pki->dir = g_dir_make_tmp("berth-test-XXXXXX", &error);
	pki_check(pki->dir != NULL, error);
	pki_check(ca_create(pki->dir, "Test", 10, &error), error);
	pki->ca = g_build_filename(pki->dir, "ca.pem", NULL);
	pki_issue(pki, name, days, &pki->cert, &pki->key);
	return pki;
}

static inline struct pki *pki_free(struct pki *pki)
{
	GDir *dir = pki ? g_dir_open(pki->dir, 0, NULL) : NULL;
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *file = g_build_filename(pki->dir, name, NULL);

		(void)g_unlink(file);
	}
	if (dir) {
		g_dir_close(dir);
		(void)g_rmdir(pki->dir);
		g_free(pki->dir);
		g_free(pki->ca);
		g_free(pki->cert);
		g_free(pki->key);
	}
	g_free(pki);
	return NULL;
}

static inline struct tls_context *pki_context(const struct pki *trusted, const char *cert, const char *key, bool server)
{
	struct tls_settings settings = { .ca_file = trusted->ca, .cert_file = cert, .key_file = key, .server = server, .require_peer = server };
	GError *error = NULL;
	struct tls_context *context = tls_context_new(&settings, &error);

	pki_check(context != NULL, error);
	return context;
}

#endif
