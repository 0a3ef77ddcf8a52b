/* SPDX-License-Identifier: Apache-2.0 */
/* External host providers: the tables. See host_provider.h. */
#include "engine/model/host_provider.h"
#include "engine/model/kinds.h"

#define CU (CREATE | UPDATE)
#define P struct host_provider

static const struct field host_provider_fields[] = {
	FIELD_UUID_(P, id, "@id", READ_ONLY, "identity, given by the engine"),
	FIELD_STRING_(P, name, "name", CU | REQUIRED | SEARCH | UNIQUE | HEAD, "unique name", .min = 1, .max = 250, .pattern = "[-\\w]+"),
	FIELD_STRING_(P, description, "description", CU | HEAD | SEARCH, "free text", .max = 4000),
	FIELD_STRING_(P, url, "url", CU | REQUIRED | SEARCH, "of the Foreman server, without /api: https://foreman.example.com", .max = 1024,
		      .pattern = PROVIDER_URL_PATTERN),
	FIELD_BOOL_(P, requires_authentication, "requires_authentication", CU, "it wants a user and his password", .def = "false"),
	FIELD_STRING_(P, username, "username", CU, "user there", .min = 1, .max = 255, .pattern = "[^:]+"),
	FIELD_STRING_(P, password, "password", CU | SECRET, "password of that user", .min = 1, .max = 1024),
};
const struct record_type host_provider_type =
	RECORD_TYPE("external_host_provider", "external_host_providers", P, host_provider_fields, "A Foreman server");

static const struct field erratum_package_fields[] = {
	FIELD_STRING_(struct erratum_package, name, "name", READ_ONLY, "name, version and architecture of the package"),
};
const struct record_type erratum_package_type =
	RECORD_TYPE("package", "packages", struct erratum_package, erratum_package_fields, "A package of an erratum");

#define E struct erratum
static const struct field erratum_fields[] = {
	FIELD_STRING_(E, id, "@id", READ_ONLY, "identity, given by whom it is from: RHSA-2015:1623"),
	FIELD_STRING_(E, name, "name", HEAD, "the same"),
	FIELD_STRING_(E, description, "description", HEAD, "what it is about, at length"),
	FIELD_STRING_(E, title, "title", READ_ONLY, "what it is about, in a line"),
	FIELD_STRING_(E, type, "type", READ_ONLY, "security, bugfix, enhancement"),
	FIELD_TIME_(E, issued, "issued", READ_ONLY, "when it was published"),
	FIELD_STRING_(E, severity, "severity", READ_ONLY, "Low, Moderate, Important, Critical"),
	FIELD_STRING_(E, solution, "solution", READ_ONLY, "how it is applied"),
	FIELD_STRING_(E, summary, "summary", READ_ONLY, "what it changes, in short"),
	FIELD_LIST_(E, packages, "packages/package", READ_ONLY, &erratum_package_type, "packages that it updates"),
};
const struct record_type erratum_type = RECORD_TYPE("katello_erratum", "katello_errata", E, erratum_fields, "An update of a host that is known to be missing");
