/* SPDX-License-Identifier: Apache-2.0 */
/*
 * berth-engine: reads its configuration, makes the rooms from the bottom up, serves until it is told to end, and takes them down in reverse.
 *
 *	SIGTERM, SIGINT   no new connections; what is being served is answered (at most STOP_USEC); the store is closed last
 *	SIGHUP            certificates are read again; connections that are open keep theirs
 *	SIGUSR1           the flight recorder is written to standard error
 *
 * Ready means: the store is loaded, the ports are open, interrupted flows are taken up again. Said to a service manager through NOTIFY_SOCKET.
 */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/error.h"
#include "common/log.h"
#include "common/service.h"
#include "engine/api/api.h"
#include "engine/api/host_install.h"
#include "engine/auth/auth.h"
#include "engine/auth/ldap.h"
#include "engine/deploy/deploy.h"
#include "engine/deploy/ssh.h"
#include "engine/engine.h"
#include "engine/fleet/fleet.h"
#include "engine/fleet/kdump.h"
#include "engine/flow/balancer.h"
#include "engine/flow/flow.h"
#include "engine/flow/host_evacuation.h"
#include "engine/flow/host_policy.h"
#include "engine/flow/storage_pool.h"
#include "engine/flow/vm_limits.h"
#include "engine/http/http.h"
#include "engine/model/model.h"
#include "engine/store/store.h"
#include "engine/tool.h"

#ifndef BERTH_VERSION
#define BERTH_VERSION "0.1.0"
#endif

#define LOG_MODULE "main"
#define EVENT_ENGINE_START 1               /* texts as the guide's appendix C has them: clients compare */
#define EVENT_ENGINE_STOP 2
#define STOP_USEC (5 * (int64_t)G_USEC_PER_SEC)
#define CONFIG_FILE "/etc/berth/engine.conf"

/* What is left to be done for a host waits until it is up. */
static void host_is_up(struct engine *engine, const char *host_id)
{
	flow_take_up(engine, host_id);
	storage_pool_host_up(engine, host_id);
	host_policy_push(engine, host_id);
	vm_limits_host_up(engine, host_id);
}

