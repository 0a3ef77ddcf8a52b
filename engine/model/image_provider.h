/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_MODEL_IMAGE_PROVIDER_H
#define BERTH_ENGINE_MODEL_IMAGE_PROVIDER_H
/*
 * OpenStack image services (Glance), as external providers: each has a storage domain of type image that stands for it (REST 12.7), is made with it and goes
 * with it. What images there are only the service knows.
 */
#include "common/record.h"

struct image_provider {
	struct record record;
	char *id, *name, *description;
	char *url;                           /* "http://server:9292": what the image API's paths (/v2/images) come behind */
	bool requires_authentication;        /* the members below count only then */
	char *authentication_url;            /* of Keystone: ends with /v3, or is one of version 2.0 */
	char *username, *password, *tenant_name;
	char *user_domain, *project_domain;  /* names; Keystone v3 only */
};
extern const struct record_type image_provider_type;

enum image_content { IMAGE_DISK, IMAGE_ISO, IMAGE_UNKNOWN };

/* An image that a service has. Not stored. */
struct image {
	struct record record;
	char *id, *name;
	int type;                            /* enum image_content */
	int64_t size;                        /* of its file, bytes */
	struct ref storage_domain;
	/* INTERNAL */
	char *format, *container;            /* the service's words: "qcow2", "bare" */
	char *checksum;                      /* "sha512:0f2e..."; NULL: the service does not know it */
};
extern const struct record_type image_type;

#endif
