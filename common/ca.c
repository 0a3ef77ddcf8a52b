/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The built-in CA: ECDSA P-256 with SHA-256, in two files.
 *
 * - The CA may sign certificates that sign nothing (pathlen 0). Serials are 128 random bits, so nothing has to be counted or locked.
 * - Authority and subject key identifiers are always there: two CAs of one organization have the same subject name, and it is by
 *   the identifiers that a verifier sees "unknown CA" rather than "broken signature".
 * - Files are written beside their place, synced, and then moved there. A new CA is linked rather than moved, which fails if the name
 *   exists: two who create at once cannot destroy each other's key.
 */
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/ca-priv.h"
#include "common/error.h"

#define CA_DAYS 3650
#define CERTIFICATE_DAYS 1825
#define DAY_SECONDS (24 * 3600)
#define NOT_BEFORE_SECONDS (-3600)       /* clocks differ a little */
#define SERIAL_BYTES 16

G_DEFINE_AUTOPTR_CLEANUP_FUNC(GENERAL_NAMES, GENERAL_NAMES_free)

bool ca_failed(GError **error, const char *what)
{
	g_autofree char *reason = tls_error_text(/* ssl= */ NULL);

	error_set(error, ERR_TLS_FAILED, "%s: %s", what, reason);
	return false;
}

static bool write_all(int fd, const char *bytes, size_t n)
{
	for (ssize_t done; n; bytes += done, n -= (size_t)done)
		if ((done = write(fd, bytes, n)) < 0)
			return false;
	return true;
}

/* Writes what is in `content` to a file that appears whole; replace false: fails with ERR_CA_EXISTS if it is there. */
static bool publish(const char *file, BIO *content, mode_t mode, bool replace, GError **error)
{
	g_autofree char *beside = g_strdup_printf("%s.XXXXXX", file);
	char *bytes;
	long n = BIO_get_mem_data(content, &bytes);
	int fd = g_mkstemp_full(beside, O_WRONLY | O_CLOEXEC, 0600), errnum;
	bool good;

	if (fd < 0) {
		error_set_errno(error, ERR_IO_FAILED, errno, "create '%s'", file);
		return false;
	}
	good = write_all(fd, bytes, (size_t)n) && fchmod(fd, mode) == 0 && fsync(fd) == 0;
	errnum = errno;
	close(fd);
	if (good) {
		good = (replace ? rename(beside, file) : link(beside, file)) == 0;
		errnum = errno;
	}
	if (!good && errnum == EEXIST && !replace)
		error_set(error, ERR_CA_EXISTS, "'%s'", file);
	else if (!good)
		error_set_errno(error, ERR_IO_FAILED, errnum, "write '%s'", file);
	if (!good || !replace)
		(void)unlink(beside);
	return good;
}

bool ca_publish_key(const char *file, EVP_PKEY *key, bool replace, GError **error)
{
	g_autoptr(BIO) content = BIO_new(BIO_s_secmem());

	if (!content || PEM_write_bio_PrivateKey(content, key, /* enc= */ NULL, NULL, 0, NULL, NULL) != 1)
		return ca_failed(error, file);
	return publish(file, content, 0600, replace, error);
}

bool ca_publish_certificate(const char *file, X509 *certificate, bool replace, GError **error)
{
	g_autoptr(BIO) content = BIO_new(BIO_s_mem());

	if (!content || PEM_write_bio_X509(content, certificate) != 1)
		return ca_failed(error, file);
	return publish(file, content, 0644, replace, error);
}

static bool add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;
	bool good;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	good = extension && X509_add_ext(certificate, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return good;
}

static bool set_serial(X509 *certificate)
{
	unsigned char bytes[SERIAL_BYTES];
	BIGNUM *number;
	bool good;

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return false;
	number = BN_bin2bn(bytes, sizeof(bytes), NULL);
	good = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
	BN_free(number);
	return good;
}

static bool add_name(X509_NAME *name, const char *field, const char *value)
{
	return !value || X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, (const unsigned char *)value, -1, -1, 0) == 1;
}

