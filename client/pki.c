/* SPDX-License-Identifier: Apache-2.0 */
/* berth pki: the built-in certificate authority for hosts that have none of their own. */
#include "client/client.h"
#include "common/error.h"
#include "common/tls.h"
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(X509, X509_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BIO, BIO_free)

#define DAYS_MAX 36500

static bool help, client, server, both;
static const char *dir, *organization = "Berth", *name, *days, *cert, *key;
static GPtrArray *addresses;

static const struct cli_option init_options[] = {
	{ "dir", 'd', "DIR", "where the CA is kept: DIR/ca.pem and DIR/ca.key (made)", .text = &dir },
	{ "organization", 'o', "NAME", "organization in the subject (Berth)", .text = &organization },
	{ "days", 0, "N", "how long it is valid (3650)", .text = &days },
	{ "help", 'h', NULL, "show this text", .flag = &help },
};
static const struct cli_option issue_options[] = {
	{ "dir", 'd', "DIR", "where the CA is kept", .text = &dir },
	{ "name", 'n', "CN", "common name: the host's name, or the client's", .text = &name },
	{ "address", 'a', "A", "another name or IP address of the host; may be repeated", .list = &addresses },
	{ "client", 0, NULL, "for a program that connects", .flag = &client },
	{ "server", 0, NULL, "for a daemon that listens", .flag = &server },
	{ "both", 0, NULL, "for a daemon that does both (agent, engine; the default)", .flag = &both },
	{ "days", 0, "N", "how long it is valid (1825); negative: expired already, for tests", .text = &days },
	{ "cert", 0, "FILE", "where the certificate goes", .text = &cert },
	{ "key", 0, "FILE", "where the private key goes (mode 0600)", .text = &key },
	{ "help", 'h', NULL, "show this text", .flag = &help },
};
static const struct cli_option show_options[] = { { "help", 'h', NULL, "show this text", .flag = &help } };

static bool wanted(const char *command, const char *option, const char *value)
{
	if (!value)
		complain("pki %s: --%s is missing; `berth help pki` explains it", command, option);
	return value != NULL;
}

static int init(GPtrArray *words)
{
	g_autoptr(GError) error = NULL;
	long n = 0;

	if (words->len)
		return usage_error("pki init: '%s' is not expected", (const char *)words->pdata[0]);
	if (!wanted("init", "dir", dir) || (days && !option_number("days", days, 1, DAYS_MAX, &n)))
		return EXIT_USAGE;
	if (!ca_create(dir, organization, (int)n, &error)) {
		if (error_is(error, ERR_CA_EXISTS)) {
			complain("%s; use it with `berth pki issue --dir %s`, or choose another --dir", error->message, dir);
			return EXIT_FAILED;
		}
		return report_failure(error);
	}
	printf("%s/ca.pem\n", dir);
	return 0;
}

static int issue(GPtrArray *words)
{
	g_autoptr(GError) error = NULL;
	struct ca_request request = { .common_name = name };
	long n = 0;

	if (words->len)
		return usage_error("pki issue: '%s' is not expected", (const char *)words->pdata[0]);
	if (!wanted("issue", "dir", dir) || !wanted("issue", "name", name) || !wanted("issue", "cert", cert) || !wanted("issue", "key", key) ||
	    (days && !option_number("days", days, -DAYS_MAX, DAYS_MAX, &n)))
		return EXIT_USAGE;
	if (!*name || strlen(name) > 64)
		return usage_error("pki issue: --name '%s': a common name has 1 to 64 bytes", name);
	if (addresses)
		g_ptr_array_add(addresses, NULL);
	request.addresses = addresses ? (const char *const *)addresses->pdata : NULL;
	request.client = client || both || !server;
	request.server = server || both || !client;
	request.days = (int)n;
	if (!ca_issue(dir, &request, cert, key, &error))
		return report_failure(error);
	printf("%s\n%s\n", cert, key);
	return 0;
}

static void show_time(const char *label, const ASN1_TIME *when, const char *remark)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(when, &tm) == 1)
		printf("%-14s %04d-%02d-%02d %02d:%02d:%02d UTC%s\n", label, tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
		       remark);
}

