/* SPDX-License-Identifier: Apache-2.0 */
/*
 * berth host: one verb of one agent, in the manner of vdsm-client.
 *
 * Namespaces, verbs, parameters, their help and completion come from the table of verbs. Names are checked before anything is sent; values of
 * name=value are turned into what the table says (a number, a boolean, JSON), only ids go out as they are: whether one exists is the agent's
 * to say. One request is sent and its answer printed.
 */
#include "client/client.h"
#include "client/table.h"
#include "common/error.h"
#include "proto/channel.h"
#include "proto/jsonrpc.h"
#include "proto/verb.h"
#include <errno.h>
#include <math.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>

#define PKI_DIR "/etc/pki/berth/"
#define SHOWN_ARGS_MAX 4096          /* bytes of the arguments that an error shows */
#define BEAT_MS 24000                /* what vdsm-client asks the agent for */

static bool help, insecure;
static const char *host, *port, *ca, *cert, *key, *flow_id, *timeout, *file;

static const struct cli_option host_options[] = {
	{ "host", 'a', "HOST", "name or address of the agent (AGENT_HOST, else localhost)", .text = &host },
	{ "port", 'p', "PORT", "its port (AGENT_PORT, else 54321)", .text = &port },
	{ "ca", 0, "FILE", "CA that signed its certificate (AGENT_CA, else " PKI_DIR "ca.pem)", .text = &ca },
	{ "cert", 0, "FILE", "our certificate (AGENT_CERT, else " PKI_DIR "client.pem)", .text = &cert },
	{ "key", 0, "FILE", "its key (AGENT_KEY, else " PKI_DIR "client.key)", .text = &key },
	{ "insecure", 0, NULL, "plain TCP instead of TLS; agents take it on loopback only, when told to", .flag = &insecure },
	{ "flow-id", 0, "ID", "id that marks the request in the agent's log", .text = &flow_id },
	{ "timeout", 0, "SECONDS", "limit for the connection, and again for the answer (60)", .text = &timeout },
	{ "file", 'f', "FILE", "parameters as a JSON object; - is standard input", .text = &file },
	{ "help", 'h', NULL, "explain namespaces, a namespace's verbs, or a verb's parameters", .flag = &help },
};

/* ---- help from the table ---- */

static bool in_namespace(const struct verb *verb, const char *namespace)
{
	size_t n = strlen(namespace);

	return strncmp(verb->name, namespace, n) == 0 && verb->name[n] == '.';
}

/* The namespaces in the order of the table. */
static GPtrArray *namespaces(void)
{
	GPtrArray *found = g_ptr_array_new_with_free_func(g_free);
	const struct verb *verb;

	for (size_t i = 0; (verb = verb_nth(i)); i++) {
		g_autofree char *name = g_strndup(verb->name, strcspn(verb->name, "."));

		if (!g_ptr_array_find_with_equal_func(found, name, g_str_equal, NULL))
			g_ptr_array_add(found, g_steal_pointer(&name));
	}
	return found;
}

static const char *kind_name(const struct field *field)
{
	static const char *const names[FIELD_KIND_MAX] = {
		[FIELD_STRING] = "text", [FIELD_UUID] = "uuid", [FIELD_BOOL] = "true|false", [FIELD_INT] = "number", [FIELD_LONG] = "number",
		[FIELD_DECIMAL] = "number", [FIELD_ENUM] = "one of", [FIELD_TIME] = "time", [FIELD_REF] = "id", [FIELD_STRINGS] = "a,b,c",
		[FIELD_LIST] = "JSON array", [FIELD_RECORD] = "JSON object", [FIELD_JSON] = "JSON",
	};

	return names[field->kind];
}