static const struct option options[] = {
	{ "engine", "data_dir", OPTION_PATH, "/var/lib/berth-engine", 0, 0,
	  "Directory of the password hashes, and of the database unless store names another place." },
	{ "engine", "store", OPTION_STRING, NULL, 0, 0,
	  "Where the database is: sqlite:FILE, or postgresql://USER@HOST/DATABASE?PARAMETERS as PostgreSQL's libpq has it. A password does not belong here but "
	  "into the file named by the parameter passfile. Unset: sqlite:DATA_DIR/engine.db." },
	{ "engine", "store_timeout", OPTION_INT, "10", 1, 600,
	  "Seconds that a database on a server may take to answer; then changes fail (503) until it answers again." },
	{ "engine", "log_level", OPTION_STRING, "info", 0, 0, "What goes to standard error: error, warn, info, debug or trace." },
	{ "engine", "workers", OPTION_INT, "64", 2, 1000, "Threads at most for work that may wait." },
	{ "http", "address", OPTION_STRING, "::", 0, 0, "Address to listen on; '::' is every address of both families." },
	{ "http", "port", OPTION_INT, "8443", 0, 65535, "Port of the REST API (HTTPS). 0: any." },
	{ "http", "plain_port", OPTION_INT, "0", 0, 65535, "Port of plain HTTP, which only serves /ca.crt and leads to HTTPS. 0: none." },
	{ "http", "cert", OPTION_PATH, "/etc/pki/berth/engine.pem", 0, 0, "Certificate of the REST API, PEM." },
	{ "http", "key", OPTION_PATH, "/etc/pki/berth/engine.key", 0, 0, "Key of that certificate, PEM." },
	{ "http", "ca", OPTION_PATH, "/etc/pki/berth/ca.pem", 0, 0, "Certificate of the CA, served as /ca.crt." },
	{ "http", "max_connections", OPTION_INT, "2000", 10, 100000,
	  "Open connections at most. Beyond, a newcomer takes the place of the one that waits for its client for longest." },
	{ "http", "header_timeout", OPTION_INT, "30", 1, 3600, "Seconds that a client may take for a request's headers." },
	{ "http", "body_timeout", OPTION_INT, "60", 1, 3600, 
	  "Seconds without a byte of a request's body, or of an answer being taken, before the connection is ended." },
	{ "http", "idle_timeout", OPTION_INT, "120", 1, 86400, "Seconds that a connection may be kept open between requests." },
	{ "http", "action_retention", OPTION_INT, "3600", 1, 604800, "Seconds that ended actions and creations can be asked for." },
	{ "auth", "admin_password_file", OPTION_PATH, NULL, 0, 0,
	  "File whose first line is the password of admin@internal. Read at start; only a hash is kept. Without it and without an earlier password one is "
	  "drawn and left in data_dir/initial-password." },
	{ "auth", "domains_dir", OPTION_PATH, "/etc/berth/domains", 0, 0,
	  "Directory with a file NAME.conf for each LDAP domain, see berth-domain.conf(5). It need not exist." },
	{ "auth", "session_timeout", OPTION_INT, "30", 1, 525600, "Minutes without a request after which a session ends." },
	{ "agent", "ca", OPTION_PATH, NULL, 0, 0, "CA that the agents' certificates must be of, PEM. Unset: that of [http]." },
	{ "agent", "cert", OPTION_PATH, NULL, 0, 0, "The engine's own certificate towards the agents, PEM; a client's. Unset: that of [http]." },
	{ "agent", "key", OPTION_PATH, NULL, 0, 0, "Key of that certificate, PEM. Unset: that of [http]." },
	{ "agent", "ca_dir", OPTION_PATH, NULL, 0, 0,
	  "Directory of that CA, ca.pem and ca.key as `berth pki init` makes them and the engine may read them, for the action enrollcertificate of hosts. "
	  "Unset: the action is refused." },
	{ "agent", "verify_names", OPTION_BOOL, "true", 0, 0, "An agent's certificate must name the address that the host was added with." },
	{ "agent", "ask", OPTION_INT, "5", 1, 3600, "Seconds of silence after which an agent is asked for a sign of life." },
	{ "agent", "connecting_after", OPTION_INT, "10", 1, 3600, "Seconds of silence after which a host is shown as connecting." },
	{ "agent", "non_responsive_after", OPTION_INT, "60", 1, 86400, "Seconds of silence after which a host is shown as non_responsive." },
	{ "agent", "fence_quiet", OPTION_INT, "180", 0, 86400, "Seconds between two changes of a host's power." },
	{ "agent", "kdump_port", OPTION_INT, "7410", 0, 65535,
	  "UDP port on which hosts tell that their kernel has crashed and saves its memory (fence_kdump). 0: none." },
	{ "agent", "kdump_finished", OPTION_INT, "60", 1, 86400, "Seconds without such a message after which the dump is taken to be over." },
	{ "storage", "io_timeout", OPTION_INT, "10", 1, 120,
	  "Seconds that one access to the locks of shared storage may take, for pools made from now on. A host that lost its storage is taken to be dead after "
	  "8 times this and a minute." },
	{ "storage", "manager_check", OPTION_INT, "10", 1, 3600, "Seconds between two looks at the manager of each pool of shared storage." },
	{ "storage", "master_lost_after", OPTION_INT, "300", 1, 86400,
	  "Seconds that no host sees the master domain of a data center before another data domain takes its place." },
	{ "sched", "balance_period", OPTION_INT, "15", 1, 3600, "Seconds between two looks at the load of the hosts, for the clusters' scheduling policies." },
	{ "deploy", "package", OPTION_LIST, "", 0, 0,
	  "The agent's packages that hosts get over SSH when they are added, installed or upgraded: files NAME_VERSION_ARCHITECTURE.deb of one version, one for each "
	  "architecture. Needs [agent] ca_dir. None: hosts bring their agent, and are only taken over." },
	{ "deploy", "image_dir", OPTION_PATH, "/usr/share/rhev-hypervisor", 0, 0, "Below it are the images (.iso) that rhev-h hosts are installed from." },
	{ "deploy", "connect_timeout", OPTION_INT, "20", 1, 600, "Seconds that connecting and logging in to a host's SSH server may take." },
	{ "deploy", "silence", OPTION_INT, "60", 8, 3600, "Seconds after which a host's SSH server that sends nothing is given up." },
	{ "deploy", "timeout", OPTION_INT, "900", 10, 86400, "Seconds that all that is done over SSH to one host may take." },
	{ "deploy", "start_timeout", OPTION_INT, "60", 1, 3600, "Seconds in which the agent must answer after it was installed." },
	{ "foreman", "timeout", OPTION_INT, "20", 1, 600, "Seconds that an external host provider may take to answer a request, all pages of a list together." },
	{ "glance", "timeout", OPTION_INT, "20", 1, 600, "Seconds that an image service and its Keystone may take to answer a request, all pages of a list together." },
};