/* A certificate with everything but extensions and signature. */
static X509 *certificate_new(EVP_PKEY *key, const char *organization, const char *common_name, int64_t not_before, int64_t not_after)
{
	g_autoptr(X509) certificate = X509_new();
	X509_NAME *name = certificate ? X509_get_subject_name(certificate) : NULL;

	if (!name || X509_set_version(certificate, X509_VERSION_3) != 1 || !set_serial(certificate) || X509_set_pubkey(certificate, key) != 1 ||
	    !ASN1_TIME_set(X509_getm_notBefore(certificate), not_before) || !ASN1_TIME_set(X509_getm_notAfter(certificate), not_after) ||
	    !add_name(name, "O", organization) || !add_name(name, "CN", common_name))
		return NULL;
	return g_steal_pointer(&certificate);
}

bool ca_create(const char *dir, const char *organization, int days, GError **error)
{
	g_autofree char *cert_file = g_build_filename(dir, "ca.pem", NULL), *key_file = g_build_filename(dir, "ca.key", NULL);
	g_autofree char *common_name = g_strdup_printf("%s CA", organization);
	int64_t now = g_get_real_time() / G_USEC_PER_SEC, not_after = now + (int64_t)(days ? days : CA_DAYS) * DAY_SECONDS;
	g_autoptr(EVP_PKEY) key = NULL;
	g_autoptr(X509) certificate = NULL;

	if (g_mkdir_with_parents(dir, 0755) < 0) {
		error_set_errno(error, ERR_IO_FAILED, errno, "create directory '%s'", dir);
		return false;
	}
	if (g_file_test(cert_file, G_FILE_TEST_EXISTS)) {
		error_set(error, ERR_CA_EXISTS, "'%s'", cert_file);
		return false;
	}
	ERR_clear_error();
	key = EVP_EC_gen("P-256");
	if (key)
		certificate = certificate_new(key, organization, common_name, now + NOT_BEFORE_SECONDS, not_after);
	if (!certificate || X509_set_issuer_name(certificate, X509_get_subject_name(certificate)) != 1 ||
	    !add_extension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
	    !add_extension(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign") ||
	    !add_extension(certificate, certificate, NID_subject_key_identifier, "hash") ||
	    !add_extension(certificate, certificate, NID_authority_key_identifier, "keyid:always") || X509_sign(certificate, key, EVP_sha256()) <= 0)
		return ca_failed(error, "create CA");
	return ca_publish_key(key_file, key, /* replace= */ false, error) && ca_publish_certificate(cert_file, certificate, /* replace= */ false, error);
}

static bool is_host_name(const char *text)
{
	return *text && strlen(text) <= 253 && !text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.*_")];
}

/* Adds a name or an address; false when it is neither. The same one twice is added once. */
static bool add_alternative(GENERAL_NAMES *names, const char *text)
{
	unsigned char address[sizeof(struct in6_addr)];
	int bytes = inet_pton(AF_INET, text, address) == 1 ? 4 : inet_pton(AF_INET6, text, address) == 1 ? 16 : 0;
	GENERAL_NAME *name;
	ASN1_STRING *value;

	if (!bytes && !is_host_name(text))
		return false;
	value = ASN1_STRING_type_new(bytes ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);
	ASN1_STRING_set(value, bytes ? (const void *)address : text, bytes ? bytes : -1);
	name = GENERAL_NAME_new();
	GENERAL_NAME_set0_value(name, bytes ? GEN_IPADD : GEN_DNS, value);
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
		if (GENERAL_NAME_cmp(sk_GENERAL_NAME_value(names, i), name) == 0) {
			GENERAL_NAME_free(name);
			return true;
		}
	sk_GENERAL_NAME_push(names, name);
	return true;
}

static bool add_alternatives(X509 *certificate, const struct ca_request *request, GError **error)
{
	g_autoptr(GENERAL_NAMES) names = GENERAL_NAMES_new();

	for (const char *const *address = request->addresses; address && *address; address++)
		if (!add_alternative(names, *address)) {
			error_set(error, ERR_BAD_VALUE, "certificate address '%s': neither a host name nor an IP address", *address);
			return false;
		}
	(void)add_alternative(names, request->common_name);
	if (sk_GENERAL_NAME_num(names) && X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) != 1)
		return ca_failed(error, "subject alternative names");
	return true;
}

static BIO *open_pem(const char *file, GError **error)
{
	BIO *in = BIO_new_file(file, "r");

	if (!in)
		(void)ca_failed(error, file);
	return in;
}

