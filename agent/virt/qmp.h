/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_QMP_H
#define BERTH_AGENT_VIRT_QMP_H
/*
 * QEMU's monitor, for what libvirt has no call for. Only the commands of the list in qmp.c pass, none of which changes what libvirt believes of the VM.
 * Worker; waits for QEMU.
 */
#include <jansson.h>
#include <stdbool.h>
#include <glib.h>
#include "agent/virt/libvirt_connection.h"

/* arguments: borrowed; NULL: none. ret_return (may be NULL): "return" of the answer, a new reference. Error: code with QEMU's own words. */
bool qmp_command(virDomainPtr domain, const char *command, const json_t *arguments, enum error_code code, json_t **ret_return, GError **error);
/* "add-fd": to QEMU the file is /dev/fdset/<set> until "remove-fd". The caller keeps fd. */
bool qmp_add_fd(virDomainPtr domain, int set, int fd, enum error_code code, GError **error);

#endif
