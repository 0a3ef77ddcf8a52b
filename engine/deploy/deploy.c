/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is done to a host over SSH, in order:
 *
 *	facts         what it is; may its user become root?
 *	authorize     the engine's own key is let in from now on, so that an upgrade needs no password
 *	package       when the host has none or another version than ours. It is checked on the host before anything is installed
 *	request       the host makes a key, which never leaves it, and asks for a certificate
 *	certificate   for the host's name and address, whatever the request says; the CA's certificate with it
 *	start         port, service, agent
 *
 * Each is one run of host.sh, which holds no state between them and may be repeated: who was cut off begins anew. An upgrade is facts, package and start; the
 * image of a rhev-h host is one step of its own.
 *
 * What is secret is the password, which goes nowhere but to the SSH server, and the engine's SSH key, which stays here. Output of hosts is not trusted: it is
 * shown as text, cut short.
 */
#include "engine/deploy/deploy.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/tls.h"
#include "engine/deploy/package.h"
#include "engine/deploy/script.h"
#include "engine/deploy/ssh.h"
#include "engine/deploy/ssh_key.h"

#define LOG_MODULE "deploy"
#define OUTPUT_MAX_BYTES 65536          /* of one step's standard output that is kept */
#define REASON_MAX 400
#define COMMON_NAME_MAX 64

struct deploy {
	const struct deploy_target *target;
	struct ssh *ssh;
	struct ssh_key *key;
	GHashTable *facts;
	bool sudo;                           /* what needs root is run through it */
};

/* ---- words ---- */

static void tell(const struct deploy *deploy, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void tell(const struct deploy *deploy, const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list arguments;

	va_start(arguments, format);
	text = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	deploy->target->told(deploy->target->data, text);
}

/* What a host says, for people: one line, printable. g_free */
static char *printable(const char *text)
{
	char *clean = g_utf8_make_valid(text, -1);

	for (char *at = clean; *at; at++)
		if (g_ascii_iscntrl(*at))
			*at = ' ';
	if (strlen(clean) > REASON_MAX) {
		char *end = g_utf8_find_prev_char(clean, clean + REASON_MAX);

		strcpy(end ? end : clean, "...");
	}
	return g_strstrip(clean);
}

/* ---- one step ---- */

struct step {
	const char *host;
	GString *output;
	char *last;                          /* line of standard error */
	int fd;                              /* its input: a file... */
	const char *text;                    /* ... or this */
	uint64_t left;
};

static void on_line(void *data, const char *line, bool is_error)
{
	struct step *step = data;
	g_autofree char *clean = printable(line);

	log_debug("host '%s': %s%s", step->host, is_error ? "! " : "", clean);
	if (is_error && *clean) {
		g_free(step->last);
		step->last = g_steal_pointer(&clean);
	} else if (!is_error && step->output->len + strlen(line) < OUTPUT_MAX_BYTES) {
		g_string_append_printf(step->output, "%s\n", line);
	}
}

static ssize_t give_input(void *data, char *buffer, size_t size, GError **error)
{
	struct step *step = data;
	size_t wanted = MIN(size, step->left);
	ssize_t n = (ssize_t)wanted;

	if (step->fd >= 0) {
		n = read(step->fd, buffer, wanted);
		if (n < 0 || (n == 0 && wanted)) {
			error_set_errno(error, ERR_OPERATION_FAILED, n < 0 ? errno : EIO, "read what is sent to host '%s'", step->host);
			return -1;
		}
	} else {
		memcpy(buffer, step->text, wanted);
		step->text += wanted;
	}
	step->left -= (uint64_t)n;
	return n;
}

/* sh -c SCRIPT berth-deploy WORD... g_free */
static char *command_line(const struct deploy *deploy, const char *const *words)
{
	GString *line = g_string_new(deploy->sudo ? "sudo -n sh -c " : "sh -c ");
	g_autofree char *script = g_shell_quote(deploy_script);

	g_string_append_printf(line, "%s berth-deploy", script);
	for (; *words; words++) {
		g_autofree char *word = g_shell_quote(*words);

		g_string_append_printf(line, " %s", word);
	}
	return g_string_free(line, FALSE);
}

/* step: its input; ret_output (may be NULL): g_free */
static bool run(const struct deploy *deploy, const char *const *words, struct step *step, char **ret_output, GError **error)
{
	const struct ssh_streams streams = { .input = give_input, .line = on_line, .data = step };
	g_autofree char *command = command_line(deploy, words);
	int status = 0;
	bool ok;

	step->host = deploy->target->name;
	step->output = g_string_new(NULL);
	ok = ssh_run(deploy->ssh, command, &streams, &status, error);
	if (ok && status) {
		if (step->last)
			error_set(error, ERR_OPERATION_FAILED, "%s", step->last);
		else
			error_set(error, ERR_OPERATION_FAILED, "step '%s' ended on the host with status %d", words[0], status);
		ok = false;
	}
	if (ok && ret_output)
		*ret_output = g_strdup(step->output->str);
	g_string_free(step->output, TRUE);
	g_free(step->last);
	return ok;
}

static bool run_text(const struct deploy *deploy, const char *const *words, const char *input, char **ret_output, GError **error)
{
	struct step step = { .fd = -1, .text = input, .left = strlen(input) };

	return run(deploy, words, &step, ret_output, error);
}

/* ---- files ---- */

/* Its size and SHA-256, as words; the file is at its begin again. */
static bool measure(int fd, const char *file, uint64_t *ret_size, char **ret_digest, GError **error)
{
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	g_autofree guchar *buffer = g_malloc(1 << 20);
	uint64_t size = 0;
	struct stat info;
	ssize_t n = -1;

	if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode))
		while ((n = read(fd, buffer, 1 << 20)) > 0) {
			g_checksum_update(sum, buffer, n);
			size += (uint64_t)n;
		}
	else
		errno = EINVAL;
	if (n < 0 || lseek(fd, 0, SEEK_SET) < 0) {
		error_set_errno(error, ERR_OPERATION_FAILED, errno, "read '%s'", file);
		return false;
	}
	*ret_size = size;
	*ret_digest = g_strdup(g_checksum_get_string(sum));
	return true;
}

