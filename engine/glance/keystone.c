/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/glance/keystone.h"

#include <string.h>
#include "common/error.h"
#include "engine/web/web.h"

/* POST /v3/auth/tokens: the answer's header has the token */
static json_t *order_3(const struct image_provider *provider)
{
	return json_pack("{s:{s:{s:[s], s:{s:{s:s, s:s, s:{s:s}}}}, s:{s:{s:s, s:{s:s}}}}}", "auth", "identity", "methods", "password", "password", "user",
			 "name", provider->username, "password", provider->password, "domain", "name", provider->user_domain, "scope", "project", "name",
			 provider->tenant_name, "domain", "name", provider->project_domain);
}

/* POST /v2.0/tokens: the answer's body has it */
static json_t *order_2(const struct image_provider *provider)
{
	return json_pack("{s:{s:s, s:{s:s, s:s}}}", "auth", "tenantName", provider->tenant_name, "passwordCredentials", "username", provider->username,
			 "password", provider->password);
}

static char *token_in(const GString *body)
{
	json_t *answer = json_loadb(body->str, body->len, 0, NULL);
	char *token = g_strdup(json_string_value(json_object_get(json_object_get(json_object_get(answer, "access"), "token"), "id")));

	json_decref(answer);
	return token;
}

/* It becomes a header of other requests. */
static bool is_token(const char *token)
{
	for (const char *p = token; p && *p; p++)
		if (*p <= ' ' || *p > '~')
			return false;
	return token && *token;
}

char *keystone_token(struct engine *engine, const struct image_provider *provider, int64_t until_usec, GError **error)
{
	g_autofree char *base = web_base(provider->authentication_url);
	bool v3;
	json_t *body;
	g_autofree char *url = NULL;
	char *token = NULL;
	struct web_question question;
	struct web_answer answer = { 0 };

	v3 = g_str_has_suffix(base, "/v3");
	url = g_strconcat(base, v3 ? "/auth/tokens" : "/tokens", NULL);
	body = v3 ? order_3(provider) : order_2(provider);
	question = (struct web_question){ .method = "POST", .url = url, .body = body };
	if (web_ask(engine, &question, until_usec, &answer, error)) {
		bool good = answer.status == (v3 ? 201 : 200);

		token = !good ? NULL : v3 ? g_steal_pointer(&answer.token) : token_in(answer.body);
		if (answer.status == 401)
			web_error(error, &question, "user '%s' and his password are not accepted", provider->username);
		else if (!good)
			web_error(error, &question, "the server answered %ld", answer.status);
		else if (!is_token(token)) {
			web_error(error, &question, "the answer has no token");
			g_clear_pointer(&token, g_free);
		}
	}
	web_answer_clear(&answer);
	json_decref(body);
	return token;
}