struct program {
	struct engine engine;
	struct config *config;
	char *data_dir;
	struct tls_context *tls;
	struct http_server *http, *plain;
	struct timer *stop_timer;
	struct kdump *kdump;
	int64_t stop_at;
	bool failed;                         /* it ends because it cannot go on */
};

static struct store_settings store_settings(const struct program *program)
{
	return (struct store_settings) {
		.data_dir = program->data_dir,
		.where = config_string(program->config, "engine", "store"),
		.timeout_usec = config_int(program->config, "engine", "store_timeout") * G_USEC_PER_SEC,
	};
}

/* ---- signals ---- */

static void stop_if_done(void *data)
{
	struct program *program = data;
	unsigned open = http_server_connections(program->http) + (program->plain ? http_server_connections(program->plain) : 0);
	if (open == 0 || now_usec() >= program->stop_at)
		loop_stop(program->engine.loop);
	else
		timer_set(program->stop_timer, 20000);
}

static void on_stop(void *data)
{
	struct program *program = data;
	if (program->stop_at)
		return;
	log_info("ending");
	service_notify("STOPPING=1");
	program->stop_at = now_usec() + STOP_USEC;
	http_server_drain(program->http);
	if (program->plain)
		http_server_drain(program->plain);
	program->stop_timer = timer_new(program->engine.loop, stop_if_done, program);
	timer_set(program->stop_timer, 1);
}

/* ---- a database on a server ---- */

/* What was broken off goes on, and what could not be noted is noted. */
static void on_store_back(void *data)
{
	struct engine *engine = data;
	flow_take_up_broken(engine);
	fleet_tell_again(engine->fleet);
}

/* What this engine knows is no longer so: start anew. */
static void on_store_taken(void *data)
{
	struct program *program = data;
	program->failed = true;
	on_stop(program);
}

static void on_store_news(enum store_news news, void *data)
{
	struct program *program = data;
	if (news == STORE_BACK)
		loop_post(program->engine.loop, on_store_back, &program->engine, NULL);
	else
		loop_post(program->engine.loop, on_store_taken, program, NULL);
}

static void on_reload(void *data)
{
	struct program *program = data;
	GError *for_clients = NULL, *for_agents = NULL;
	bool both = tls_context_reload(program->tls, &for_clients);
	both = fleet_reload(program->engine.fleet, &for_agents) && both;
	if (both)
		log_info("certificates were read again");
	if (for_clients)
		log_error("the old certificates stay in use: %s", for_clients->message);
	if (for_agents)
		log_error("towards agents the old certificates stay in use: %s", for_agents->message);
	g_clear_error(&for_clients);
	g_clear_error(&for_agents);
}

static void on_dump(void *data)
{
	char *text = log_dump();
	fputs(text, stderr);
	g_free(text);
}

/* ---- start ---- */

static bool make_data_dir(const char *dir, GError **error)
{
	if (g_mkdir_with_parents(dir, 0700) != 0) {
		error_set_errno(error, ERR_IO_FAILED, errno, "[engine] data_dir '%s'", dir);
		return false;
	}
	return true;
}

static bool open_ports(struct program *program, GError **error)
{
	const struct config *config = program->config;
	const struct tls_settings tls = {
		.cert_file = config_string(config, "http", "cert"),
		.key_file = config_string(config, "http", "key"),
		.server = true,
	};
	program->tls = tls_context_new(&tls, error);
	if (!program->tls)
		return false;
	struct http_settings http = {
		.loop = program->engine.loop,
		.address = config_string(config, "http", "address"),
		.port = (uint16_t)config_int(config, "http", "port"),
		.tls = program->tls,
		.max_connections = (unsigned)config_int(config, "http", "max_connections"),
		.header_usec = config_int(config, "http", "header_timeout") * G_USEC_PER_SEC,
		.body_usec = config_int(config, "http", "body_timeout") * G_USEC_PER_SEC,
		.idle_usec = config_int(config, "http", "idle_timeout") * G_USEC_PER_SEC,
		.serve = api_serve,
		.data = program->engine.api,
	};
	program->http = http_server_new(&http, error);
	if (!program->http)
		return false;
	api_set_secure_port(program->engine.api, http_server_port(program->http));
	log_info("REST API on port %u", http_server_port(program->http));
	if (config_int(config, "http", "plain_port") > 0) {
		http.port = (uint16_t)config_int(config, "http", "plain_port");
		http.tls = NULL;
		http.serve = api_serve_plain;
		program->plain = http_server_new(&http, error);
		if (!program->plain)
			return false;
	}
	return true;
}

