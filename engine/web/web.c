/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/web/web.h"

#include <curl/curl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>
#include "common/error.h"

#define CONNECT_MS 10000
#define SYSTEM_AUTHORITIES "/etc/ssl/certs"

struct exchange {
	const struct web_question *question;
	struct web_answer answer;
	bool too_much;
};

bool web_gate_enter(struct web_gate *gate, const char *server, GError **error)
{
	if (g_atomic_int_add(&gate->waiting, 1) < WEB_WAITING_MAX)
		return true;
	web_gate_leave(gate);
	error_set(error, ERR_RESOURCE_EXHAUSTED, "%s '%s': %d questions to servers of its sort wait for answers already", gate->what, server, WEB_WAITING_MAX);
	return false;
}

void web_gate_leave(struct web_gate *gate)
{
	g_atomic_int_add(&gate->waiting, -1);
}

char *web_base(const char *url)
{
	size_t n = strlen(url);

	while (n > 0 && url[n - 1] == '/')
		n--;
	return g_strndup(url, n);
}

/* The macros of jansson evaluate what they are given twice: never a call. */
json_t *web_answer_object(const struct web_answer *answer)
{
	json_t *json = json_loadb(answer->body->str, answer->body->len, JSON_REJECT_DUPLICATES, NULL);

	if (json && !json_is_object(json))
		g_clear_pointer(&json, json_decref);
	return json;
}

void web_answer_clear(struct web_answer *answer)
{
	if (answer->body)
		g_string_free(answer->body, TRUE);
	g_free(answer->token);
	*answer = (struct web_answer){ 0 };
}

void web_error(GError **error, const struct web_question *question, const char *format, ...)
{
	g_autofree char *what = NULL;
	va_list arguments;

	va_start(arguments, format);
	what = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	error_set(error, ERR_PROVIDER_FAILURE, "%s %.*s: %s", question->method, (int)strcspn(question->url, "?"), question->url, what);
}

static size_t on_body(char *bytes, size_t one, size_t n, void *data)
{
	struct exchange *exchange = data;
	GString *body = exchange->answer.body;
	size_t wanted = exchange->question->first;

	if (!wanted && n > WEB_ANSWER_MAX - body->len) {
		exchange->too_much = true;
		return 0;
	}
	g_string_append_len(body, bytes, (gssize)(wanted ? MIN(n, wanted - body->len) : n));
	return wanted && body->len == wanted ? 0 : n;
}

static size_t on_header(char *bytes, size_t one, size_t n, void *data)
{
	static const char name[] = "X-Subject-Token:";
	struct exchange *exchange = data;

	if (n >= sizeof(name) && !g_ascii_strncasecmp(bytes, name, sizeof(name) - 1)) {
		g_free(exchange->answer.token);
		exchange->answer.token = g_strstrip(g_strndup(bytes + sizeof(name) - 1, n - sizeof(name) + 1));
	}
	return n;
}

static void start_library(void)
{
	(void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

static void set_trust(CURL *curl, const struct config *config)
{
	const char *ca = config_string(config, "agent", "ca");

	if (!ca)
		ca = config_string(config, "http", "ca");
	curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(curl, CURLOPT_CAPATH, SYSTEM_AUTHORITIES);
	if (access(ca, R_OK) == 0)
		curl_easy_setopt(curl, CURLOPT_CAINFO, ca);
}

static struct curl_slist *set_request(CURL *curl, const struct web_question *question, const char *body)
{
	struct curl_slist *headers = curl_slist_append(NULL, "Accept: application/json");
	g_autofree char *token = question->token ? g_strconcat("X-Auth-Token: ", question->token, NULL) : NULL;
	g_autofree char *range = question->first ? g_strdup_printf("0-%zu", question->first - 1) : NULL;

	if (token)
		headers = curl_slist_append(headers, token);
	if (body) {
		headers = curl_slist_append(headers, "Content-Type: application/json");
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
	}
	if (range)
		curl_easy_setopt(curl, CURLOPT_RANGE, range);
	if (question->user) {
		curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		curl_easy_setopt(curl, CURLOPT_USERNAME, question->user);
		curl_easy_setopt(curl, CURLOPT_PASSWORD, question->password);
	}
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, question->method);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	return headers;
}

static CURLcode perform(struct engine *engine, CURL *curl, struct exchange *exchange, int64_t left_usec, char *text)
{
	const struct web_question *question = exchange->question;
	char *body = question->body ? json_dumps(question->body, JSON_COMPACT) : NULL;
	struct curl_slist *headers = set_request(curl, question, body);
	CURLcode code;

	curl_easy_setopt(curl, CURLOPT_URL, question->url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(left_usec / 1000 + 1));
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)MIN(left_usec / 1000 + 1, CONNECT_MS));
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, text);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, exchange);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, exchange);
	set_trust(curl, engine->config);
	code = curl_easy_perform(curl);
	(void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &exchange->answer.status);
	curl_slist_free_all(headers);
	if (body)
		memset(body, 0, strlen(body));
	free(body);
	return code;
}

bool web_ask(struct engine *engine, const struct web_question *question, int64_t until_usec, struct web_answer *ret_answer, GError **error)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct exchange exchange = { .question = question, .answer.body = g_string_new(NULL) };
	int64_t left_usec = until_usec - now_usec();
	char text[CURL_ERROR_SIZE] = "";
	CURLcode code = CURLE_OPERATION_TIMEDOUT;
	CURL *curl;

	pthread_once(&once, start_library);
	curl = curl_easy_init();
	if (!curl)
		code = CURLE_OUT_OF_MEMORY;
	else if (left_usec > 0)
		code = perform(engine, curl, &exchange, left_usec, text);
	curl_easy_cleanup(curl);
	if (code == CURLE_WRITE_ERROR && question->first && exchange.answer.body->len == question->first)
		code = CURLE_OK;
	if (code == CURLE_OK) {
		*ret_answer = exchange.answer;
		return true;
	}
	if (code == CURLE_OPERATION_TIMEDOUT)
		error_set(error, ERR_TIMEOUT, "%s %.*s: no answer in time", question->method, (int)strcspn(question->url, "?"), question->url);
	else if (exchange.too_much)
		web_error(error, question, "the answer has more than %d bytes", WEB_ANSWER_MAX);
	else
		web_error(error, question, "%s", *text ? text : curl_easy_strerror(code));
	web_answer_clear(&exchange.answer);
	return false;
}
