/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_COMMON_CA_PRIV_H
#define BERTH_COMMON_CA_PRIV_H
/* What ca.c, renewal.c and tls.c share. */
#include <openssl/x509.h>
#include "common/tls.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(X509, X509_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(X509_REQ, X509_REQ_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_PKEY, EVP_PKEY_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BIO, BIO_free)

/* ERR_TLS_FAILED with OpenSSL's reason; false */
bool ca_failed(GError **error, const char *what);
/* A file that appears whole; replace false: fails with ERR_CA_EXISTS if it is there. */
bool ca_publish_key(const char *file, EVP_PKEY *key, bool replace, GError **error);
bool ca_publish_certificate(const char *file, X509 *certificate, bool replace, GError **error);
/* "O=Berth,CN=host1". g_free */
char *ca_subject_text(const X509 *certificate);

#endif
