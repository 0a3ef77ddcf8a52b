/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_SSH_KEY_H
#define BERTH_ENGINE_SSH_KEY_H
/*
 * The engine's own key for hosts: DATA_DIR/ssh.key (0600), made when it is first asked for, and DATA_DIR/ssh.key.pub, the line for authorized_keys.
 * A host that was installed knows it, so that upgrades need no password.
 */
#include <stdbool.h>
#include <glib.h>

struct ssh_key { char *private_pem, *public_line; };

/* comment: end of the public line, one word. NULL + error */
struct ssh_key *ssh_key_load(const char *data_dir, const char *comment, GError **error);
struct ssh_key *ssh_key_free(struct ssh_key *key);           /* NULL accepted; returns NULL */
static inline void ssh_key_freep(struct ssh_key **key) { (void)ssh_key_free(*key); }
#define autosshkey __attribute__((cleanup(ssh_key_freep))) struct ssh_key *

#endif