static bool load_ca(const char *dir, X509 **ret_certificate, EVP_PKEY **ret_key, GError **error)
{
	g_autofree char *cert_file = g_build_filename(dir, "ca.pem", NULL), *key_file = g_build_filename(dir, "ca.key", NULL);
	g_autoptr(BIO) cert_in = NULL, key_in = NULL;
	g_autoptr(X509) certificate = NULL;
	g_autoptr(EVP_PKEY) key = NULL;

	ERR_clear_error();
	if (!(cert_in = open_pem(cert_file, error)) || !(key_in = open_pem(key_file, error)))
		return false;
	/* the empty passphrase: never ask the terminal */
	if (!(certificate = PEM_read_bio_X509(cert_in, NULL, NULL, NULL)))
		return ca_failed(error, cert_file);
	if (!(key = PEM_read_bio_PrivateKey(key_in, NULL, NULL, (void *)"")) || X509_check_private_key(certificate, key) != 1)
		return ca_failed(error, key_file);
	*ret_certificate = g_steal_pointer(&certificate);
	*ret_key = g_steal_pointer(&key);
	return true;
}

static char *organization_of(const X509 *certificate)
{
	char text[256];

	return X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_organizationName, text, sizeof(text)) < 0 ? NULL : g_strdup(text);
}

/* A certificate for the key with all but its names; the usages are "serverAuth"... or NULL: none. */
static bool sign(X509 *certificate, X509 *ca, EVP_PKEY *ca_key, const char *usages)
{
	/* The usage is not critical: in a critical one libvirt 9.0 and QEMU 7.2 miss keyEncipherment, which a key for ECDSA must not have (RFC 8813). */
	return X509_set_issuer_name(certificate, X509_get_subject_name(ca)) == 1 && add_extension(certificate, ca, NID_basic_constraints, "critical,CA:FALSE") &&
	       add_extension(certificate, ca, NID_key_usage, "digitalSignature") &&
	       (!usages || add_extension(certificate, ca, NID_ext_key_usage, usages)) &&
	       add_extension(certificate, ca, NID_subject_key_identifier, "hash") &&
	       add_extension(certificate, ca, NID_authority_key_identifier, "keyid:always") && X509_sign(certificate, ca_key, EVP_sha256()) > 0;
}

static X509 *issued(const char *dir, const struct ca_request *request, EVP_PKEY *key, GError **error)
{
	int64_t now = g_get_real_time() / G_USEC_PER_SEC;
	int64_t not_before = now + (request->not_before_offset ? request->not_before_offset : NOT_BEFORE_SECONDS);
	int64_t not_after = now + (int64_t)(request->days ? request->days : CERTIFICATE_DAYS) * DAY_SECONDS;
	const char *usages = request->server && request->client ? "serverAuth,clientAuth" : request->server ? "serverAuth" : "clientAuth";
	g_autoptr(EVP_PKEY) ca_key = NULL;
	g_autoptr(X509) ca = NULL, certificate = NULL;
	g_autofree char *organization = NULL;

	if (!load_ca(dir, &ca, &ca_key, error))
		return NULL;
	organization = organization_of(ca);
	/* an expired one for a test still has a beginning before its end */
	not_before = MIN(not_before, not_after - DAY_SECONDS);
	certificate = key ? certificate_new(key, organization, request->common_name, not_before, not_after) : NULL;
	if (certificate && !add_alternatives(certificate, request, error))
		return NULL;
	if (certificate && sign(certificate, ca, ca_key, request->server || request->client ? usages : NULL))
		return g_steal_pointer(&certificate);
	(void)ca_failed(error, request->common_name);
	return NULL;
}

bool ca_issue(const char *dir, const struct ca_request *request, const char *cert_file, const char *key_file, GError **error)
{
	g_autoptr(EVP_PKEY) key = EVP_EC_gen("P-256");
	g_autoptr(X509) certificate = issued(dir, request, key, error);

	return certificate && ca_publish_key(key_file, key, /* replace= */ true, error) &&
	       ca_publish_certificate(cert_file, certificate, /* replace= */ true, error);
}

/* ---- for who has the key ---- */

