/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS contexts and what there is to say about peers and failures. The CA is in ca.c.
 *
 * - 1.2 and 1.3, ECDHE with AEAD only, the server's order. AES-128-GCM first: the cheapest with AES instructions, and strong enough.
 * - No renegotiation, compression, tickets or resumption. Yet a server keeps SSL_SESS_CACHE_SERVER, without the store behind it: otherwise
 *   a 1.2 ServerHello carries an empty session id, and Java's SSLSession.isValid() is false for such a session, which makes the
 *   genuine engine drop the connection.
 * - An end of the stream without close_notify is an ordinary end: both protocols on top know where their messages end.
 * - reload builds a new SSL_CTX and then swaps; connections hold a reference to the one they were made from.
 *
 * A connection at rest is to cost little: SSL_MODE_RELEASE_BUFFERS gives the record buffers back whenever they are empty.
 */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <arpa/inet.h>
#include <string.h>
#include "common/ca-priv.h"
#include "common/error.h"

#define CIPHERS_12 "ECDHE+AESGCM:ECDHE+CHACHA20"
#define CIPHERS_13 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define GROUPS "X25519:P-256:P-384"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SSL_CTX, SSL_CTX_free)

struct tls_context {
	SSL_CTX *ctx;
	char *ca_file, *cert_file, *key_file;
	bool server, require_peer;
};

/* A key with a passphrase must fail; OpenSSL's default asks the terminal. */
static int no_passphrase(char *buffer, int size, int writing, void *data)
{
	return -1;
}

static bool use_files(const struct tls_context *context, SSL_CTX *ctx, GError **error)
{
	const char *key_file = context->key_file ? context->key_file : context->cert_file;
	g_autofree char *reason = NULL;
	const char *file = context->ca_file, *what = "CA";
	bool good = true;

	ERR_clear_error();
	if (file) {
		good = SSL_CTX_load_verify_file(ctx, file) == 1;
		if (good && context->server && context->require_peer) {
			STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(file);

			good = names != NULL;
			SSL_CTX_set_client_CA_list(ctx, names);
		}
	}
	if (good && context->cert_file) {
		file = context->cert_file;
		what = "certificate";
		good = SSL_CTX_use_certificate_chain_file(ctx, file) == 1;
		if (good) {
			file = key_file;
			what = "key";
			good = SSL_CTX_use_PrivateKey_file(ctx, file, SSL_FILETYPE_PEM) == 1 && SSL_CTX_check_private_key(ctx) == 1;
		}
	}
	if (good)
		return true;
	reason = tls_error_text(/* ssl= */ NULL);
	error_set(error, ERR_TLS_FAILED, "%s file '%s': %s", what, file, reason);
	return false;
}

static SSL_CTX *build(const struct tls_context *context, GError **error)
{
	static const unsigned char id[] = "berth";
	g_autoptr(SSL_CTX) ctx = SSL_CTX_new(context->server ? TLS_server_method() : TLS_client_method());

	if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 || SSL_CTX_set_cipher_list(ctx, CIPHERS_12) != 1 ||
	    SSL_CTX_set_ciphersuites(ctx, CIPHERS_13) != 1 || SSL_CTX_set1_groups_list(ctx, GROUPS) != 1) {
		g_autofree char *reason = tls_error_text(/* ssl= */ NULL);

		error_set(error, ERR_TLS_FAILED, "OpenSSL set-up: %s", reason);
		return NULL;
	}
	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_IGNORE_UNEXPECTED_EOF |
				 SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_session_cache_mode(ctx, context->server ? SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL : SSL_SESS_CACHE_OFF);
	SSL_CTX_set_session_id_context(ctx, id, sizeof(id) - 1);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(ctx, 0);
	SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
	if (!context->server)
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	else if (context->require_peer)
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return use_files(context, ctx, error) ? g_steal_pointer(&ctx) : NULL;
}

struct tls_context *tls_context_new(const struct tls_settings *settings, GError **error)
{
	struct tls_context *context;

	/* Without these a server cannot work and a peer would be trusted unseen. */
	if (settings->server && !settings->cert_file) {
		error_set(error, ERR_TLS_FAILED, "a server needs a certificate");
		return NULL;
	}
	if (!settings->ca_file && (!settings->server || settings->require_peer)) {
		error_set(error, ERR_TLS_FAILED, "no CA file to check the peer with");
		return NULL;
	}
	context = g_new0(struct tls_context, 1);
	context->ca_file = g_strdup(settings->ca_file);
	context->cert_file = g_strdup(settings->cert_file);
	context->key_file = g_strdup(settings->key_file);
	context->server = settings->server;
	context->require_peer = settings->require_peer;
	if (!tls_context_reload(context, error))
		return tls_context_free(context);
	return context;
}

