/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_MODEL_ROLE_H
#define BERTH_ENGINE_MODEL_ROLE_H
/* Roles (REST chapter 21): named sets of permits. */
#include "common/record.h"

#define ROLE_SUPER_USER "00000000-0000-0000-0000-000000000001"
#define ROLE_USER "00000000-0000-0000-0001-000000000001"
#define ROLE_POWER_USER "00000000-0000-0000-0001-000000000002"

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
extern const struct record_type role_type;

#endif
