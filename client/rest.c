/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to the engine over libcurl. One connection, kept open between the requests of one command. */
#include "client/rest.h"
#include "common/error.h"
#include "common/record.h"
#include <ctype.h>
#include <curl/curl.h>
#include <string.h>

#define BODY_MAX (256 * 1024 * 1024)
#define CONNECT_SECONDS 20L

struct rest {
	CURL *curl;
	const struct session *session;
};

struct reply {
	GString *body;
	struct rest_answer *answer;
};

struct rest *rest_new(const struct session *session, double timeout_s, GError **error)
{
	struct rest *rest;
	CURL *curl;

	curl_global_init(CURL_GLOBAL_DEFAULT);
	curl = curl_easy_init();
	if (!curl) {
		error_set(error, ERR_GENERAL, "libcurl cannot be used");
		return NULL;
	}
	rest = g_new0(struct rest, 1);
	rest->curl = curl;
	rest->session = session;
	rest_limit(rest, timeout_s);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https,http");
	curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "");
	curl_easy_setopt(curl, CURLOPT_TCP_NODELAY, 1L);
	if (session->ca)
		curl_easy_setopt(curl, CURLOPT_CAINFO, session->ca);
	return rest;
}

void rest_limit(struct rest *rest, double timeout_s)
{
	curl_easy_setopt(rest->curl, CURLOPT_TIMEOUT_MS, MAX(1L, (long)(timeout_s * 1000)));
}

struct rest *rest_free(struct rest *rest)
{
	if (rest) {
		curl_easy_cleanup(rest->curl);
		g_free(rest);
	}
	return NULL;
}

const struct session *rest_session(const struct rest *rest)
{
	return rest->session;
}

void rest_answer_clear(struct rest_answer *answer)
{
	g_free(answer->body);
	g_free(answer->content_type);
	g_free(answer->cookie);
	g_free(answer->etag);
	g_free(answer->location);
	g_free(answer->warning);
	json_decref(answer->json);
	memset(answer, 0, sizeof(*answer));
}

static size_t on_body(char *bytes, size_t size, size_t n, void *data)
{
	struct reply *reply = data;

	if (reply->body->len + size * n > BODY_MAX)
		return 0;
	g_string_append_len(reply->body, bytes, (gssize)(size * n));
	return size * n;
}

/* The value of header `name` in one line, or NULL. */
static char *header_value(const char *line, size_t length, const char *name)
{
	size_t n = strlen(name);

	if (length <= n || line[n] != ':' || g_ascii_strncasecmp(line, name, n) != 0)
		return NULL;
	return g_strstrip(g_strndup(line + n + 1, length - n - 1));
}

static void take_header(char **member, char *value)
{
	if (value) {
		g_free(*member);
		*member = value;
	}
}

static size_t on_header(char *line, size_t size, size_t n, void *data)
{
	struct reply *reply = data;
	size_t length = size * n;
	g_autofree char *cookie = header_value(line, length, "Set-Cookie");

	take_header(&reply->answer->content_type, header_value(line, length, "Content-Type"));
	take_header(&reply->answer->etag, header_value(line, length, "ETag"));
	take_header(&reply->answer->location, header_value(line, length, "Location"));
	take_header(&reply->answer->warning, header_value(line, length, "Warning"));
	if (cookie && g_str_has_prefix(cookie, "JSESSIONID=")) {
		cookie[strcspn(cookie, ";")] = 0;
		take_header(&reply->answer->cookie, g_strdup(cookie + strlen("JSESSIONID=")));
	}
	return length;
}

static struct curl_slist *add_header(struct curl_slist *list, const char *name, const char *value)
{
	g_autofree char *line = g_strdup_printf("%s: %s", name, value);

	return curl_slist_append(list, line);
}

/* Why there was no answer at all, and what to do about it. */
static void set_transport_error(const struct rest *rest, CURLcode code, const char *detail, GError **error)
{
	const char *why = *detail ? detail : curl_easy_strerror(code), *hint;

	switch (code) {
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
		hint = "name the engine's CA with `berth login --ca FILE` or ENGINE_CA";
		break;
	case CURLE_COULDNT_RESOLVE_HOST:
		hint = "name the engine with `berth login --url URL` or ENGINE_URL";
		break;
	case CURLE_OPERATION_TIMEDOUT:
		hint = "try again, or with a larger --timeout";
		break;
	default:
		hint = "is the engine running, and this its port?";
	}
	g_set_error(error, BERTH_ERROR, code == CURLE_OPERATION_TIMEDOUT ? ERR_TIMEOUT : ERR_NO_CONNECTION, "%s: %s; %s", rest->session->url, why, hint);
}

static const char *text_member(const json_t *json, const char *name)
{
	const char *text = json_string_value(json_object_get(json, name));

	return text && *text ? text : NULL;
}

/* What kind of error a fault is: by its reason, which is the text of the error table, else by the status. */
static int code_of(const struct rest_answer *answer, const char *reason)
{
	static const int told[] = { ERR_UNKNOWN_MEMBER, ERR_INCOMPLETE, ERR_BAD_VALUE };

	for (size_t i = 0; reason && i < G_N_ELEMENTS(told); i++)
		if (strcmp(reason, error_info(told[i])->text) == 0)
			return told[i];
	return answer->status == 404 ? ERR_NOT_FOUND : answer->status == 504 ? ERR_TIMEOUT : ERR_OPERATION_FAILED;
}