static void fields_help(const struct record_type *type, int indent)
{
	for (size_t i = 0; i < type->n_fields; i++) {
		const struct field *field = &type->fields[i];

		if (field->flags & ALIAS)
			continue;
		printf("%*s%s (%s", indent, "", field->path, kind_name(field));
		if (field->kind == FIELD_ENUM)
			for (int j = 0; field->names[j]; j++)
				printf("%s%s", j ? ", " : " ", field->names[j]);
		if (field->unit)
			printf(", %s", field->unit);
		if (field->flags & REQUIRED)
			fputs(", required", stdout);
		if (field->def)
			printf(", default %s", field->def);
		printf(")\n%*s%s\n", indent + 4, "", field->doc);
		if (field->item && indent < 12)
			fields_help(field->item, indent + 4);
	}
}

static void verb_help(const struct verb *verb)
{
	g_autofree char *name = g_strdup(verb->name);

	*strchr(name, '.') = ' ';
	printf("usage: berth host [OPTION...] %s%s\n\n%s.\n", name, verb->params ? " [NAME=VALUE | JSON]..." : "", verb->doc);
	if (verb->params) {
		puts("\nParameters:");
		fields_help(verb->params, 2);
	}
	printf("\nResult: %s\n", verb->returns ? verb->returns : "true");
	if (verb->errors) {
		g_auto(GStrv) codes = g_strsplit(verb->errors, " ", -1);

		puts("\nErrors:");
		for (char **code = codes; *code; code++)
			if (**code) {
				const struct error_info *info = error_info(atoi(*code));

				printf("  %-6s %s\n", *code, info->text);
			}
	}
}

static void namespace_help(const char *namespace)
{
	const struct verb *verb;

	printf("usage: berth host [OPTION...] %s VERB [NAME=VALUE | JSON]...\n\nVerbs:\n", namespace);
	for (size_t i = 0; (verb = verb_nth(i)); i++)
		if (in_namespace(verb, namespace))
			printf("  %-24s %s\n", verb->name + strlen(namespace) + 1, verb->doc);
}

static void overview(void)
{
	g_autoptr(GPtrArray) names = namespaces();

	puts("usage: berth host [OPTION...] NAMESPACE VERB [NAME=VALUE | JSON]...\n\nCall a verb of an agent. The result is JSON.\n\nNamespaces:");
	for (guint i = 0; i < names->len; i++)
		printf("  %s\n", (const char *)names->pdata[i]);
	options_help(stdout, host_options, G_N_ELEMENTS(host_options));
	puts("\n`berth host NAMESPACE -h` lists verbs, `berth host NAMESPACE VERB -h` explains parameters.");
}

/* ---- arguments ---- */

static int unknown_name(const struct verb *verb, const char *name)
{
	g_autoptr(GPtrArray) known = g_ptr_array_new();
	g_autofree char *list = NULL, *meant = NULL;

	for (size_t i = 0; verb->params && i < verb->params->n_fields; i++)
		if (!(verb->params->fields[i].flags & ALIAS))
			g_ptr_array_add(known, (char *)verb->params->fields[i].path);
	list = joined(known);
	meant = did_you_mean(name, known);
	return usage_error("%s has no parameter '%s'%s it takes %s", verb->name, name, meant, known->len ? list : "none");
}

/* The one parameter that must be given, when there is just one */
static const char *sole_parameter(const struct verb *verb)
{
	const char *sole = NULL;

	for (size_t i = 0; verb->params && i < verb->params->n_fields; i++)
		if (verb->params->fields[i].flags & REQUIRED) {
			if (sole)
				return NULL;
			sole = verb->params->fields[i].path;
		}
	return sole;
}

/* The names of a JSON object: on the first level by hand, so that all is well said; below by the records, strictly. */
static int check_names(const struct verb *verb, const json_t *args)
{
	struct record_input input = { .dialect = RECORD_CHANNEL, .strict = true };
	g_autoptr(GError) error = NULL;
	const char *name;
	json_t *value;
	void *record;

	json_object_foreach((json_t *)args, name, value)
		if (!verb->params || !record_field(verb->params, name))
			return unknown_name(verb, name);
	if (!verb->params)
		return 0;
	record = record_from_json(verb->params, args, &input, &error);
	record_unref(record);
	record_input_clear(&input);
	/* wrong values are the agent's to judge: it may be newer than we are */
	if (error_is(error, ERR_UNKNOWN_MEMBER))
		return usage_error("%s: %s", verb->name, error->message);
	return 0;
}