/* A step whose last words are the size and the SHA-256 of the file that is its input. name: the word before; may be NULL */
static bool send_file(const struct deploy *deploy, const char *what, const char *name, const char *file, GError **error)
{
	g_autofree char *digest = NULL, *size = NULL;
	struct step step = { .fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK) };
	bool ok = step.fd >= 0;

	if (!ok)
		error_set_errno(error, ERR_OPERATION_FAILED, errno, "open '%s'", file);
	ok = ok && measure(step.fd, file, &step.left, &digest, error);
	if (ok) {
		const char *words[5] = { what };
		int n = 1;

		size = g_strdup_printf("%" G_GUINT64_FORMAT, step.left);
		if (name)
			words[n++] = name;
		words[n++] = size;
		words[n++] = digest;
		ok = run(deploy, words, &step, NULL, error);
	}
	if (step.fd >= 0)
		close(step.fd);
	return ok;
}

static bool is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	while (n > 1 && dir[n - 1] == '/')
		n--;
	return !strncmp(path, dir, n) && path[n] == '/';
}

bool deploy_image_check(const struct config *config, const char *image, GError **error)
{
	const char *dir = config_string(config, "deploy", "image_dir");
	char real[PATH_MAX], real_dir[PATH_MAX];
	struct stat info;

	/* nobody learns what is elsewhere */
	if (!is_below(image, dir) || !g_str_has_suffix(image, ".iso"))
		error_set(error, ERR_OPERATION_FAILED, "image '%s': it is not an .iso file below %s ([deploy] image_dir)", image, dir);
	else if (!realpath(dir, real_dir) || !realpath(image, real) || !is_below(real, real_dir))
		error_set(error, ERR_OPERATION_FAILED, "image '%s': there is no such file below %s ([deploy] image_dir)", image, dir);
	else if (stat(real, &info) < 0 || !S_ISREG(info.st_mode) || access(real, R_OK) < 0)
		error_set(error, ERR_OPERATION_FAILED, "image '%s': it is not a file that the engine can read", image);
	else
		return true;
	return false;
}

