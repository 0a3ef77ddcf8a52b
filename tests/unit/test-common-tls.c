/* SPDX-License-Identifier: Apache-2.0 */
/* The CA's certificates, and handshakes between two contexts over memory. */
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/stat.h>
#include "common/error.h"
#include "common/tls.h"
#include "tests/unit/cmocka-all.h"
#include "tests/unit/tls-fixture.h"

struct pair {
	SSL *client, *server;
	char *client_error, *server_error;
	int server_alert;        /* that the server sent */
};

static struct pki *pki, *foreign;

static int setup(void **state)
{
	pki = pki_new("good", 1);
	foreign = pki_new("stranger", 1);
	return 0;
}

static int teardown(void **state)
{
	pki_free(pki);
	pki_free(foreign);
	return 0;
}

static void note_alert(const SSL *ssl, int where, int value)
{
	if (where & SSL_CB_WRITE && where & SSL_CB_ALERT)
		((struct pair *)SSL_get_app_data(ssl))->server_alert = value & 0xff;
}

static bool step(SSL *ssl, char **error)
{
	int result = *error ? 1 : SSL_do_handshake(ssl), why = SSL_get_error(ssl, result);

	if (result != 1 && why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE && !*error)
		*error = tls_error_text(ssl);
	return result == 1;
}

/* Shakes hands; the client reads once more, since 1.3 tells it only then. */
static struct pair shake(struct tls_context *client, struct tls_context *server, const char *name, int max_version)
{
	struct pair pair = { .client = tls_context_session(client, name), .server = tls_context_session(server, NULL) };
	BIO *one, *other;
	char byte;

	assert_int_equal(BIO_new_bio_pair(&one, 65536, &other, 65536), 1);
	SSL_set_bio(pair.client, one, one);
	SSL_set_bio(pair.server, other, other);
	SSL_set_app_data(pair.server, &pair);
	SSL_set_info_callback(pair.server, note_alert);
	if (max_version)
		SSL_set_max_proto_version(pair.client, max_version);
	for (int i = 0; i < 10; i++) {
		(void)step(pair.client, &pair.client_error);
		(void)step(pair.server, &pair.server_error);
	}
	if (!pair.client_error && SSL_read(pair.client, &byte, 1) <= 0 && SSL_get_error(pair.client, -1) == SSL_ERROR_SSL)
		pair.client_error = tls_error_text(pair.client);
	SSL_set_info_callback(pair.server, NULL);
	return pair;
}

static void pair_clear(struct pair *pair)
{
	SSL_free(pair->client);
	SSL_free(pair->server);
	g_free(pair->client_error);
	g_free(pair->server_error);
}

static void check_accepted(struct pair pair)
{
	if (pair.client_error || pair.server_error)
		fail_msg("client: %s, server: %s", pair.client_error, pair.server_error);
	pair_clear(&pair);
}

static void check_refused(const char *text, const char *part)
{
	if (!text || !strstr(text, part))
		fail_msg("'%s' is not in '%s'", part, text);
}

static struct tls_context *server_context(void)
{
	return pki_context(pki, pki->cert, pki->key, /* server= */ true);
}

static void test_both_versions(void **state)
{
	struct tls_context *server = server_context(), *client = pki_context(pki, pki->cert, pki->key, false);

	check_accepted(shake(client, server, "localhost", 0));
	check_accepted(shake(client, server, "127.0.0.1", TLS1_2_VERSION));
	check_accepted(shake(client, server, "::1", TLS1_2_VERSION));
	check_accepted(shake(client, server, NULL, 0));
	tls_context_free(client);
	tls_context_free(server);
}

static void test_peer_is_described(void **state)
{
	struct tls_context *server = server_context(), *client = pki_context(pki, pki->cert, pki->key, false);
	struct pair pair = shake(client, server, NULL, 0);
	g_autofree char *name = tls_peer_common_name(pair.server), *subject = tls_peer_subject(pair.server);
	g_autofree char *print = tls_peer_fingerprint(pair.server);

	assert_string_equal(name, "good");
	assert_string_equal(subject, "O=Test,CN=good");
	assert_int_equal(strlen(print), 64);
	assert_null(tls_peer_common_name(NULL));
	pair_clear(&pair);
	tls_context_free(client);
	tls_context_free(server);
}

static void test_old_versions_are_refused(void **state)
{
	struct tls_context *server = server_context(), *client = pki_context(pki, pki->cert, pki->key, false);
	SSL *ssl = tls_context_session(client, NULL);

	assert_int_equal(SSL_get_min_proto_version(ssl), TLS1_2_VERSION);
	SSL_free(ssl);
	tls_context_free(client);
	tls_context_free(server);
}