static int take_pair(const struct verb *verb, json_t *args, const char *word)
{
	const char *equals = strchr(word, '=');
	g_autofree char *name = NULL;
	g_autoptr(GError) error = NULL;
	const struct field *field;
	json_t *one;
	void *record;

	if (!equals && sole_parameter(verb))
		return usage_error("%s: '%s' is neither NAME=VALUE nor a JSON object; did you mean %s=%s?", verb->name, word, sole_parameter(verb), word);
	if (!equals || equals == word)
		return usage_error("%s: '%s' is neither NAME=VALUE nor a JSON object", verb->name, word);
	name = g_strndup(word, (gsize)(equals - word));
	field = verb->params ? record_field(verb->params, name) : NULL;
	if (!field)
		return unknown_name(verb, name);
	if (!g_utf8_validate(equals + 1, -1, NULL))
		return usage_error("%s: %s: the value is not UTF-8", verb->name, name);
	if (field->kind == FIELD_UUID || field->kind == FIELD_STRING) {
		json_object_set_new(args, name, json_string(equals + 1));
		return 0;
	}
	record = record_new(verb->params);
	if (!record_set_text(record, field, equals + 1, &error)) {
		record_unref(record);
		return usage_error("%s", error->message);
	}
	one = record_to_json(record, RECORD_CHANNEL);
	record_unref(record);
	json_object_update(args, one);
	json_decref(one);
	return 0;
}

static int take_object(const struct verb *verb, json_t *args, const char *text, size_t length, const char *what)
{
	g_autoptr(GError) error = NULL;
	json_t *object = json_parse(text, length, &error);
	int status;

	if (!object)
		return usage_error("%s: %s", what, error->message);
	if (!json_is_object(object)) {
		json_decref(object);
		return usage_error("%s: parameters must be a JSON object", what);
	}
	status = check_names(verb, object);
	if (status == 0)
		json_object_update(args, object);
	json_decref(object);
	return status;
}

static char *read_all(FILE *in, gsize *ret_length)
{
	GString *text = g_string_new(NULL);
	char buffer[8192];
	size_t n;

	while ((n = fread(buffer, 1, sizeof(buffer), in)) > 0 && text->len <= CHANNEL_BODY_MAX)
		g_string_append_len(text, buffer, (gssize)n);
	*ret_length = text->len;
	return g_string_free(text, FALSE);
}

static int take_file(const struct verb *verb, json_t *args, const char *name)
{
	g_autofree char *text = NULL;
	bool is_stdin = strcmp(name, "-") == 0;
	FILE *in = is_stdin ? stdin : fopen(name, "re");
	gsize length;

	if (!in)
		return usage_error("--file '%s': %s", name, g_strerror(errno));
	text = read_all(in, &length);
	if (ferror(in)) {
		int errnum = errno;

		if (!is_stdin)
			fclose(in);
		return usage_error("--file '%s': %s", name, g_strerror(errnum));
	}
	if (!is_stdin)
		fclose(in);
	return take_object(verb, args, text, length, name);
}

