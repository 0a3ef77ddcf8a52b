/* SPDX-License-Identifier: Apache-2.0 */
/* Image services: the tables. See image_provider.h. */
#include "engine/model/image_provider.h"
#include "engine/model/kinds.h"

#define CU (CREATE | UPDATE)
#define P struct image_provider

static const struct field image_provider_fields[] = {
	FIELD_UUID_(P, id, "@id", READ_ONLY, "identity, given by the engine"),
	FIELD_STRING_(P, name, "name", CU | REQUIRED | SEARCH | UNIQUE | HEAD, "unique name, also that of its storage domain", .min = 1, .max = 250,
		      .pattern = "[-\\w]+"),
	FIELD_STRING_(P, description, "description", CU | HEAD | SEARCH, "free text", .max = 4000),
	FIELD_STRING_(P, url, "url", CU | REQUIRED | SEARCH, "of the image service, without /v2: http://server:9292; hosts must reach it, too", .max = 1024,
		      .pattern = PROVIDER_URL_PATTERN),
	FIELD_BOOL_(P, requires_authentication, "requires_authentication", CU, "it wants a token of Keystone's", .def = "false"),
	FIELD_STRING_(P, authentication_url, "authentication_url", CU, "of Keystone: http://server:5000/v3, http://server:5000/v2.0", .max = 1024,
		      .pattern = PROVIDER_URL_PATTERN),
	FIELD_STRING_(P, username, "username", CU, "user there", .min = 1, .max = 255),
	FIELD_STRING_(P, password, "password", CU | SECRET, "password of that user", .min = 1, .max = 1024),
	FIELD_STRING_(P, tenant_name, "tenant_name", CU, "tenant, or project, whose images they are", .min = 1, .max = 255),
	FIELD_STRING_(P, tenant_name, "project_name", CU | ALIAS, "other name of tenant_name", .min = 1, .max = 255),
	FIELD_STRING_(P, user_domain, "user_domain_name", CU, "Keystone v3: domain of the user", .def = "Default", .min = 1, .max = 255),
	FIELD_STRING_(P, project_domain, "project_domain_name", CU, "Keystone v3: domain of the project", .def = "Default", .min = 1, .max = 255),
};
const struct record_type image_provider_type =
	RECORD_TYPE("openstack_image_provider", "openstack_image_providers", P, image_provider_fields, "An OpenStack image service");

#define I struct image
static const char *const image_content_names[] = { "disk", "iso", "unknown", NULL };

static const struct field image_fields[] = {
	FIELD_STRING_(I, id, "@id", READ_ONLY, "identity, given by the image service"),
	FIELD_STRING_(I, name, "name", HEAD, "name there; need not be unique"),
	FIELD_ENUM_(I, type, "type", READ_ONLY, image_content_names, "disk: can be imported"),
	FIELD_LONG_(I, size, "size", READ_ONLY, "size of its file", .unit = "bytes"),
	FIELD_REF_(I, storage_domain, "storage_domain", READ_ONLY | WITHIN, "storagedomains", "domain that stands for the image service"),
	FIELD_STRING_(I, format, "format", INTERNAL, "the service's disk_format"),
	FIELD_STRING_(I, container, "container", INTERNAL, "the service's container_format"),
	FIELD_STRING_(I, checksum, "checksum", INTERNAL, "of its file"),
};
const struct record_type image_type = RECORD_TYPE("image", "images", I, image_fields, "An image of an OpenStack image service");