struct tls_context *tls_context_free(struct tls_context *context)
{
	if (!context)
		return NULL;
	SSL_CTX_free(context->ctx);
	g_free(context->ca_file);
	g_free(context->cert_file);
	g_free(context->key_file);
	g_free(context);
	return NULL;
}

bool tls_context_reload(struct tls_context *context, GError **error)
{
	SSL_CTX *ctx = build(context, error);

	if (!ctx)
		return false;
	SSL_CTX_free(context->ctx);
	context->ctx = ctx;
	return true;
}

SSL *tls_context_session(struct tls_context *context, const char *peer_name)
{
	SSL *ssl = SSL_new(context->ctx);
	struct in6_addr address;
	bool is_address = peer_name && (inet_pton(AF_INET, peer_name, &address) == 1 || inet_pton(AF_INET6, peer_name, &address) == 1);

	if (!ssl)
		g_error("out of memory for a TLS session");
	if (context->server) {
		SSL_set_accept_state(ssl);
		return ssl;
	}
	SSL_set_connect_state(ssl);
	if (!peer_name)
		return ssl;
	/* A name that cannot be set can never match: set one nobody has instead of skipping the check. */
	if (is_address ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), peer_name) != 1 :
			 SSL_set1_host(ssl, peer_name) != 1 || SSL_set_tlsext_host_name(ssl, peer_name) != 1)
		(void)SSL_set1_host(ssl, "invalid.invalid");
	return ssl;
}

char *tls_error_text(const SSL *ssl)
{
	long verdict = ssl ? SSL_get_verify_result(ssl) : X509_V_OK;
	/* The first is the cause; later ones are the layers above. */
	unsigned long code = ERR_peek_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;
	char *text;

	if (ssl && verdict != X509_V_OK && SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE)
		text = g_strdup_printf("certificate verify failed: %s", X509_verify_cert_error_string(verdict));
	else if (code && ERR_SYSTEM_ERROR(code))
		text = g_strdup(g_strerror(ERR_GET_REASON(code)));
	else if (reason)
		text = g_strdup(reason);
	else
		text = code ? g_strdup_printf("OpenSSL error %08lx", code) : g_strdup("connection closed by the peer");
	ERR_clear_error();
	return text;
}

static X509 *peer_of(const SSL *ssl)
{
	return ssl ? SSL_get0_peer_certificate(ssl) : NULL;
}

char *tls_peer_common_name(const SSL *ssl)
{
	X509 *peer = peer_of(ssl);
	const X509_NAME *name = peer ? X509_get_subject_name(peer) : NULL;
	int at = name ? X509_NAME_get_index_by_NID(name, NID_commonName, -1) : -1, length;
	unsigned char *utf8 = NULL;
	char *text = NULL;

	if (at < 0)
		return NULL;
	length = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
	/* a NUL inside would make "good\0evil" look good */
	if (length >= 0 && !memchr(utf8, 0, (size_t)length))
		text = g_strndup((const char *)utf8, (size_t)length);
	OPENSSL_free(utf8);
	return text;
}

char *ca_subject_text(const X509 *certificate)
{
	BIO *out = BIO_new(BIO_s_mem());
	char *bytes, *text = NULL;
	long length;

	/* RFC 2253 escapes, but in the order of the certificate and with UTF-8 left as it is */
	if (out && X509_NAME_print_ex(out, X509_get_subject_name(certificate), 0,
				      (ASN1_STRFLGS_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) | XN_FLAG_SEP_COMMA_PLUS | XN_FLAG_FN_SN) >= 0) {
		length = BIO_get_mem_data(out, &bytes);
		text = g_strndup(bytes, (size_t)length);
	}
	BIO_free(out);
	return text;
}

char *tls_peer_subject(const SSL *ssl)
{
	X509 *peer = peer_of(ssl);

	return peer ? ca_subject_text(peer) : NULL;
}

char *tls_peer_fingerprint(const SSL *ssl)
{
	X509 *peer = peer_of(ssl);
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	GString *text;

	if (!peer || X509_digest(peer, EVP_sha256(), digest, &n) != 1)
		return NULL;
	text = g_string_sized_new(2 * n + 1);
	for (unsigned i = 0; i < n; i++)
		g_string_append_printf(text, "%02x", digest[i]);
	return g_string_free(text, /* free_segment= */ FALSE);
}
