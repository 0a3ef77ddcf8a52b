/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An HTTP client for one image at a time, by libcurl: one request, one connection, on the calling worker.
 *
 * How long the body is must be known before its first byte is taken, or an answer that is cut off would pass for a whole one: the server's Content-Length,
 * else X-Image-Meta-Size (OpenStack Glance), as vdsm has it (lib/vdsm/storage/imageSharing.py), else what the caller knows. Where several of them are
 * known they must agree.
 *
 * Redirects are not followed: the caller's headers hold tokens, which are for the server he named and no other. Any status but 200 (GET) or 2xx (PUT) is
 * a failure. A server is given up when nothing came or went for [transfer] idle seconds, however long the whole takes. Certificates are checked against
 * the system's authorities and the agent's own CA, which has signed what other hosts' image services show.
 *
 * Secrets: headers and the URL's user, password and query go to the server and nowhere else. There is no process to be seen, libcurl's own log is off, and
 * messages have web_name(). The environment's proxy variables hold, as for any program of curl's.
 */
#define LOG_MODULE "transfer"
#include "agent/storage/transfer/web.h"
#include <curl/curl.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>
#include "common/config.h"
#include "common/error.h"

#define CONNECT_S 30
#define BUFFER_BYTES (512 * 1024)
#define SYSTEM_AUTHORITIES "/etc/ssl/certs"

struct exchange {
	const struct web_request *request;
	CURL *curl;
	struct curl_slist *headers;
	const char *method;
	char *name;
	int64_t size, done;              /* of the body; size -1: not known yet */
	bool only_size;
	bool (*take)(void *data, const char *bytes, size_t n, GError **error);
	ssize_t (*give)(void *data, int64_t offset, char *to, size_t n, GError **error);
	void *data;
	GError *cause;                   /* what our side says of it; then libcurl's word does not count */
	char text[CURL_ERROR_SIZE];
};

/* ---- what may be asked ---- */

static bool refuse(GError **error, const char *what)
{
	error_set(error, ERR_INVALID_PARAMETER_EXCEPTION, "methodArgs: %s", what);
	return false;
}

/* RFC 9110: a token; and not what says where the body ends, which is not the caller's to say. */
static bool is_header_name(const char *name)
{
	static const char letters[] = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

	return *name && strspn(name, letters) == strlen(name) && g_ascii_strcasecmp(name, "Content-Length") && g_ascii_strcasecmp(name, "Transfer-Encoding");
}

static bool has_control(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return true;
	return false;
}

