/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_MODEL_ROLE_H
#define BERTH_ENGINE_MODEL_ROLE_H
/* Roles (REST chapter 21): named sets of permits. */
#include "common/record.h"

#define ROLE_SUPER_USER "00000000-0000-0000-0000-000000000001"
#define ROLE_USER "00000000-0000-0000-0001-000000000001"
#define ROLE_POWER_USER "00000000-0000-0000-0001-000000000002"
#define ROLE_USER_VM_MANAGER "def00006-0000-0000-0000-def000000006"
#define ROLE_TEMPLATE_USER "def00009-0000-0000-0000-def000000009"
#define ROLE_TEMPLATE_OWNER "def0000a-0000-0000-0000-def00000000b"
#define ROLE_DISK_OPERATOR "def0000a-0000-0000-0000-def00000000a"
#define ROLE_NETWORK_USER "def0000a-0000-0000-0000-def000000010"

/* ids are small integers: position in permits[] + 1 */
struct permit_row { const char *name; bool administrative; };
extern const struct permit_row permits[];                    /* ends with name NULL */
int permit_number(const char *name);                         /* id; 0 when none */

struct permit {
	struct record record;
	char *id, *name;
	bool administrative;
	struct ref role;
};
extern const struct record_type permit_type;

struct role {
	struct record record;
	char *id, *name, *description;
	bool mutable, administrative;
	GPtrArray *permits;                  /* struct permit; shown in the sub-collection only. A role without a list has all of them */
};
extern const struct record_type role_type, assigned_role_type;   /* assigned: by id or name, below a user or group */

/* Roles that are always there. permits: names with blanks between; NULL: all. Ends with id NULL. */
struct builtin_role { const char *id, *name, *description; bool administrative; const char *permits; };
extern const struct builtin_role builtin_roles[];
/* Replaces the role's permits. */
void role_give(struct role *role, const char *names);
bool role_has(const struct role *role, int number);

#endif
