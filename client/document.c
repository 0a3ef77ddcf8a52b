/* SPDX-License-Identifier: Apache-2.0 */
#include "client/rest.h"
#include "common/record.h"
#include <string.h>
#include <glib/gstdio.h>

#define GROUP "document"
#define CACHE_SECONDS 600

struct copy { const char *file, *info_file; };

/* The copy when it is of this engine; ret_fresh: it need not be asked about. */
static xmlDoc *copy_read(const struct copy *copy, const char *url, char **ret_etag, bool *ret_fresh)
{
	g_autoptr(GKeyFile) info = g_key_file_new();
	g_autofree char *of = NULL, *text = NULL;
	gsize length;
	gint64 age;

	if (!g_key_file_load_from_file(info, copy->info_file, G_KEY_FILE_NONE, NULL))
		return NULL;
	of = g_key_file_get_string(info, GROUP, "url", NULL);
	if (g_strcmp0(of, url) != 0 || !g_file_get_contents(copy->file, &text, &length, NULL))
		return NULL;
	*ret_etag = g_key_file_get_string(info, GROUP, "etag", NULL);
	age = g_get_real_time() / G_USEC_PER_SEC - g_key_file_get_int64(info, GROUP, "time", NULL);
	*ret_fresh = !*ret_etag && age >= 0 && age <= CACHE_SECONDS;
	return xml_parse(text, length, NULL);
}

/* Not being able to keep a copy is no failure: the next command asks again. */
static void copy_write(const struct copy *copy, const char *url, const struct rest_answer *answer)
{
	g_autofree char *directory = g_path_get_dirname(copy->file), *text = NULL;
	g_autoptr(GKeyFile) info = g_key_file_new();

	g_key_file_set_string(info, GROUP, "url", url);
	if (answer->etag)
		g_key_file_set_string(info, GROUP, "etag", answer->etag);
	g_key_file_set_int64(info, GROUP, "time", g_get_real_time() / G_USEC_PER_SEC);
	text = g_key_file_to_data(info, NULL, NULL);
	if (g_mkdir_with_parents(directory, 0700) == 0 && g_file_set_contents(copy->file, answer->body, -1, NULL))
		(void)g_file_set_contents(copy->info_file, text, -1, NULL);
}

void documents_forget(void)
{
	static const char *const names[] = { "rsdl", "schema" };

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *name = g_strconcat(names[i], ".info", NULL), *info_file = session_file(name);

		g_unlink(info_file);
	}
}

xmlDoc *document_load(struct rest *rest, const char *name, bool offline, GError **error)
{
	g_autofree char *xml = g_strconcat(name, ".xml", NULL), *ini = g_strconcat(name, ".info", NULL), *path = g_strconcat("?", name, NULL);
	g_autofree char *file = session_file(xml), *info_file = session_file(ini), *etag = NULL;
	struct copy copy = { file, info_file };
	struct rest_answer answer = { 0 };
	bool fresh = false;
	xmlDoc *old = copy_read(&copy, rest_session(rest)->url, &etag, &fresh), *doc = NULL;

	if (old && (offline || fresh))
		return old;
	if (rest_request_full(rest, "GET", path, NULL, REST_XML, old ? etag : NULL, &answer, error)) {
		if (answer.status == 304) {
			doc = g_steal_pointer(&old);
		} else {
			doc = xml_parse(answer.body, strlen(answer.body), error);
			if (doc)
				copy_write(&copy, rest_session(rest)->url, &answer);
		}
	}
	xmlFreeDoc(old);
	rest_answer_clear(&answer);
	return doc;
}
