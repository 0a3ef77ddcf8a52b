/* SPDX-License-Identifier: Apache-2.0 */
/* ECDSA P-256, as the CA's keys. The private key is all there is: the public line is made from it again. */
#include "engine/deploy/ssh_key.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/error.h"

#define KIND "ecdsa-sha2-nistp256"
#define CURVE "nistp256"
#define POINT_BYTES 65

static bool failed(const char *file, GError **error)
{
	error_set(error, ERR_OPERATION_FAILED, "the engine's SSH key '%s' cannot be used", file);
	return false;
}

static void put_string(GByteArray *out, const void *bytes, guint n)
{
	guint32 length = GUINT32_TO_BE(n);

	g_byte_array_append(out, (const guint8 *)&length, sizeof(length));
	g_byte_array_append(out, bytes, n);
}

/* RFC 5656: the kind, the curve, the point */
static char *public_line(EVP_PKEY *key, const char *comment)
{
	g_autoptr(GByteArray) blob = g_byte_array_new();
	g_autofree char *base64 = NULL;
	unsigned char point[POINT_BYTES];
	size_t n = 0;

	if (EVP_PKEY_get_octet_string_param(key, "pub", point, sizeof(point), &n) != 1 || n != sizeof(point))
		return NULL;
	put_string(blob, KIND, strlen(KIND));
	put_string(blob, CURVE, strlen(CURVE));
	put_string(blob, point, POINT_BYTES);
	base64 = g_base64_encode(blob->data, blob->len);
	return g_strdup_printf(KIND " %s %s", base64, comment);
}

static char *private_pem(EVP_PKEY *key)
{
	BIO *out = BIO_new(BIO_s_secmem());
	char *bytes, *text = NULL;
	long n;

	if (out && PEM_write_bio_PrivateKey_traditional(out, key, NULL, NULL, 0, NULL, NULL) == 1) {
		n = BIO_get_mem_data(out, &bytes);
		text = g_strndup(bytes, (gsize)n);
	}
	BIO_free(out);
	return text;
}

/* Whole or not at all; the first one who writes it wins. */
static bool publish(const char *file, const char *text, mode_t mode, GError **error)
{
	g_autofree char *beside = g_strdup_printf("%s.XXXXXX", file);
	int fd = g_mkstemp_full(beside, O_WRONLY | O_CLOEXEC, 0600);
	size_t n = strlen(text);
	bool ok = fd >= 0 && write(fd, text, n) == (ssize_t)n && fchmod(fd, mode) == 0 && fsync(fd) == 0 && (link(beside, file) == 0 || errno == EEXIST);

	if (!ok)
		error_set_errno(error, ERR_OPERATION_FAILED, errno, "write '%s'", file);
	if (fd >= 0) {
		close(fd);
		(void)unlink(beside);
	}
	return ok;
}

static EVP_PKEY *read_key(const char *file)
{
	BIO *in = BIO_new_file(file, "r");
	/* the empty passphrase: never ask the terminal */
	EVP_PKEY *key = in ? PEM_read_bio_PrivateKey(in, NULL, NULL, (void *)"") : NULL;

	BIO_free(in);
	return key;
}

static bool make_key(const char *file, GError **error)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	char *pem = key ? private_pem(key) : NULL;
	bool ok = pem ? publish(file, pem, 0600, error) : failed(file, error);

	if (pem)
		explicit_bzero(pem, strlen(pem));
	g_free(pem);
	EVP_PKEY_free(key);
	return ok;
}

struct ssh_key *ssh_key_load(const char *data_dir, const char *comment, GError **error)
{
	g_autofree char *file = g_build_filename(data_dir, "ssh.key", NULL), *public_file = g_strconcat(file, ".pub", NULL), *text = NULL;
	struct ssh_key *loaded = g_new0(struct ssh_key, 1);
	EVP_PKEY *key = NULL;
	bool ok = access(file, F_OK) == 0 || make_key(file, error);

	if (ok) {
		key = read_key(file);
		loaded->private_pem = key ? private_pem(key) : NULL;
		loaded->public_line = key ? public_line(key, comment) : NULL;
		ok = (loaded->private_pem && loaded->public_line) || failed(file, error);
	}
	EVP_PKEY_free(key);
	if (ok) {
		text = g_strconcat(loaded->public_line, "\n", NULL);
		ok = access(public_file, F_OK) == 0 || publish(public_file, text, 0644, error);
	}
	return ok ? loaded : ssh_key_free(loaded);
}

struct ssh_key *ssh_key_free(struct ssh_key *key)
{
	if (key) {
		if (key->private_pem)
			explicit_bzero(key->private_pem, strlen(key->private_pem));
		g_free(key->private_pem);
		g_free(key->public_line);
		g_free(key);
	}
	return NULL;
}