static void test_only_aead_ciphers(void **state)
{
	struct tls_context *server = server_context();
	SSL *ssl = tls_context_session(server, NULL);
	STACK_OF(SSL_CIPHER) *ciphers = SSL_get_ciphers(ssl);

	assert_true(sk_SSL_CIPHER_num(ciphers) >= 6);
	for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); i++)
		assert_true(SSL_CIPHER_is_aead(sk_SSL_CIPHER_value(ciphers, i)));
	SSL_free(ssl);
	tls_context_free(server);
}

/* Java's SSLSession.isValid() wants one */
static void test_session_id_in_12(void **state)
{
	struct tls_context *server = server_context(), *client = pki_context(pki, pki->cert, pki->key, false);
	struct pair pair = shake(client, server, NULL, TLS1_2_VERSION);
	unsigned length = 0;

	SSL_SESSION_get_id(SSL_get_session(pair.client), &length);
	assert_int_equal(length, 32);
	pair_clear(&pair);
	tls_context_free(client);
	tls_context_free(server);
}

static void check_client_refused(struct tls_context *client, int max_version, int alert, const char *server_says, const char *client_hears)
{
	struct tls_context *server = server_context();
	struct pair pair = shake(client, server, NULL, max_version);

	check_refused(pair.server_error, server_says);
	check_refused(pair.client_error, client_hears);
	assert_int_equal(pair.server_alert, alert);
	pair_clear(&pair);
	tls_context_free(client);
	tls_context_free(server);
}

static void test_foreign_client_is_refused(void **state)
{
	check_client_refused(pki_context(pki, foreign->cert, foreign->key, false), 0, SSL_AD_UNKNOWN_CA,
			     "certificate verify failed: unable to get local issuer certificate", "unknown ca");
	check_client_refused(pki_context(pki, foreign->cert, foreign->key, false), TLS1_2_VERSION, SSL_AD_UNKNOWN_CA,
			     "certificate verify failed", "unknown ca");
}

static void test_client_without_certificate_is_refused(void **state)
{
	check_client_refused(pki_context(pki, NULL, NULL, false), 0, SSL_AD_CERTIFICATE_REQUIRED,
			     "peer did not return a certificate", "certificate required");
	check_client_refused(pki_context(pki, NULL, NULL, false), TLS1_2_VERSION, SSL_AD_HANDSHAKE_FAILURE, "peer did not return a certificate",
			     "handshake failure");
}

static void test_expired_client_is_refused(void **state)
{
	g_autofree char *cert = NULL, *key = NULL;

	pki_issue(pki, "past", -1, &cert, &key);
	check_client_refused(pki_context(pki, cert, key, false), 0, SSL_AD_CERTIFICATE_EXPIRED, "certificate has expired", "certificate expired");
}

static void check_server_refused(struct tls_context *server, const char *name, const char *client_says)
{
	struct tls_context *client = pki_context(pki, pki->cert, pki->key, false);
	struct pair pair = shake(client, server, name, 0);

	check_refused(pair.client_error, client_says);
	pair_clear(&pair);
	tls_context_free(client);
	tls_context_free(server);
}

static void test_client_checks_the_server(void **state)
{
	g_autofree char *cert = NULL, *key = NULL;

	pki_issue(pki, "late", -1, &cert, &key);
	check_server_refused(pki_context(pki, foreign->cert, foreign->key, true), NULL, "unable to get local issuer certificate");
	check_server_refused(pki_context(pki, cert, key, true), NULL, "certificate has expired");
	check_server_refused(server_context(), "elsewhere", "hostname mismatch");
	check_server_refused(server_context(), "192.0.2.1", "IP address mismatch");
}

static void test_reload(void **state)
{
	g_autofree char *cert = NULL, *key = NULL, *other_cert = NULL, *other_key = NULL, *bytes = NULL;
	struct tls_context *client = pki_context(pki, pki->cert, pki->key, false), *server;
	struct pair pair;
	g_autofree char *before = NULL, *after = NULL;
	g_autoptr(GError) error = NULL;
	size_t length;

	pki_issue(pki, "changing", 1, &cert, &key);
	server = pki_context(pki, cert, key, true);
	pair = shake(client, server, NULL, 0);
	before = tls_peer_fingerprint(pair.client);
	pair_clear(&pair);

	/* a key that does not fit: refused, the old one stays */
	pki_issue(pki, "other", 1, &other_cert, &other_key);
	assert_true(g_file_get_contents(other_key, &bytes, &length, NULL));
	assert_true(g_file_set_contents(key, bytes, (gssize)length, NULL));
	assert_false(tls_context_reload(server, &error));
	assert_non_null(strstr(error->message, key));
	check_accepted(shake(client, server, NULL, 0));

	g_free(g_steal_pointer(&cert));
	g_free(g_steal_pointer(&key));
	pki_issue(pki, "changing", 1, &cert, &key);
	assert_true(tls_context_reload(server, NULL));
	pair = shake(client, server, NULL, 0);
	after = tls_peer_fingerprint(pair.client);
	assert_string_not_equal(before, after);
	pair_clear(&pair);
	tls_context_free(client);
	tls_context_free(server);
}