/* curl_url_cleanup() */
static CURLU *parse(const char *url)
{
	CURLU *parsed = curl_url();

	if (parsed && !has_control(url) && curl_url_set(parsed, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK)
		return parsed;
	curl_url_cleanup(parsed);
	return NULL;
}

bool web_check(const char *url, const json_t *headers, GError **error)
{
	CURLU *parsed = parse(url);
	char *scheme = NULL;
	const char *name;
	json_t *value;
	bool good = parsed && curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK && (!strcmp(scheme, "http") || !strcmp(scheme, "https"));

	curl_free(scheme);
	curl_url_cleanup(parsed);
	if (!good)
		return refuse(error, "url: not of the form http://server/path or https://server/path");
	if (headers && !json_is_object(headers))
		return refuse(error, "headers: not an object of names and texts");
	json_object_foreach((json_t *)headers, name, value)
		if (!is_header_name(name) || !json_is_string(value) || has_control(json_string_value(value))) {
			g_autofree char *shown = g_strescape(name, NULL);

			error_set(error, ERR_INVALID_PARAMETER_EXCEPTION, "methodArgs: headers: '%.64s' is no header that can be set, or its value is no text", shown);
			return false;
		}
	return true;
}

char *web_name(const char *url)
{
	static const CURLUPart secrets[] = { CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_OPTIONS, CURLUPART_QUERY, CURLUPART_FRAGMENT };
	CURLU *parsed = parse(url);
	char *text = NULL, *name;

	for (size_t i = 0; parsed && i < G_N_ELEMENTS(secrets); i++)
		(void)curl_url_set(parsed, secrets[i], NULL, 0);
	name = g_strdup(parsed && curl_url_get(parsed, CURLUPART_URL, &text, 0) == CURLUE_OK ? text : "?");
	curl_free(text);
	curl_url_cleanup(parsed);
	return name;
}

/* ---- one exchange ---- */

static bool failed(struct exchange *x, enum error_code code, const char *format, ...) G_GNUC_PRINTF(3, 4);
static bool failed(struct exchange *x, enum error_code code, const char *format, ...)
{
	g_autofree char *what = NULL;
	va_list arguments;

	va_start(arguments, format);
	what = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	if (!x->cause)
		error_set(&x->cause, code, "%s %s: %s", x->method, x->name, what);
	return false;
}

/* What the header says; -1: it is not there, or is no number. */
static int64_t header_number(CURL *curl, const char *name)
{
	struct curl_header *header;
	guint64 number;

	if (curl_easy_header(curl, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK ||
	    !g_ascii_string_to_unsigned(header->value, 10, 0, INT64_MAX, &number, NULL))
		return -1;
	return (int64_t)number;
}

/* The headers of the answer are there: is it one, and how long? */
static bool begin(struct exchange *x)
{
	int64_t wanted = x->request->length, said;
	curl_off_t length = -1;
	long status = 0;

	(void)curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &status);
	(void)curl_easy_getinfo(x->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	if (status != 200)
		return failed(x, ERR_COPY_IMAGE_ERROR, "the server answered %ld", status);
	said = length >= 0 ? length : header_number(x->curl, "X-Image-Meta-Size");
	if (said < 0 && !wanted)
		return failed(x, ERR_COPY_IMAGE_ERROR, "the server does not say how long the image is, nor does contentLength");
	if (said == 0)
		return failed(x, ERR_COPY_IMAGE_ERROR, "the image is empty");
	if (said > 0 && wanted && said != wanted)
		return failed(x, ERR_COPY_IMAGE_ERROR, "the image has %" PRId64 " bytes, not %" PRId64, said, wanted);
	x->size = said > 0 ? said : wanted;
	return true;
}

static size_t on_body(char *bytes, size_t one, size_t n, void *data)
{
	struct exchange *x = data;

	if (!x->take && !x->only_size)
		return n;                        /* what a PUT is answered with */
	if ((x->size < 0 && !begin(x)) || x->only_size)
		return 0;
	if ((int64_t)n > x->size - x->done) {
		failed(x, ERR_COPY_IMAGE_ERROR, "more than the %" PRId64 " bytes that were announced", x->size);
		return 0;
	}
	if (!x->take(x->data, bytes, n, &x->cause))
		return 0;
	x->done += (int64_t)n;
	return n;
}

static size_t on_read(char *to, size_t one, size_t n, void *data)
{
	struct exchange *x = data;
	ssize_t got = x->give(x->data, x->done, to, (size_t)MIN((int64_t)n, x->size - x->done), &x->cause);

	if (got < 0)
		return CURL_READFUNC_ABORT;
	x->done += got;
	return (size_t)got;
}

/* A server that wants the body again, from its beginning. */
static int on_seek(void *data, curl_off_t offset, int origin)
{
	struct exchange *x = data;

	if (origin != SEEK_SET)
		return CURL_SEEKFUNC_CANTSEEK;
	x->done = offset;
	return CURL_SEEKFUNC_OK;
}

/* At least once a second. */
static int on_progress(void *data, curl_off_t down, curl_off_t downloaded, curl_off_t up, curl_off_t uploaded)
{
	const struct exchange *x = data;

	if (!x->only_size && x->size > 0)
		job_progress(x->request->job, (int)((double)x->done / (double)x->size * 100));
	return job_canceled(x->request->job);
}

static bool judge(struct exchange *x, CURLcode code, GError **error)
{
	long status = 0;

	(void)curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &status);
	if (job_canceled(x->request->job)) {
		g_clear_error(&x->cause);
		failed(x, ERR_TASK_ABORTED, "canceled");
	} else if (x->cause || (x->only_size && x->size > 0))
		;
	else if (code == CURLE_HTTP_RETURNED_ERROR)
		failed(x, ERR_COPY_IMAGE_ERROR, "the server answered %ld", status);
	else if (code == CURLE_OPERATION_TIMEDOUT)
		failed(x, ERR_TIMEOUT, "%s", x->text);
	else if (code == CURLE_PARTIAL_FILE || (code == CURLE_OK && x->size > 0 && x->done < x->size))
		failed(x, ERR_COPY_IMAGE_ERROR, "it ended after %" PRId64 " of %" PRId64 " bytes", x->done, x->size);
	else if (code != CURLE_OK)
		failed(x, status || x->done ? ERR_COPY_IMAGE_ERROR : ERR_NO_CONNECTION, "%s", *x->text ? x->text : curl_easy_strerror(code));
	else if (x->give && (status < 200 || status > 299))
		failed(x, ERR_COPY_IMAGE_ERROR, "the server answered %ld", status);
	else if (!x->give && x->size < 0)
		(void)begin(x);                  /* no body came: says why that is wrong */
	if (!x->cause)
		return true;
	g_propagate_error(error, g_steal_pointer(&x->cause));
	return false;
}

static void start_library(void)
{
	(void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

static void set_headers(struct exchange *x)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)x->request->headers, name, value) {
		const char *text = json_string_value(value);
		g_autofree char *line = *text ? g_strdup_printf("%s: %s", name, text) : g_strconcat(name, ";", NULL);      /* ";": an empty value */

		x->headers = curl_slist_append(x->headers, line);
	}
	curl_easy_setopt(x->curl, CURLOPT_HTTPHEADER, x->headers);
}

