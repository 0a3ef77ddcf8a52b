/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_MODEL_HOST_PROVIDER_H
#define BERTH_ENGINE_MODEL_HOST_PROVIDER_H
/* Foreman servers, as external host providers: with Katello they know which updates a host lacks. */
#include "common/record.h"

struct host_provider {
	struct record record;
	char *id, *name, *description;
	char *url;                           /* "https://foreman.example.com": what /api/v2 comes behind */
	bool requires_authentication;        /* the members below count only then */
	char *username, *password;
};
extern const struct record_type host_provider_type;

/* An update that a host lacks, as its provider tells it. Not stored. */
struct erratum {
	struct record record;
	char *id, *name, *description;       /* both "RHSA-2015:1623" */
	char *title, *type, *severity, *solution, *summary;
	int64_t issued;                      /* ms since the epoch */
	GPtrArray *packages;                 /* struct erratum_package */
};
extern const struct record_type erratum_type;

struct erratum_package { struct record record; char *name; };
extern const struct record_type erratum_package_type;

#endif
