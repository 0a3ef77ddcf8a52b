/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/glance/glance.h"

#include <inttypes.h>
#include <string.h>
#include "common/error.h"
#include "engine/glance/keystone.h"
#include "engine/web/web.h"
#include "engine/model/kinds.h"

#define PAGE 100
#define NAME_MAX_CHARACTERS 255           /* as many as the service's own schema allows */
#define SIZE_MAX_BYTES (INT64_C(64) << 40)
/* The first of a qcow2 image's header (QEMU's docs/interop/qcow2.txt), numbers big-endian: magic, version, offset of the name of the image below, ..., size */
#define QCOW2_BYTES 72
#define QCOW2_MAGIC "QFI\xfb"

struct glance {
	struct engine *engine;
	struct image_provider *provider;
	char *base, *token;                  /* base: "http://server:9292" */
	int64_t until_usec;
	bool counted;
};

static struct web_gate gate = { .what = "image service" };

/* ---- conversations ---- */

static struct glance *begin(struct engine *engine, const struct image_provider *provider, bool flow, GError **error)
{
	struct glance *glance = g_new0(struct glance, 1);

	*glance = (struct glance){ .engine = engine, .provider = record_ref((void *)provider), .counted = !flow };
	glance->until_usec = now_usec() + config_int(engine->config, "glance", "timeout") * (int64_t)G_USEC_PER_SEC;
	glance->base = web_base(provider->url);
	if (!provider->requires_authentication || (glance->token = keystone_token(engine, provider, glance->until_usec, error)))
		return glance;
	error_wrap(error, "image service '%s'", provider->name);
	return glance_close(glance);
}

struct glance *glance_open(struct engine *engine, const char *provider_id, bool flow, GError **error)
{
	struct image_provider *provider = provider_id ? model_get(engine->model, &image_provider_kind, provider_id) : NULL;
	struct glance *glance = NULL;

	if (!provider)
		error_set(error, ERR_NOT_FOUND, "image service '%s'", provider_id ? provider_id : "");
	else if (flow || web_gate_enter(&gate, provider->name, error))
		glance = begin(engine, provider, flow, error);
	record_unref(provider);
	return glance;
}

struct glance *glance_close(struct glance *glance)
{
	if (!glance)
		return NULL;
	if (glance->counted)
		web_gate_leave(&gate);
	record_unref(glance->provider);
	g_free(glance->base);
	g_free(glance->token);
	g_free(glance);
	return NULL;
}

/* path: "/v2/images..."; fine: the statuses that are, besides 200; ret_answer: web_answer_clear() */
static bool ask(struct glance *glance, const char *method, const char *path, const json_t *body, size_t first, const long *fine,
		struct web_answer *ret_answer, GError **error)
{
	g_autofree char *url = g_strconcat(glance->base, path, NULL);
	const struct web_question question = { .method = method, .url = url, .token = glance->token, .body = body, .first = first };
	struct web_answer answer;
	bool good = web_ask(glance->engine, &question, glance->until_usec, &answer, error);

	if (good && answer.status != 200) {
		for (good = false; fine && *fine && !good; fine++)
			good = answer.status == *fine;
		if (!good && answer.status == 401)
			web_error(error, &question, glance->token ? "the token is not accepted" : "a token is wanted, but requires_authentication is false");
		else if (!good)
			web_error(error, &question, "the server answered %ld", answer.status);
		if (!good)
			web_answer_clear(&answer);
	}
	if (good)
		*ret_answer = answer;
	else
		error_wrap(error, "image service '%s'", glance->provider->name);
	return good;
}

/* The answer, an object; what is not there is JSON null. NULL + error */
static json_t *ask_json(struct glance *glance, const char *path, GError **error)
{
	static const long fine[] = { 404, 0 };
	struct web_answer answer;
	json_t *json = NULL;

	if (!ask(glance, "GET", path, NULL, 0, fine, &answer, error))
		return NULL;
	if (answer.status == 404)
		json = json_null();
	else if (!(json = web_answer_object(&answer)))
		error_set(error, ERR_PROVIDER_FAILURE, "image service '%s': GET %.*s: the answer is no JSON object", glance->provider->name,
			  (int)strcspn(path, "?"), path);
	web_answer_clear(&answer);
	return json;
}