/* Who may come in is said by the store. */
static bool open_doors(struct engine *engine, struct auth_settings *settings, GError **error)
{
	settings->model = engine->model;
	settings->store = engine->store;
	engine->auth = auth_new(settings, error);
	return engine->auth;
}

/* Without it the engine does all else. */
static void listen_for_dumps(struct program *program)
{
	g_autoptr(GError) error = NULL;

	program->kdump = kdump_new(&program->engine, &error);
	if (error)
		log_warn("crash dumps of hosts will not be noticed: %s", error->message);
}

static bool start(struct program *program, GError **error)
{
	struct engine *engine = &program->engine;
	const struct config *config = program->config;
	struct auth_settings auth = {
		.data_dir = program->data_dir,
		.admin_password_file = config_string(config, "auth", "admin_password_file"),
		.domains_dir = config_string(config, "auth", "domains_dir"),
		.session_idle_usec = config_int(config, "auth", "session_timeout") * 60 * G_USEC_PER_SEC,
	};
	const struct api_settings api = {
		.ca_file = config_string(config, "http", "ca"),
		.retention_usec = config_int(config, "http", "action_retention") * G_USEC_PER_SEC,
	};
	engine->config = config;
	engine->data_dir = program->data_dir;
	engine->started_usec = now_usec();
	engine->loop = loop_new();
	engine->lanes = lane_pool_new((unsigned)config_int(config, "engine", "workers"));
	engine->model = model_new();
	const struct store_settings store = store_settings(program);
	if (!make_data_dir(program->data_dir, error) || !(engine->store = store_open(&store, engine->model, error)) ||
	    !open_doors(engine, &auth, error) || !(engine->fleet = fleet_new(engine, error)) || !(engine->api = api_new(engine, &api, error)) ||
	    !open_ports(program, error) || !deploy_prepare(config, engine->data_dir, store_engine_id(engine->store), error))
		return false;
	fleet_on_host_up(engine->fleet, host_is_up);
	store_listen(engine->store, on_store_news, program);
	fleet_on_host_unfit(engine->fleet, vms_flee);
	fleet_on_host_lost(engine->fleet, storage_manager_host_lost);
	store_event(engine->store, EVENT_ENGINE_START, NULL, NULL, "Starting oVirt Engine.");
	host_install_settle(engine);
	fleet_start(engine->fleet);
	listen_for_dumps(program);
	flow_resume_all(engine);
	storage_manager_begin(engine);
	engine->balancer = balancer_new(engine);
	return true;
}

static void end(struct program *program)
{
	struct engine *engine = &program->engine;
	bool served = program->http != NULL;
	program->stop_timer = timer_free(program->stop_timer);
	program->http = http_server_free(program->http);
	program->plain = http_server_free(program->plain);
	if (engine->auth)
		auth_stop(engine->auth);
	if (engine->store)
		store_listen(engine->store, NULL, NULL);
	storage_manager_end(engine);
	balancer_stop(engine->balancer);
	ssh_stop();
	engine->lanes = lane_pool_free(engine->lanes, STOP_USEC);
	engine->balancer = balancer_free(engine->balancer);
	program->kdump = kdump_free(program->kdump);
	engine->fleet = fleet_free(engine->fleet);
	engine->loop = loop_free(engine->loop);
	engine->api = api_free(engine->api);
	engine->auth = auth_free(engine->auth);
	if (served)
		store_event(engine->store, EVENT_ENGINE_STOP, NULL, NULL, "Stopping oVirt Engine.");
	engine->store = store_close(engine->store);
	engine->model = model_free(engine->model);
	program->tls = tls_context_free(program->tls);
	program->config = config_free(program->config);
	g_clear_pointer(&program->data_dir, g_free);
}

