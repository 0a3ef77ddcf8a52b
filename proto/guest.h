/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_PROTO_GUEST_H
#define BERTH_PROTO_GUEST_H
/* Parameters of the verbs that talk to the agent in the guest. Wire names of vdsm's verbs are vdsm's. */
#include "common/record.h"

struct vm_freeze_params { struct record record; char *vm_id; GPtrArray *mountpoints; int timeout; };        /* strings; NULL: all */
extern const struct record_type vm_freeze_params_type;
struct guest_trim_params { struct record record; char *vm_id; int64_t minimum; int timeout; };
extern const struct record_type guest_trim_params_type;
struct guest_password_params { struct record record; char *vm_id, *user, *password; bool crypted; };
extern const struct record_type guest_password_params_type;
struct guest_keys_params { struct record record; char *vm_id, *user; GPtrArray *keys; bool reset; };   /* keys: strings */
extern const struct record_type guest_keys_params_type, guest_keys_get_params_type, guest_keys_remove_params_type;
struct desktop_login_params { struct record record; char *vm_id, *domain, *username, *password; };
extern const struct record_type desktop_login_params_type;
struct desktop_logoff_params { struct record record; char *vm_id; bool force; };
extern const struct record_type desktop_logoff_params_type;
struct desktop_message_params { struct record record; char *vm_id, *message; };
extern const struct record_type desktop_message_params_type;

#define GUEST_KEYS_MAX 1000              /* keys in one call */

#endif