/* ---- images ---- */

static const char *text(const json_t *json, const char *key)
{
	const char *value = json_string_value(json_object_get(json, key));

	return value && *value ? value : NULL;
}

static char *checksum_of(const json_t *json)
{
	const char *algorithm = text(json, "os_hash_algo"), *hash = text(json, "os_hash_value"), *md5 = text(json, "checksum");
	g_autofree char *sum = hash && algorithm ? g_strdup_printf("%s:%s", algorithm, hash) : md5 ? g_strdup_printf("md5:%s", md5) : NULL;

	/* as hosts can compute it; another algorithm does without */
	return sum && g_regex_match_simple("^(md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$", sum, 0, 0) ? g_steal_pointer(&sum) : NULL;
}

static char *name_of(const json_t *json)
{
	const char *name = text(json, "name");

	return name ? g_strndup(name, (size_t)(g_utf8_offset_to_pointer(name, MIN(g_utf8_strlen(name, -1), NAME_MAX_CHARACTERS)) - name)) : NULL;
}

/* NULL: it has no id that can be asked for, or no data */
static struct image *image_of(const json_t *json)
{
	const char *id = text(json, "id"), *format = text(json, "disk_format"), *container = text(json, "container_format");
	struct image *image;

	if (!id || !g_uuid_string_is_valid(id) || g_strcmp0(text(json, "status"), "active"))
		return NULL;
	image = record_new(&image_type);
	set_string(&image->id, id);
	image->name = name_of(json);
	if (!image->name)
		image->name = g_strdup(id);
	set_string(&image->format, format);
	set_string(&image->container, container);
	image->checksum = checksum_of(json);
	if (json_is_integer(json_object_get(json, "size")))
		SET(image, size, json_integer_value(json_object_get(json, "size")));
	SET(image, type, g_strcmp0(container, "bare") ? IMAGE_UNKNOWN : !g_strcmp0(format, "raw") || !g_strcmp0(format, "qcow2") ? IMAGE_DISK :
							 !g_strcmp0(format, "iso") ? IMAGE_ISO : IMAGE_UNKNOWN);
	return image;
}

bool glance_check(struct glance *glance, GError **error)
{
	json_t *page = ask_json(glance, "/v2/images?limit=1", error);
	bool good = json_is_array(json_object_get(page, "images"));

	if (page && !good)
		error_set(error, ERR_PROVIDER_FAILURE, "image service '%s': there is no image API of version 2 at %s", glance->provider->name, glance->base);
	json_decref(page);
	return good;
}

/* "next" is a path, behind which the service's own URL stands; not one that leads elsewhere. */
static char *next_of(const json_t *page)
{
	const char *next = text(page, "next");

	if (!next || !g_str_has_prefix(next, "/v2/images?"))
		return NULL;
	for (const char *p = next; *p; p++)
		if (*p <= ' ' || *p > '~')
			return NULL;
	return g_strdup(next);
}

GPtrArray *glance_images(struct glance *glance, GError **error)
{
	g_autoptr(GPtrArray) images = list_new();
	g_autofree char *path = g_strdup_printf("/v2/images?limit=%d&status=active&sort_key=name&sort_dir=asc", PAGE);

	while (path && images->len < GLANCE_IMAGES_MAX) {
		json_t *page = ask_json(glance, path, error), *list = json_object_get(page, "images"), *item;
		size_t i;

		if (!json_is_array(list)) {
			if (page)
				error_set(error, ERR_PROVIDER_FAILURE, "image service '%s': the answer has no images", glance->provider->name);
			json_decref(page);
			return NULL;
		}
		json_array_foreach(list, i, item) {
			struct image *image = image_of(item);

			if (image)
				g_ptr_array_add(images, image);
		}
		g_free(path);
		path = json_array_size(list) ? next_of(page) : NULL;
		json_decref(page);
	}
	return g_steal_pointer(&images);
}