static int serve(struct program *program)
{
	GError *error = NULL;
	enum log_level level = log_level_from_name(config_string(program->config, "engine", "log_level"));
	if (level == LOG_LEVEL_INVALID) {
		fprintf(stderr, "berth-engine: [engine] log_level=%s is not a level\n", config_string(program->config, "engine", "log_level"));
		return EXIT_FAILURE;
	}
	log_set_level(NULL, level);
	log_dump_on_crash();
	umask(027);
	/* what belongs to a user of the machine (ldap.conf, LDAPRC) is not ours */
	setenv("LDAPNOINIT", "1", 1);
	signal(SIGPIPE, SIG_IGN);
	if (!start(program, &error)) {
		fprintf(stderr, "berth-engine: %s\n", error->message);
		g_error_free(error);
		end(program);
		return EXIT_FAILURE;
	}
	struct loop *loop = program->engine.loop;
	loop_on_signal(loop, SIGTERM, on_stop, program);
	loop_on_signal(loop, SIGINT, on_stop, program);
	loop_on_signal(loop, SIGHUP, on_reload, program);
	loop_on_signal(loop, SIGUSR1, on_dump, program);
	service_notify("READY=1");
	loop_run(loop);
	end(program);
	return program->failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void usage(FILE *out)
{
	fputs("Usage: berth-engine [OPTION]... [COMMAND]\n"
	      "Manages hosts and virtual machines; serves the REST API.\n\n"
	      "  --config FILE    configuration (default: " CONFIG_FILE " when it exists)\n"
	      "  --data-dir DIR   instead of [engine] data_dir\n"
	      "  --print-config   write a configuration file with all keys and their defaults\n"
	      "  --print-domain-config   the same for a domain's file, see berth-domain.conf(5)\n"
	      "  --version        write the version\n"
	      "  --help           write this\n",
	      out);
	tool_usage(out);
}

/* Of malloc: with one for each worker what reading left free in each is the greater part of what an engine of many hosts takes. */
#define ARENAS_MAX 4

int main(int argc, char **argv)
{
	struct program program = { 0 };
	const char *file = NULL, *data_dir = NULL;
	GError *error = NULL;

	(void)mallopt(M_ARENA_MAX, ARENAS_MAX);
	/* by hand: getopt.h and common/config.h both have a struct option */
	int at = 1;
	for (; at < argc && argv[at][0] == '-'; at++) {
		const char *option = argv[at];
		if (strcmp(option, "--help") == 0 || strcmp(option, "-h") == 0) {
			usage(stdout);
			return EXIT_SUCCESS;
		}
		if (strcmp(option, "--version") == 0) {
			puts("berth-engine " BERTH_VERSION);
			return EXIT_SUCCESS;
		}
		if (strcmp(option, "--print-config") == 0) {
			config_print_defaults(stdout, options, G_N_ELEMENTS(options));
			return EXIT_SUCCESS;
		}
		if (strcmp(option, "--print-domain-config") == 0) {
			config_print_defaults(stdout, ldap_options, n_ldap_options);
			return EXIT_SUCCESS;
		}
		const char **target = g_str_has_prefix(option, "--config") ? &file : g_str_has_prefix(option, "--data-dir") ? &data_dir : NULL;
		size_t n = strcspn(option, "=");
		if (target && option[n] == '=' && (n == strlen("--config") || n == strlen("--data-dir"))) {
			*target = option + n + 1;
		} else if (target && (strcmp(option, "--config") == 0 || strcmp(option, "--data-dir") == 0) && at + 1 < argc) {
			*target = argv[++at];
		} else {
			fprintf(stderr, "berth-engine: '%s' is not an option or lacks its value; see --help\n", option);
			return EXIT_FAILURE;
		}
	}
	if (!file && access(CONFIG_FILE, F_OK) == 0)
		file = CONFIG_FILE;
	program.config = config_load(file, options, G_N_ELEMENTS(options), &error);
	if (!program.config) {
		fprintf(stderr, "berth-engine: %s\n", error->message);
		g_error_free(error);
		return EXIT_FAILURE;
	}
	program.data_dir = g_strdup(data_dir ? data_dir : config_string(program.config, "engine", "data_dir"));
	const struct store_settings settings = store_settings(&program);
	int status = at < argc ? tool_run(argc - at, argv + at, &settings) : serve(&program);
	g_clear_pointer(&program.data_dir, g_free);
	if (program.config)
		program.config = config_free(program.config);
	return status;
}