static int take_arguments(const struct verb *verb, GPtrArray *words, json_t *args)
{
	struct record_input input = { .dialect = RECORD_CHANNEL };
	g_autoptr(GError) error = NULL;
	int status = 0;
	void *record;

	if (file && words->len > 2)
		return usage_error("--file and arguments exclude each other: put all parameters into the file");
	if (file)
		status = take_file(verb, args, file);
	for (guint i = 2; i < words->len && status == 0; i++) {
		const char *word = words->pdata[i];

		status = *word == '{' ? take_object(verb, args, word, strlen(word), "argument") : take_pair(verb, args, word);
	}
	if (status || !verb->params)
		return status;
	/* wrong values are the agent's to judge, missing ones need no agent */
	record = record_from_json(verb->params, args, &input, NULL);
	if (record && !record_check_required(record, verb->name, /* more= */ NULL, &error))
		status = usage_error("%s; `berth help host %.*s %s` explains it", error->message, (int)strcspn(verb->name, "."), verb->name,
				     strchr(verb->name, '.') + 1);
	record_unref(record);
	record_input_clear(&input);
	return status;
}

/* ---- the call ---- */

struct exchange {
	struct loop *loop;
	struct channel *channel;
	const char *method;
	char *args;                  /* JSON text */
	int64_t timeout_usec;
	json_t *result;
	GError *error;               /* of the connection, when `sent` is false, else of the call */
	bool sent, lost;
};

static void answered(const json_t *result, const GError *error, void *data)
{
	struct exchange *exchange = data;

	if (error)
		exchange->error = exchange->error ? exchange->error : g_error_copy(error);
	else
		exchange->result = json_deep_copy(result);
	loop_stop(exchange->loop);
}

static void on_up(struct channel *channel, void *data)
{
	struct exchange *exchange = data;

	exchange->sent = true;
	channel_call(channel, exchange->method, exchange->args, flow_id, exchange->timeout_usec, answered, exchange);
}

static void on_down(struct channel *channel, const GError *error, void *data)
{
	struct exchange *exchange = data;

	if (!exchange->error && !exchange->result) {
		if (error)
			exchange->error = g_error_copy(error);
		else
			error_set(&exchange->error, ERR_NO_CONNECTION, "the agent closed the connection");
	}
	exchange->lost = true;
	loop_stop(exchange->loop);
}

static const struct channel_events events = { .up = on_up, .down = on_down };

/* The name the certificate must have. On loopback the chain is enough, as with vdsm-client: certificates name what others call a host. */
static const char *checked_name(const char *name, const struct sockaddr *address)
{
	const struct sockaddr_in6 *in6 = (const void *)address;
	const struct sockaddr_in *in = (const void *)address;

	if (address->sa_family == AF_INET && ntohl(in->sin_addr.s_addr) >> 24 == 127)
		return NULL;
	if (address->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr))
		return NULL;
	return name;
}

static void try_address(struct exchange *exchange, const struct addrinfo *address, struct tls_context *tls)
{
	struct channel_settings settings = {
		.loop = exchange->loop, .address = address->ai_addr, .address_length = address->ai_addrlen, .tls = tls,
		.name = tls ? checked_name(host, address->ai_addr) : NULL, .connect_usec = exchange->timeout_usec, .want_beat_ms = BEAT_MS,
		.events = &events, .data = exchange,
	};

	g_clear_error(&exchange->error);
	exchange->channel = channel_open(&settings, &exchange->error);
	if (!exchange->channel)
		return;
	loop_run(exchange->loop);
	exchange->channel = channel_free(exchange->channel);
}

static int no_connection(const char *reason, const char *hint)
{
	complain("Connection to %s:%s with use_tls=%s, timeout=%s failed: %s; %s", host, port, insecure ? "False" : "True", timeout, reason, hint);
	return EXIT_FAILED;
}

static int no_answer(const struct exchange *exchange, const struct verb *verb, const json_t *args)
{
	g_autoptr(GString) shown = g_string_new(NULL);

	jsonrpc_write_python(shown, args, SHOWN_ARGS_MAX);
	if (error_is(exchange->error, ERR_MESSAGE_TIMEOUT))
		complain("Command %s with args %s failed: Request %s with args %s timed out after %s seconds", verb->name, shown->str, verb->name,
			 shown->str, timeout);
	else if (exchange->lost || error_is(exchange->error, ERR_NO_CONNECTION))
		complain("Command %s with args %s failed: %s", verb->name, shown->str, exchange->error->message);
	else
		complain("Command %s with args %s failed:\n(code=%d, message=%s)", verb->name, shown->str, exchange->error->code, exchange->error->message);
	return EXIT_FAILED;
}