char *rest_bare_detail(const char *detail)
{
	size_t n = strlen(detail);

	return *detail == '[' && detail[n - 1] == ']' ? g_strndup(detail + 1, n - 2) : g_strdup(detail);
}

/* A fault, or whatever else came with a bad status, as one line. */
static void set_fault(const struct rest *rest, const struct rest_answer *answer, GError **error)
{
	const char *reason, *detail, *url = rest->session->url;
	const json_t *fault = json_object_get(answer->json, "fault");
	g_autofree char *why = NULL;

	if (answer->status == 401) {
		if (rest->session->password)
			g_set_error(error, BERTH_ERROR, ERR_UNAUTHORIZED, "%s refuses user '%s' or the password", url, rest->session->user);
		else
			g_set_error(error, BERTH_ERROR, ERR_UNAUTHORIZED, "the session on %s has ended: run `berth login` again", url);
		return;
	}
	if (!fault)
		fault = answer->json;
	reason = text_member(fault, "reason");
	detail = text_member(fault, "detail");
	why = detail ? rest_bare_detail(detail) : g_strdup(reason);
	if (!why)
		g_set_error(error, BERTH_ERROR, code_of(answer, NULL), "%s answers HTTP status %ld and no reason: is it the engine's API?", url,
			    answer->status);
	else if (reason && strcmp(why, reason) != 0 && strcmp(reason, error_info(ERR_OPERATION_FAILED)->text) != 0)
		g_set_error(error, BERTH_ERROR, code_of(answer, reason), "%s: %s", reason, why);
	else
		g_set_error(error, BERTH_ERROR, code_of(answer, reason), "%s", why);
}

bool rest_request_full(struct rest *rest, const char *method, const char *path, const json_t *body, unsigned flags, const char *etag,
		       struct rest_answer *ret, GError **error)
{
	g_autofree char *url = g_strconcat(rest->session->url, path, NULL), *cookie = NULL;
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL, detail[CURL_ERROR_SIZE] = "";
	struct curl_slist *headers = NULL;
	struct rest_answer answer = { 0 };
	struct reply reply = { .body = g_string_new(NULL), .answer = &answer };
	const struct session *session = rest->session;
	bool persistent = (session->cookie || (flags & REST_OPEN_SESSION)) && !(flags & REST_CLOSE_SESSION);
	CURL *curl = rest->curl;
	CURLcode code;

	headers = add_header(headers, "Accept", flags & REST_XML ? "application/xml" : "application/json");
	headers = add_header(headers, "Prefer", persistent ? "persistent-auth, handling=strict" : "handling=strict");
	headers = curl_slist_append(headers, flags & REST_EXPECT_CREATED ? "Expect: 201-created" : "Expect:");
	if (etag)
		headers = add_header(headers, "If-None-Match", etag);
	if (text)
		headers = add_header(headers, "Content-Type", "application/json");
	if (session->cookie)
		cookie = g_strconcat("JSESSIONID=", session->cookie, NULL);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_COOKIE, cookie);
	curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
	if (text) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)strlen(text));
	}
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	if (session->password) {
		curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		curl_easy_setopt(curl, CURLOPT_USERNAME, session->user);
		curl_easy_setopt(curl, CURLOPT_PASSWORD, session->password);
	}
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &reply);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, &reply);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
	code = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer.status);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, NULL);
	curl_slist_free_all(headers);
	free(text);
	answer.body = g_string_free(reply.body, FALSE);
	if (code != CURLE_OK) {
		rest_answer_clear(&answer);
		set_transport_error(rest, code, detail, error);
		return false;
	}
	if (answer.content_type && strstr(answer.content_type, "json"))
		answer.json = json_loads(answer.body, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	if (answer.status >= 400) {
		set_fault(rest, &answer, error);
		rest_answer_clear(&answer);
		return false;
	}
	*ret = answer;
	return true;
}

bool rest_request(struct rest *rest, const char *method, const char *path, const json_t *body, struct rest_answer *ret, GError **error)
{
	return rest_request_full(rest, method, path, body, /* flags= */ 0, /* etag= */ NULL, ret, error);
}

const char *rest_below_base(const struct rest *rest, const char *href)
{
	const char *authority = strstr(rest->session->url, "://"), *base = authority ? strchr(authority + 3, '/') : NULL;
	size_t n = base ? strlen(base) : 0;

	return base && href && strncmp(href, base, n) == 0 && href[n] == '/' ? href + n : NULL;
}

char *rest_search_path(const char *collection_path, const char *query, long max)
{
	g_autofree char *escaped = query ? g_uri_escape_string(query, "*", /* allow_utf8= */ FALSE) : NULL;
	g_autofree char *limit = max > 0 ? g_strdup_printf(";max=%ld", max) : g_strdup("");

	return g_strconcat(collection_path, limit, escaped ? "?search=" : "", escaped ? escaped : "", NULL);
}