static void check_settings_refused(struct tls_settings settings, const char *part)
{
	g_autoptr(GError) error = NULL;

	assert_null(tls_context_new(&settings, &error));
	assert_true(error_is(error, ERR_TLS_FAILED));
	check_refused(error->message, part);
}

static void test_bad_settings(void **state)
{
	check_settings_refused((struct tls_settings){ .server = true }, "needs a certificate");
	check_settings_refused((struct tls_settings){ .server = false }, "no CA file");
	check_settings_refused((struct tls_settings){ .ca_file = "/nonexistent/ca.pem" }, "/nonexistent/ca.pem': No such file");
	check_settings_refused((struct tls_settings){ .ca_file = pki->ca, .cert_file = pki->cert, .key_file = foreign->key, .server = true },
			       "mismatch");
}

static void test_ca_is_not_overwritten(void **state)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *before = NULL, *after = NULL;

	assert_true(g_file_get_contents(pki->ca, &before, NULL, NULL));
	assert_false(ca_create(pki->dir, "Other", 10, &error));
	assert_true(error_is(error, ERR_CA_EXISTS));
	assert_true(g_file_get_contents(pki->ca, &after, NULL, NULL));
	assert_string_equal(before, after);
}

static mode_t mode_of(const char *file)
{
	struct stat status;

	assert_int_equal(stat(file, &status), 0);
	return status.st_mode & 0777;
}

static void test_modes(void **state)
{
	g_autofree char *ca_key = g_build_filename(pki->dir, "ca.key", NULL);

	assert_int_equal(mode_of(ca_key), 0600);
	assert_int_equal(mode_of(pki->ca), 0644);
	assert_int_equal(mode_of(pki->key), 0600);
	assert_int_equal(mode_of(pki->cert), 0644);
}

static void test_bad_address_changes_nothing(void **state)
{
	static const char *const addresses[] = { "good.example", "bad name", NULL };
	struct ca_request request = { .common_name = "x", .addresses = addresses, .server = true };
	g_autofree char *cert = g_build_filename(pki->dir, "never.pem", NULL), *key = g_build_filename(pki->dir, "never.key", NULL);
	g_autoptr(GError) error = NULL;

	assert_false(ca_issue(pki->dir, &request, cert, key, &error));
	assert_true(error_is(error, ERR_BAD_VALUE));
	check_refused(error->message, "'bad name'");
	assert_false(g_file_test(cert, G_FILE_TEST_EXISTS));
	assert_false(g_file_test(key, G_FILE_TEST_EXISTS));
}

static void test_unwritable_place(void **state)
{
	struct ca_request request = { .common_name = "x", .server = true };
	g_autoptr(GError) error = NULL;

	assert_false(ca_issue(pki->dir, &request, "/nonexistent/x.pem", "/nonexistent/x.key", &error));
	assert_true(error_is(error, ERR_IO_FAILED));
	check_refused(error->message, "/nonexistent/x.key");
}

static void test_common_name_is_an_alternative_too(void **state)
{
	struct ca_request request = { .common_name = "192.0.2.7", .server = true };
	g_autofree char *cert = g_build_filename(pki->dir, "ip.pem", NULL), *key = g_build_filename(pki->dir, "ip.key", NULL);
	BIO *in;
	X509 *certificate;

	assert_true(ca_issue(pki->dir, &request, cert, key, NULL));
	in = BIO_new_file(cert, "r");
	certificate = PEM_read_bio_X509(in, NULL, NULL, NULL);
	assert_int_equal(X509_check_ip_asc(certificate, "192.0.2.7", 0), 1);
	assert_int_equal(X509_get_extended_key_usage(certificate), XKU_SSL_SERVER);
	assert_in_range(ASN1_STRING_length(X509_get0_serialNumber(certificate)), 12, 17);
	X509_free(certificate);
	BIO_free(in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_versions),
		cmocka_unit_test(test_peer_is_described),
		cmocka_unit_test(test_old_versions_are_refused),
		cmocka_unit_test(test_only_aead_ciphers),
		cmocka_unit_test(test_session_id_in_12),
		cmocka_unit_test(test_foreign_client_is_refused),
		cmocka_unit_test(test_client_without_certificate_is_refused),
		cmocka_unit_test(test_expired_client_is_refused),
		cmocka_unit_test(test_client_checks_the_server),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_bad_settings),
		cmocka_unit_test(test_ca_is_not_overwritten),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_bad_address_changes_nothing),
		cmocka_unit_test(test_unwritable_place),
		cmocka_unit_test(test_common_name_is_an_alternative_too),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
