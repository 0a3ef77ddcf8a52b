/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new key and certificate, on the side of who has them. Two files cannot be replaced at once, and a key that does not fit its certificate would keep a daemon
 * from starting, so the new ones stand beside the old ones first:
 *
 *	KEY.new               asked for; with the next asking another one takes its place
 *	KEY.new, CERT.new     checked: they are the ones from here on
 *	CERT.new              the key is in its place
 *
 * CERT.new is written last and goes last: while it is there, tls_renewal_settle() moves what is left.
 */
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include "common/ca-priv.h"
#include "common/error.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(X509_STORE, X509_STORE_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(X509_STORE_CTX, X509_STORE_CTX_free)

static char *beside(const char *file)
{
	return g_strconcat(file, ".new", NULL);
}

static X509 *read_certificate(const char *file, GError **error)
{
	g_autoptr(BIO) in = BIO_new_file(file, "r");
	X509 *certificate = in ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;

	if (!certificate)
		(void)ca_failed(error, file);
	return certificate;
}

static char *text_of(BIO *out)
{
	char *bytes;
	long n = BIO_get_mem_data(out, &bytes);

	return g_strndup(bytes, (gsize)n);
}

bool tls_renewal_begin(const char *cert_file, const char *key_file, char **ret_request, char **ret_certificate, GError **error)
{
	g_autofree char *new_key = beside(key_file);
	g_autoptr(BIO) request_out = BIO_new(BIO_s_mem()), certificate_out = BIO_new(BIO_s_mem());
	g_autoptr(X509_REQ) request = X509_REQ_new();
	g_autoptr(EVP_PKEY) key = NULL;
	g_autoptr(X509) now = NULL;

	ERR_clear_error();
	if (!tls_renewal_settle(cert_file, key_file, error) || !(now = read_certificate(cert_file, error)))
		return false;
	key = EVP_EC_gen("P-256");
	if (!key || X509_REQ_set_subject_name(request, X509_get_subject_name(now)) != 1 || X509_REQ_set_pubkey(request, key) != 1 ||
	    X509_REQ_sign(request, key, EVP_sha256()) <= 0 || PEM_write_bio_X509_REQ(request_out, request) != 1 ||
	    PEM_write_bio_X509(certificate_out, now) != 1)
		return ca_failed(error, "request for a certificate");
	if (!ca_publish_key(new_key, key, /* replace= */ true, error))
		return false;
	*ret_request = text_of(request_out);
	*ret_certificate = text_of(certificate_out);
	return true;
}

static bool check_issuer(const char *ca_file, X509 *certificate, GError **error)
{
	g_autoptr(X509_STORE) store = X509_STORE_new();
	g_autoptr(X509_STORE_CTX) context = X509_STORE_CTX_new();

	if (!store || !context || X509_STORE_load_file(store, ca_file) != 1 || X509_STORE_CTX_init(context, store, certificate, NULL) != 1)
		return ca_failed(error, ca_file);
	if (X509_verify_cert(context) == 1)
		return true;
	error_set(error, ERR_BAD_VALUE, "certificate: %s", X509_verify_cert_error_string(X509_STORE_CTX_get_error(context)));
	return false;
}

static bool check_key(const char *key_file, X509 *certificate, GError **error)
{
	g_autoptr(BIO) in = BIO_new_file(key_file, "r");
	/* the empty passphrase: never ask the terminal */
	g_autoptr(EVP_PKEY) key = in ? PEM_read_bio_PrivateKey(in, NULL, NULL, (void *)"") : NULL;

	if (key && X509_check_private_key(certificate, key) == 1)
		return true;
	error_set(error, ERR_BAD_VALUE, "certificate: it is not for the key that was asked for last");
	return false;
}

bool tls_renewal_end(const char *ca_file, const char *cert_file, const char *key_file, const char *certificate, GError **error)
{
	g_autofree char *new_key = beside(key_file), *new_cert = beside(cert_file);
	g_autoptr(BIO) in = BIO_new_mem_buf(certificate, -1);
	g_autoptr(X509) new = NULL;

	ERR_clear_error();
	if (!(new = PEM_read_bio_X509(in, NULL, NULL, NULL)))
		return ca_failed(error, "certificate");
	return check_key(new_key, new, error) && check_issuer(ca_file, new, error) && ca_publish_certificate(new_cert, new, /* replace= */ true, error) &&
	       tls_renewal_settle(cert_file, key_file, error);
}

static bool move(const char *from, const char *to, GError **error)
{
	if (rename(from, to) == 0)
		return true;
	error_set_errno(error, ERR_IO_FAILED, errno, "rename '%s' to '%s'", from, to);
	return false;
}

bool tls_renewal_settle(const char *cert_file, const char *key_file, GError **error)
{
	g_autofree char *new_key = beside(key_file), *new_cert = beside(cert_file);

	if (access(new_cert, F_OK) < 0)
		return true;
	return (access(new_key, F_OK) < 0 || move(new_key, key_file, error)) && move(new_cert, cert_file, error);
}