/* ---- steps ---- */

static void take_facts(struct deploy *deploy, const char *output)
{
	g_auto(GStrv) lines = g_strsplit(output, "\n", -1);

	for (char **line = lines; *line; line++) {
		char *equals = strchr(*line, '=');

		if (equals)
			g_hash_table_replace(deploy->facts, g_strndup(*line, (gsize)(equals - *line)), printable(equals + 1));
	}
}

static const char *fact(const struct deploy *deploy, const char *name)
{
	const char *value = g_hash_table_lookup(deploy->facts, name);

	return value ? value : "";
}

/* As who has logged in. */
static bool look(struct deploy *deploy, GError **error)
{
	g_autofree char *output = NULL;

	if (!run_text(deploy, (const char *[]){ "facts", NULL }, "", &output, error))
		return false;
	take_facts(deploy, output);
	tell(deploy, "It is a host of %s, %s, with %s%s", fact(deploy, "os"), *fact(deploy, "architecture") ? fact(deploy, "architecture") : "without dpkg",
	     *fact(deploy, "agent") ? "berth-agent " : "no agent", fact(deploy, "agent"));
	return true;
}

/* As who has logged in. */
static bool authorize(const struct deploy *deploy, GError **error)
{
	g_autofree char *line = g_strconcat(deploy->key->public_line, "\n", NULL);

	if (run_text(deploy, (const char *[]){ "authorize", NULL }, line, NULL, error))
		return true;
	error_wrap(error, "authorized_keys");
	return false;
}

static bool become_root(struct deploy *deploy)
{
	deploy->sudo = strcmp(fact(deploy, "uid"), "0") != 0;
	return true;
}

static bool put_package(const struct deploy *deploy, GError **error)
{
	autopackage package = NULL;
	g_autofree char *base = NULL;

	if (!*fact(deploy, "architecture")) {
		error_set(error, ERR_OPERATION_FAILED, "the host (%s) has no dpkg: [deploy] package is for hosts that have", fact(deploy, "os"));
		return false;
	}
	package = package_for(deploy->target->config, fact(deploy, "architecture"), error);
	if (!package)
		return false;
	if (!strcmp(fact(deploy, "agent"), package->version)) {
		tell(deploy, "Package %s %s is there already", package->name, package->version);
		return true;
	}
	tell(deploy, "Installing package %s %s", package->name, package->version);
	base = g_path_get_basename(package->file);
	if (send_file(deploy, "package", base, package->file, error)) {
		tell(deploy, "Package %s %s is installed", package->name, package->version);
		return true;
	}
	error_wrap(error, "package %s %s", package->name, package->version);
	return false;
}

static char *ca_text(const char *ca_dir, GError **error)
{
	g_autofree char *file = g_build_filename(ca_dir, "ca.pem", NULL);
	GError *own = NULL;
	char *text = NULL;

	if (!g_file_get_contents(file, &text, NULL, &own)) {
		error_set(error, ERR_OPERATION_FAILED, "%s", own->message);
		g_error_free(own);
	}
	return text;
}

static bool put_certificate(const struct deploy *deploy, GError **error)
{
	const char *ca_dir = config_string(deploy->target->config, "agent", "ca_dir");
	g_autofree char *asked = NULL, *certificate = NULL, *ca = NULL, *all = NULL, *common_name = g_strndup(deploy->target->name, COMMON_NAME_MAX);
	const struct ca_request wanted = {
		.common_name = common_name, .addresses = (const char *[]){ deploy->target->address, NULL }, .server = true, .client = true,
	};

	if (!run_text(deploy, (const char *[]){ "request", NULL }, "", &asked, error) || !ca_sign(ca_dir, &wanted, asked, &certificate, error) ||
	    !(ca = ca_text(ca_dir, error)))
		return false;
	all = g_strconcat(certificate, ca, NULL);
	if (!run_text(deploy, (const char *[]){ "certificate", NULL }, all, NULL, error))
		return false;
	tell(deploy, "It has a certificate for %s", deploy->target->address);
	return true;
}

