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

#endif
