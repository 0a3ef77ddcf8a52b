/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_COMMON_TLS_H
#define BERTH_COMMON_TLS_H
/*
 * TLS 1.2 and 1.3 (OpenSSL, AEAD suites only, no renegotiation, no compression), one SSL_CTX per role, and the built-in CA
 * (ECDSA P-256). Certificates are reloaded without a restart: new connections use the new ones, old connections keep theirs.
 */
#include <openssl/ssl.h>
#include <stdbool.h>
#include <glib.h>

struct tls_context;

struct tls_settings {
	const char *ca_file;       /* whom we trust; may be NULL for a server that asks for no client certificate */
	const char *cert_file;     /* our certificate (chain), may be NULL for a client without one */
	const char *key_file;
	bool server;
	bool require_peer;         /* server: refuse clients without a certificate of ca_file. Clients always check the server's chain */
};

struct tls_context *tls_context_new(const struct tls_settings *settings, GError **error);
struct tls_context *tls_context_free(struct tls_context *context);
/* Reads the files again; on failure the old certificates stay in use. */
bool tls_context_reload(struct tls_context *context, GError **error);
/* A new SSL of the right role; a client's checks the peer's name or address when peer_name is not NULL. Loop thread. */
SSL *tls_context_session(struct tls_context *context, const char *peer_name);

/* The reason of the last failure on this SSL / this thread, for people: "certificate verify failed: certificate has expired". g_free */
char *tls_error_text(const SSL *ssl);

/* Subject common name, "O=..,CN=.." subject and SHA-256 fingerprint (hex) of the peer's certificate; NULL when none. g_free */
char *tls_peer_common_name(const SSL *ssl);
char *tls_peer_subject(const SSL *ssl);
char *tls_peer_fingerprint(const SSL *ssl);

/* The built-in CA: dir/ca.pem (0644), dir/ca.key (0600). ca_create() refuses to overwrite (ERR_CA_EXISTS). */
bool ca_create(const char *dir, const char *organization, int days, GError **error);

struct ca_request {
	const char *common_name;
	const char *const *addresses;    /* NULL-terminated names and IP addresses for subjectAltName; common_name is added when it is one */
	bool server, client;             /* extended key usages */
	int days;
	int64_t not_before_offset;       /* seconds from now, default -3600 when 0; tests make expired ones with days < 0 */
};
/* Issues a certificate and key (0600); files are written whole or not at all. */
bool ca_issue(const char *dir, const struct ca_request *request, const char *cert_file, const char *key_file, GError **error);
/* The same for the key of who asks (PKCS #10, PEM), of which nothing but the key is taken. */
bool ca_sign(const char *dir, const struct ca_request *request, const char *asked, char **ret_certificate, GError **error);

/*
 * A new key and certificate in the place of those there are, with the same names: who has them asks, who has the CA signs (renewal.c).
 *
 *	tls_renewal_begin     a new key in KEY_FILE.new; what is to be signed (PKCS #10, PEM), and the certificate of now, which has the names
 *	ca_renew              the certificate must be of the CA in `dir` and have this subject (as tls_peer_subject() of the asker has it); nothing but the
 *	                      key is taken from the request
 *	tls_renewal_end       refuses what is not for that key, not of ca_file or not valid now; else both are in place: tls_context_reload() uses them
 *	tls_renewal_settle    before the files are read at a start: goes on after an end between the two files
 */
bool tls_renewal_begin(const char *cert_file, const char *key_file, char **ret_request, char **ret_certificate, GError **error);
bool ca_renew(const char *dir, const char *certificate, const char *request, const char *subject, char **ret_certificate, GError **error);
bool tls_renewal_end(const char *ca_file, const char *cert_file, const char *key_file, const char *certificate, GError **error);
bool tls_renewal_settle(const char *cert_file, const char *key_file, GError **error);

#endif