static bool start_agent(const struct deploy *deploy, GError **error)
{
	g_autofree char *port = g_strdup_printf("%d", deploy->target->agent_port);

	if (!run_text(deploy, (const char *[]){ "start", port, NULL }, "", NULL, error))
		return false;
	tell(deploy, "The agent is started");
	return true;
}

/* ---- sequences ---- */

static void deploy_clear(struct deploy *deploy)
{
	deploy->ssh = ssh_close(deploy->ssh);
	deploy->key = ssh_key_free(deploy->key);
	g_hash_table_unref(deploy->facts);
}

static struct ssh_key *key_of(const char *data_dir, const char *engine_id, GError **error)
{
	g_autofree char *comment = g_strconcat("berth-engine-", engine_id, NULL);

	return ssh_key_load(data_dir, comment, error);
}

static bool open_host(struct deploy *deploy, char **ret_fingerprint, GError **error)
{
	const struct deploy_target *target = deploy->target;
	struct ssh_login login = {
		.address = target->address, .port = target->ssh_port, .user = target->user, .password = target->password, .fingerprint = target->fingerprint,
		.open_usec = config_int(target->config, "deploy", "connect_timeout") * G_USEC_PER_SEC,
		.silence_usec = config_int(target->config, "deploy", "silence") * G_USEC_PER_SEC,
		.end_usec = now_usec() + config_int(target->config, "deploy", "timeout") * G_USEC_PER_SEC,
	};

	deploy->key = key_of(target->data_dir, target->engine_id, error);
	if (!deploy->key)
		return false;
	login.key = deploy->key->private_pem;
	deploy->ssh = ssh_open(&login, ret_fingerprint, error);
	if (deploy->ssh)
		tell(deploy, "Connected to its SSH server at port %d, which has the key %s", target->ssh_port, *ret_fingerprint);
	return deploy->ssh && look(deploy, error);
}

bool deploy_agent(const struct deploy_target *target, char **ret_fingerprint, GError **error)
{
	struct deploy deploy = { .target = target, .facts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free) };
	g_autofree char *fingerprint = NULL;
	bool ok = config_string(target->config, "agent", "ca_dir") != NULL;

	/* before anything is changed */
	if (!ok)
		error_set(error, ERR_OPERATION_FAILED, "this engine has no key of the CA ([agent] ca_dir), so it cannot give the host a certificate");
	ok = ok && open_host(&deploy, &fingerprint, error) && authorize(&deploy, error) && become_root(&deploy) && put_package(&deploy, error) &&
	     put_certificate(&deploy, error) && start_agent(&deploy, error);
	deploy_clear(&deploy);
	if (ok)
		*ret_fingerprint = g_steal_pointer(&fingerprint);
	return ok;
}

bool deploy_upgrade(const struct deploy_target *target, char **ret_fingerprint, GError **error)
{
	struct deploy deploy = { .target = target, .facts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free) };
	g_autofree char *fingerprint = NULL;
	bool ok = open_host(&deploy, &fingerprint, error) && become_root(&deploy) && put_package(&deploy, error) && start_agent(&deploy, error);

	deploy_clear(&deploy);
	if (ok)
		*ret_fingerprint = g_steal_pointer(&fingerprint);
	return ok;
}

bool deploy_image(const struct deploy_target *target, const char *image, char **ret_fingerprint, GError **error)
{
	struct deploy deploy = { .target = target, .facts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free) };
	g_autofree char *fingerprint = NULL;
	bool ok = deploy_image_check(target->config, image, error) && open_host(&deploy, &fingerprint, error) && become_root(&deploy);

	if (ok) {
		tell(&deploy, "Copying image %s", image);
		ok = send_file(&deploy, "image", NULL, image, error);
		if (!ok)
			error_wrap(error, "image '%s'", image);
	}
	deploy_clear(&deploy);
	if (ok)
		*ret_fingerprint = g_steal_pointer(&fingerprint);
	return ok;
}

bool deploy_prepare(const struct config *config, const char *data_dir, const char *engine_id, GError **error)
{
	autosshkey key = package_is_known(config) ? key_of(data_dir, engine_id, error) : NULL;

	return key || !package_is_known(config);
}