static void show_name(const char *label, X509_NAME *subject)
{
	g_autoptr(BIO) out = BIO_new(BIO_s_mem());
	g_autofree char *text = NULL, *clean = NULL;
	char *bytes;
	long n;

	X509_NAME_print_ex(out, subject, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
	n = BIO_get_mem_data(out, &bytes);
	text = g_strndup(bytes, (gsize)n);
	clean = printable(text);
	printf("%-14s %s\n", label, clean);
}

static void show_extension(X509 *certificate, int nid, const char *label)
{
	int at = X509_get_ext_by_NID(certificate, nid, -1);
	g_autoptr(BIO) out = BIO_new(BIO_s_mem());
	g_autofree char *text = NULL, *clean = NULL;
	char *bytes;
	long n;

	if (at < 0 || X509V3_EXT_print(out, X509_get_ext(certificate, at), 0, 0) != 1)
		return;
	n = BIO_get_mem_data(out, &bytes);
	text = g_strndup(bytes, (gsize)n);
	clean = printable(text);
	printf("%-14s %s\n", label, clean);
}

static int show(GPtrArray *words)
{
	const char *file = words->len == 1 ? words->pdata[0] : NULL;
	g_autoptr(X509) certificate = NULL;
	g_autoptr(BIO) in = NULL;
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	BIGNUM *serial;
	char *hex;

	if (!file)
		return usage_error("pki show: name one file: berth pki show FILE");
	in = BIO_new_file(file, "r");
	certificate = in ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;
	if (!certificate) {
		g_autofree char *reason = tls_error_text(/* ssl= */ NULL);

		complain("%s: %s", file, in ? "no certificate in PEM form is in it" : reason);
		return EXIT_FAILED;
	}
	show_name("subject", X509_get_subject_name(certificate));
	show_name("issuer", X509_get_issuer_name(certificate));
	serial = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), NULL);
	hex = serial ? BN_bn2hex(serial) : NULL;
	printf("%-14s %s\n", "serial", hex ? hex : "?");
	OPENSSL_free(hex);
	BN_free(serial);
	show_time("not before", X509_get0_notBefore(certificate), X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0 ? "  (not yet valid)" : "");
	show_time("not after", X509_get0_notAfter(certificate), X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0 ? "  (expired)" : "");
	show_extension(certificate, NID_subject_alt_name, "addresses");
	show_extension(certificate, NID_ext_key_usage, "usage");
	show_extension(certificate, NID_basic_constraints, "constraints");
	printf("%-14s ", "sha256");
	if (X509_digest(certificate, EVP_sha256(), digest, &n) == 1)
		for (unsigned i = 0; i < n; i++)
			printf("%02x", digest[i]);
	putchar('\n');
	return 0;
}

static const struct sub {
	const char *name, *synopsis, *doc;
	const struct cli_option *options;
	size_t n_options;
	int (*run)(GPtrArray *words);
} subs[] = {
	{ "init", "--dir DIR [--organization NAME] [--days N]", "Make a certificate authority", init_options, G_N_ELEMENTS(init_options), init },
	{ "issue", "--dir DIR --name CN [--address A]... [--client|--server|--both] [--days N] --cert FILE --key FILE", "Issue a certificate and its key",
	  issue_options, G_N_ELEMENTS(issue_options), issue },
	{ "show", "FILE", "Show whose a certificate is and how long it is valid", show_options, G_N_ELEMENTS(show_options), show },
};

static void sub_help(const struct sub *sub)
{
	printf("usage: berth pki %s %s\n\n%s.\n", sub->name, sub->synopsis, sub->doc);
	options_help(stdout, sub->options, sub->n_options);
}

static int overview(void)
{
	puts("usage: berth pki COMMAND ...\n\nThe built-in certificate authority (ECDSA P-256).\n\nCommands:");
	for (size_t i = 0; i < G_N_ELEMENTS(subs); i++)
		printf("  %-8s %s\n           berth pki %s %s\n", subs[i].name, subs[i].doc, subs[i].name, subs[i].synopsis);
	return 0;
}

static int unknown(const char *word)
{
	g_autoptr(GPtrArray) known = g_ptr_array_new();
	g_autofree char *meant = NULL;

	for (size_t i = 0; i < G_N_ELEMENTS(subs); i++)
		g_ptr_array_add(known, (char *)subs[i].name);
	meant = did_you_mean(word, known);
	return usage_error("pki: there is no '%s'%s `berth help pki` lists init, issue, show", word, meant);
}

int pki_main(int argc, char **argv)
{
	g_autoptr(GPtrArray) words = g_ptr_array_new();

	if (argc < 2)
		return usage_error("pki: what? init, issue or show; `berth help pki` explains them");
	if (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0)
		return overview();
	for (size_t i = 0; i < G_N_ELEMENTS(subs); i++)
		if (strcmp(argv[1], subs[i].name) == 0) {
			g_autofree char *full = g_strdup_printf("pki %s", subs[i].name);

			if (!options_parse(subs[i].options, subs[i].n_options, full, argc - 1, argv + 1, words))
				return EXIT_USAGE;
			if (help) {
				sub_help(&subs[i]);
				return 0;
			}
			return subs[i].run(words);
		}
	return unknown(argv[1]);
}

void pki_complete(GPtrArray *words, GPtrArray *ret)
{
	for (size_t i = 0; i < G_N_ELEMENTS(subs); i++)
		if (words->len <= 1)
			g_ptr_array_add(ret, g_strdup(subs[i].name));
		else if (strcmp(words->pdata[0], subs[i].name) == 0)
			options_complete(subs[i].options, subs[i].n_options, ret);
}
