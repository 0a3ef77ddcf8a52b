/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/host/certificate.h"

#include <signal.h>
#include <unistd.h>

#include "common/config.h"
#include "common/lock.h"
#include "common/log.h"
#include "common/tls.h"
#include "proto/host.h"

#define LOG_MODULE "host"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;         /* the files */

bool certificate_request_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	struct certificate_request *answer = record_new(&certificate_request_type);
	bool ok;

	{
		AUTO_LOCK(&lock);
		ok = tls_renewal_begin(config_string(agent->config, "tls", "cert"), config_string(agent->config, "tls", "key"), &answer->request,
				       &answer->certificate, error);
	}
	if (ok)
		result_record(ret_result, answer);
	record_unref(answer);
	return ok;
}

bool certificate_set_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct host_certificate_params *p = params;
	AUTO_LOCK(&lock);

	if (!tls_renewal_end(config_string(agent->config, "tls", "ca"), config_string(agent->config, "tls", "cert"), config_string(agent->config, "tls", "key"),
			     p->certificate, error))
		return false;
	log_info("this host has a new certificate");
	(void)kill(getpid(), SIGHUP);            /* what reads certificates again */
	return true;
}
