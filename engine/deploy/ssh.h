/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_SSH_H
#define BERTH_ENGINE_SSH_H
/*
 * A connection to a host's SSH server, over which commands run. Worker threads; theory of operation in ssh.c.
 * Errors name the server and what was being done; they never contain the password.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <glib.h>

struct ssh;

struct ssh_login {
	const char *address;
	int port;
	const char *user;
	const char *password;                /* NULL: key */
	const char *key;                     /* private key, PEM; may be NULL with a password */
	const char *fingerprint;             /* that the server's key must have; NULL: any */
	int64_t open_usec;                   /* for connecting and logging in */
	int64_t silence_usec;                /* without a byte of the server */
	int64_t end_usec;                    /* of everything, absolute, now_usec() clock */
};

/* ret_fingerprint: of the server's key, "SHA256:..."; g_free. NULL + error: ERR_OPERATION_FAILED */
struct ssh *ssh_open(const struct ssh_login *login, char **ret_fingerprint, GError **error);
struct ssh *ssh_close(struct ssh *ssh);              /* NULL accepted; returns NULL */
static inline void ssh_closep(struct ssh **ssh) { (void)ssh_close(*ssh); }
#define autossh __attribute__((cleanup(ssh_closep))) struct ssh *

struct ssh_streams {
	/* The next bytes of the command's standard input: 0: that was all, -1: error is set. NULL: it is empty */
	ssize_t (*input)(void *data, char *buffer, size_t size, GError **error);
	/* A line of its output, without the line feed; longer ones come in pieces. May be NULL */
	void (*line)(void *data, const char *line, bool is_error);
	void *data;
};
/* Runs the command to its end. True whatever its status is: -1 when a signal has ended it. Input that it does not read is not an error. */
bool ssh_run(struct ssh *ssh, const char *command, const struct ssh_streams *streams, int *ret_status, GError **error);

/* This engine ends: whoever waits for a server gives up within a second, now and from now on. */
void ssh_stop(void);

/* For ssh_open(), apart for tests. Is the fingerprint that an administrator wrote - SHA256:BASE64, or hexadecimal of SHA-256 or MD5 - that of this key? */
bool ssh_fingerprint_fits(const char *given, const uint8_t sha256[32], const uint8_t md5[16]);

#endif