/* As ask_json(). */
static json_t *about(struct glance *glance, const char *id, GError **error)
{
	g_autofree char *path = g_strconcat("/v2/images/", id, NULL);

	return g_uuid_string_is_valid(id) ? ask_json(glance, path, error) : json_null();
}

struct image *glance_image(struct glance *glance, const char *id, GError **error)
{
	json_t *json = about(glance, id, error);
	struct image *image = json ? image_of(json) : NULL;

	if (json && !image)
		error_set(error, ERR_NOT_FOUND, "image '%.128s'%s", id, json_is_null(json) ? "" : ", which is not active");
	json_decref(json);
	return image;
}

static uint64_t big_endian(const char *bytes, size_t n)
{
	uint64_t number = 0;

	for (size_t i = 0; i < n; i++)
		number = number << 8 | (unsigned char)bytes[i];
	return number;
}

static bool qcow2_size(const struct image *image, const GString *head, int64_t *ret_size, GError **error)
{
	uint64_t size;

	if (head->len < QCOW2_BYTES || memcmp(head->str, QCOW2_MAGIC, 4)) {
		error_set(error, ERR_OPERATION_FAILED, "image '%s' says that it is qcow2, which its data are not", image->id);
		return false;
	}
	if (big_endian(head->str + 8, 8)) {
		error_set(error, ERR_OPERATION_FAILED, "image '%s' is based on another image: only one that is whole can be imported", image->id);
		return false;
	}
	size = big_endian(head->str + 24, 8);
	*ret_size = (int64_t)MIN(size, INT64_MAX);
	return true;
}

bool glance_virtual_size(struct glance *glance, const struct image *image, int64_t *ret_size, GError **error)
{
	static const long fine[] = { 206, 0 };
	g_autofree char *path = g_strdup_printf("/v2/images/%s/file", image->id);
	struct web_answer answer;
	int64_t size = HAS(image, size) ? image->size : 0;
	bool good = true;

	if (!g_strcmp0(image->format, "qcow2")) {
		if (!ask(glance, "GET", path, NULL, QCOW2_BYTES, fine, &answer, error))
			return false;
		good = qcow2_size(image, answer.body, &size, error);
		web_answer_clear(&answer);
	}
	if (good && (size <= 0 || size > SIZE_MAX_BYTES)) {
		error_set(error, ERR_OPERATION_FAILED, "image '%s' is of a disk of %" PRId64 " bytes; there are none of that size", image->id, size);
		good = false;
	}
	if (good)
		*ret_size = size;
	return good;
}

/* ---- images of ours ---- */

bool glance_make(struct glance *glance, const char *id, const char *name, const char *format, GError **error)
{
	static const long fine[] = { 201, 409, 0 };            /* 409: an image has this id */
	json_t *body = json_pack("{s:s, s:s, s:s, s:s}", "id", id, "name", name, "disk_format", format, "container_format", "bare");
	struct web_answer answer;
	bool good = ask(glance, "POST", "/v2/images", body, 0, fine, &answer, error);

	json_decref(body);
	if (good)
		web_answer_clear(&answer);
	return good;
}

bool glance_is_active(struct glance *glance, const char *id, bool *ret_active, GError **error)
{
	json_t *json = about(glance, id, error);

	*ret_active = !g_strcmp0(text(json, "status"), "active");
	json_decref(json);
	return json != NULL;
}

bool glance_remove(struct glance *glance, const char *id, GError **error)
{
	static const long fine[] = { 204, 404, 0 };
	g_autofree char *path = g_strconcat("/v2/images/", id, NULL);
	struct web_answer answer;

	if (!ask(glance, "DELETE", path, NULL, 0, fine, &answer, error))
		return false;
	web_answer_clear(&answer);
	return true;
}

/* ---- for hosts ---- */

char *glance_data_url(const struct glance *glance, const char *id)
{
	return g_strdup_printf("%s/v2/images/%s/file", glance->base, id);
}

json_t *glance_data_headers(const struct glance *glance)
{
	json_t *headers = json_pack("{s:s}", "Content-Type", "application/octet-stream");

	if (glance->token)
		json_object_set_new(headers, "X-Auth-Token", json_string(glance->token));
	return headers;
}