static void set_trust(const struct exchange *x)
{
	const struct config *config = x->request->agent->config;
	const char *ca = config_string(config, "tls", "ca");

	curl_easy_setopt(x->curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(x->curl, CURLOPT_CAPATH, SYSTEM_AUTHORITIES);
	if (access(ca, R_OK) == 0)
		curl_easy_setopt(x->curl, CURLOPT_CAINFO, ca);
}

static bool perform(struct exchange *x, GError **error)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	CURL *curl;
	bool good;

	pthread_once(&once, start_library);
	if (!(x->curl = curl = curl_easy_init())) {
		error_set(error, ERR_RESOURCE_EXHAUSTED, "no memory for libcurl");
		return false;
	}
	x->name = web_name(x->request->url);
	curl_easy_setopt(curl, CURLOPT_URL, x->request->url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, MIN((long)CONNECT_S, (long)config_int(x->request->agent->config, "transfer", "idle")));
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)config_int(x->request->agent->config, "transfer", "idle"));
	curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, (long)BUFFER_BYTES);
	curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, (long)BUFFER_BYTES);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, x->text);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, x);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, x);
	if (x->give) {
		curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)x->size);
		curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
		curl_easy_setopt(curl, CURLOPT_READDATA, x);
		curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, on_seek);
		curl_easy_setopt(curl, CURLOPT_SEEKDATA, x);
	}
	set_trust(x);
	set_headers(x);
	good = judge(x, curl_easy_perform(curl), error);
	curl_easy_cleanup(curl);
	curl_slist_free_all(x->headers);
	g_free(x->name);
	return good;
}

bool web_size(const struct web_request *request, int64_t *ret_size, GError **error)
{
	struct exchange x = { .request = request, .method = "GET", .size = -1, .only_size = true };

	if (!perform(&x, error))
		return false;
	*ret_size = x.size;
	return true;
}

bool web_get(const struct web_request *request, bool (*take)(void *data, const char *bytes, size_t n, GError **error), void *data, GError **error)
{
	struct exchange x = { .request = request, .method = "GET", .size = -1, .take = take, .data = data };

	return perform(&x, error);
}

bool web_put(const struct web_request *request, ssize_t (*give)(void *data, int64_t offset, char *to, size_t n, GError **error), void *data, GError **error)
{
	struct exchange x = { .request = request, .method = "PUT", .size = request->length, .give = give, .data = data };

	return perform(&x, error);
}