static int call(const struct verb *verb, const json_t *args, int64_t timeout_usec)
{
	struct tls_settings tls_settings = { .ca_file = ca, .cert_file = cert, .key_file = key };
	struct exchange exchange = { .method = verb->name, .timeout_usec = timeout_usec };
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *addresses = NULL;
	g_autoptr(GString) text = g_string_new(NULL);
	g_autoptr(GError) error = NULL;
	struct tls_context *tls = NULL;
	int status = 0, rc;

	if (!insecure && !(tls = tls_context_new(&tls_settings, &error))) {
		complain("%s; say where they are with --ca, --cert and --key, or AGENT_CA, AGENT_CERT and AGENT_KEY", error->message);
		return EXIT_FAILED;
	}
	rc = getaddrinfo(host, port, &hints, &addresses);
	if (rc != 0) {
		tls_context_free(tls);
		return no_connection(gai_strerror(rc), "name the agent with --host or AGENT_HOST");
	}
	json_write(text, args);
	exchange.args = text->str;
	exchange.loop = loop_new();
	for (const struct addrinfo *a = addresses; a && !exchange.sent && !exchange.result; a = a->ai_next)
		try_address(&exchange, a, tls);
	freeaddrinfo(addresses);
	if (exchange.result)
		json_print(stdout, exchange.result);
	else if (!exchange.sent)
		status = no_connection(exchange.error ? exchange.error->message : "no address",
				       error_is(exchange.error, ERR_TLS_FAILED) ? "do --ca, --cert and --key fit this agent?" : "is berth-agent running there?");
	else
		status = no_answer(&exchange, verb, args);
	json_decref(exchange.result);
	g_clear_error(&exchange.error);
	loop_free(exchange.loop);
	tls_context_free(tls);
	return status;
}

/* ---- command ---- */

static void from_environment(const char **value, const char *name, const char *otherwise)
{
	const char *set;

	if (*value)
		return;
	set = g_getenv(name);
	*value = set && *set ? set : otherwise;
}

static bool settings_complete(int64_t *ret_timeout_usec)
{
	char *end;
	double seconds;
	long number;

	from_environment(&host, "AGENT_HOST", "localhost");
	from_environment(&port, "AGENT_PORT", "54321");
	from_environment(&ca, "AGENT_CA", PKI_DIR "ca.pem");
	from_environment(&cert, "AGENT_CERT", PKI_DIR "client.pem");
	from_environment(&key, "AGENT_KEY", PKI_DIR "client.key");
	if (!timeout)
		timeout = "60";
	if (!option_number("port", port, 1, 65535, &number))
		return false;
	seconds = g_ascii_strtod(timeout, &end);
	if (end == timeout || *end || !isfinite(seconds) || seconds <= 0 || seconds > 1e6) {
		(void)usage_error("--timeout '%s': not a number of seconds above 0", timeout);
		return false;
	}
	*ret_timeout_usec = (int64_t)(seconds * 1e6);
	return true;
}

static const struct verb *find_verb(const char *namespace, const char *name)
{
	g_autofree char *full = g_strconcat(namespace, ".", name, NULL);

	return verb_find(full);
}

static bool namespace_exists(const char *namespace)
{
	const struct verb *verb;

	for (size_t i = 0; (verb = verb_nth(i)); i++)
		if (in_namespace(verb, namespace))
			return true;
	return false;
}