/* One that is signed by the key in it; what was sent is the sender's fault, not a failure here. ret_key: within it */
static X509_REQ *read_request(const char *text, EVP_PKEY **ret_key, GError **error)
{
	g_autoptr(BIO) in = BIO_new_mem_buf(text, -1);
	g_autoptr(X509_REQ) wish = PEM_read_bio_X509_REQ(in, NULL, NULL, NULL);
	EVP_PKEY *key = wish ? X509_REQ_get0_pubkey(wish) : NULL;

	if (!key || X509_REQ_verify(wish, key) != 1) {
		error_set(error, ERR_OPERATION_FAILED, "the request for a certificate is not signed by the key that is in it");
		return NULL;
	}
	*ret_key = key;
	return g_steal_pointer(&wish);
}

static bool certificate_text(X509 *certificate, char **ret_text)
{
	g_autoptr(BIO) out = BIO_new(BIO_s_mem());
	char *bytes;
	long n;

	if (!out || PEM_write_bio_X509(out, certificate) != 1)
		return false;
	n = BIO_get_mem_data(out, &bytes);
	*ret_text = g_strndup(bytes, (gsize)n);
	return true;
}

bool ca_sign(const char *dir, const struct ca_request *request, const char *asked, char **ret_certificate, GError **error)
{
	EVP_PKEY *key;
	g_autoptr(X509_REQ) wish = read_request(asked, &key, error);
	g_autoptr(X509) certificate = wish ? issued(dir, request, key, error) : NULL;

	return certificate && (certificate_text(certificate, ret_certificate) || ca_failed(error, request->common_name));
}

/* ---- renewal ---- */

/* "serverAuth,clientAuth" of the certificate; NULL: none of the two */
static const char *usages_of(X509 *certificate)
{
	uint32_t usages = X509_get_extended_key_usage(certificate);
	bool server, client;

	if (usages == UINT32_MAX)        /* no such extension */
		return NULL;
	server = usages & XKU_SSL_SERVER;
	client = usages & XKU_SSL_CLIENT;
	return server && client ? "serverAuth,clientAuth" : server ? "serverAuth" : client ? "clientAuth" : NULL;
}

static bool check_names(X509 *old, const char *subject, GError **error)
{
	g_autofree char *own = ca_subject_text(old);

	if (!g_strcmp0(own, subject))
		return true;
	error_set(error, ERR_OPERATION_FAILED, "the certificate to be renewed is that of '%s', not of '%s'", own, subject);
	return false;
}

/* The old certificate's subject and other names for the request's key. */
static X509 *certificate_like(X509 *old, EVP_PKEY *key)
{
	int64_t now = g_get_real_time() / G_USEC_PER_SEC;
	g_autoptr(X509) certificate = certificate_new(key, /* organization= */ NULL, /* common_name= */ NULL, now + NOT_BEFORE_SECONDS,
						      now + (int64_t)CERTIFICATE_DAYS * DAY_SECONDS);
	g_autoptr(GENERAL_NAMES) names = X509_get_ext_d2i(old, NID_subject_alt_name, NULL, NULL);

	if (!certificate || X509_set_subject_name(certificate, X509_get_subject_name(old)) != 1 ||
	    (names && X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) != 1))
		return NULL;
	return g_steal_pointer(&certificate);
}

bool ca_renew(const char *dir, const char *certificate, const char *request, const char *subject, char **ret_certificate, GError **error)
{
	g_autoptr(BIO) old_in = BIO_new_mem_buf(certificate, -1);
	g_autoptr(X509) ca = NULL, old = NULL, new = NULL;
	g_autoptr(X509_REQ) wish = NULL;
	g_autoptr(EVP_PKEY) ca_key = NULL;
	EVP_PKEY *key;

	if (!load_ca(dir, &ca, &ca_key, error))
		return false;
	/* what was sent is the sender's fault, not a failure here */
	if (!(old = PEM_read_bio_X509(old_in, NULL, NULL, NULL)) || X509_verify(old, ca_key) != 1) {
		error_set(error, ERR_OPERATION_FAILED, "the certificate to be renewed is not of this CA");
		return false;
	}
	if (!(wish = read_request(request, &key, error)) || !check_names(old, subject, error))
		return false;
	if (!(new = certificate_like(old, key)) || !sign(new, ca, ca_key, usages_of(old)) || !certificate_text(new, ret_certificate))
		return ca_failed(error, subject);
	return true;
}