static int unknown_verb(const char *namespace, const char *name)
{
	g_autoptr(GPtrArray) known = g_ptr_array_new();
	g_autofree char *meant = NULL;

	for (size_t i = 0; verb_nth(i); i++)
		if (in_namespace(verb_nth(i), namespace))
			g_ptr_array_add(known, (char *)verb_nth(i)->name + strlen(namespace) + 1);
	meant = did_you_mean(name, known);
	return usage_error("host: %s has no verb '%s'%s `berth host %s -h` lists them", namespace, name, meant, namespace);
}

int host_main(int argc, char **argv)
{
	g_autoptr(GPtrArray) words = g_ptr_array_new();
	const char *namespace, *name;
	const struct verb *verb;
	int64_t timeout_usec;
	json_t *args;
	int status;

	if (!options_parse(host_options, G_N_ELEMENTS(host_options), "host", argc, argv, words))
		return EXIT_USAGE;
	if (!words->len && help) {
		overview();
		return 0;
	}
	if (!words->len)
		return usage_error("host: name a namespace and a verb: `berth host VM getStats vmID=...`; `berth host -h` lists them");
	namespace = words->pdata[0];
	if (!namespace_exists(namespace)) {
		g_autoptr(GPtrArray) known = namespaces();
		g_autofree char *list = joined(known), *meant = NULL;

		if (verb_find(namespace))
			return usage_error("host: two words: berth host %.*s %s", (int)strcspn(namespace, "."), namespace, strchr(namespace, '.') + 1);
		meant = did_you_mean(namespace, known);
		return usage_error("host: there is no namespace '%s'%s there are %s", namespace, meant, list);
	}
	if (words->len < 2 && help) {
		namespace_help(namespace);
		return 0;
	}
	if (words->len < 2)
		return usage_error("host: which verb of %s? `berth host %s -h` lists them", namespace, namespace);
	name = words->pdata[1];
	verb = find_verb(namespace, name);
	if (!verb)
		return unknown_verb(namespace, name);
	if (help) {
		verb_help(verb);
		return 0;
	}
	if (!settings_complete(&timeout_usec))
		return EXIT_USAGE;
	args = json_object();
	status = take_arguments(verb, words, args);
	if (status == 0)
		status = call(verb, args, timeout_usec);
	json_decref(args);
	return status;
}

/* "name=", or its values where they are listed and it stands there already */
static void complete_field(const struct field *field, const char *word, GPtrArray *ret)
{
	static const char *const truth[] = { "true", "false", NULL };
	const char *const *values = field->kind == FIELD_BOOL ? truth : field->kind == FIELD_ENUM ? field->names : NULL;
	g_autofree char *start = g_strconcat(field->path, "=", NULL);

	if (!g_str_has_prefix(word, start))
		g_ptr_array_add(ret, g_steal_pointer(&start));
	for (; start && values && *values; values++)
		g_ptr_array_add(ret, g_strconcat(start, *values, NULL));
}

void host_complete(GPtrArray *words, GPtrArray *ret)
{
	g_autoptr(GPtrArray) plain = options_skip(host_options, G_N_ELEMENTS(host_options), words);
	const char *last = words->pdata[words->len - 1];
	const struct verb *verb;

	if (*last == '-') {
		options_complete(host_options, G_N_ELEMENTS(host_options), ret);
		return;
	}
	if (plain->len <= 1) {
		g_autoptr(GPtrArray) names = namespaces();

		for (guint i = 0; i < names->len; i++)
			g_ptr_array_add(ret, g_strdup(names->pdata[i]));
		return;
	}
	if (plain->len == 2) {
		for (size_t i = 0; (verb = verb_nth(i)); i++)
			if (in_namespace(verb, plain->pdata[0]))
				g_ptr_array_add(ret, g_strdup(verb->name + strlen(plain->pdata[0]) + 1));
		return;
	}
	verb = find_verb(plain->pdata[0], plain->pdata[1]);
	for (size_t i = 0; verb && verb->params && i < verb->params->n_fields; i++)
		if (!(verb->params->fields[i].flags & ALIAS))
			complete_field(&verb->params->fields[i], last, ret);
}
