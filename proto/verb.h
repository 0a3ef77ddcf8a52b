/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_PROTO_VERB_H
#define BERTH_PROTO_VERB_H
/*
 * One table of verbs: the agent dispatches by it, the engine and `berth host` build their calls from it, help and completion print it.
 * A verb is added by one row in the table of its noun (proto/verbs_<noun>.c), its parameter record, and one handler bound in the agent.
 */
#include "common/record.h"

enum verb_lane {
	VERB_LOOP,         /* answered on the loop: must not block or take long */
	VERB_ANY,          /* any worker, no order */
	VERB_VM,           /* lane "vm/<vmID>" */
	VERB_VM_END,       /* lane "end/<vmID>": beside the VM's own, so that a VM whose verbs hang can be ended */
	VERB_GUEST,        /* lane "guest/<vmID>": talk with its guest agent, which may hang, beside the VM's own */
	VERB_CONSOLE,      /* lane "console/<vmID>": what a user does at the VM's console, beside the VM's own */
	VERB_DOMAIN,       /* lane "domain/<storagedomainID>" */
	VERB_POOL,         /* lane "pool/<storagepoolID>" */
	VERB_REMOTE,       /* lane "remote/<address>": a power device, another hypervisor: may take as long as it likes */
	VERB_NETWORK,      /* lane "network" */
	VERB_GLUSTER,      /* lane "gluster": the host's glusterd, which does one thing after the other */
};

enum verb_result {
	RESULT_TRUE,       /* no data: true */
	RESULT_RECORD,     /* one record of type `result` */
	RESULT_LIST,       /* array of records of type `result` */
	RESULT_JSON,       /* other shape, see `returns` */
};

struct verb {
	const char *name;                     /* "VM.create" */
	const struct record_type *params;     /* NULL: takes none. Order of fields = positional order */
	enum verb_result kind;
	const struct record_type *result;
	enum verb_lane lane;
	const char *lane_key;                 /* path of the parameter that picks the lane */
	int deadline_s;                       /* 0: the agent's [rpc] deadline */
	bool while_recovering;                /* answered before recovery is over (else 99) */
	bool changes;                         /* false: only reads (logged at debug) */
	bool not_migrating;                   /* refused with 51 while the VM of lane_key leaves this host or comes to it */
	const char *doc;                      /* what it does, one sentence */
	const char *returns;                  /* shape and units of the result */
	const char *errors;                   /* codes it answers with, "1 4 9" */
};
#define VERB_DEADLINE_S 170               /* default of [rpc] deadline: just below the 180 s after which engines give up */

/* One table a noun, in the file that has the noun's records or beside it; verbs.c joins them. */
#define VERB_TABLE(noun) extern const struct verb noun##_verbs[]; extern const size_t n_##noun##_verbs
VERB_TABLE(host);
VERB_TABLE(vm);
VERB_TABLE(storage);
VERB_TABLE(volume);
VERB_TABLE(block);
VERB_TABLE(pool);
VERB_TABLE(lease);
VERB_TABLE(secret);
VERB_TABLE(transfer);
VERB_TABLE(snapshot);
VERB_TABLE(backup);
VERB_TABLE(guest);
VERB_TABLE(device);
VERB_TABLE(migration);
VERB_TABLE(endpoint);
VERB_TABLE(gluster);

/* Rows that are alike. A verb that changes one VM, on its lane: */
#define VM_ROW(verb, parameters, ...) { .name = "VM." verb, .params = &(parameters), .lane = VERB_VM, .lane_key = "vmID", .changes = true, ##__VA_ARGS__ }
/* One that needs the VM's guest agent: */
#define GUEST_ROW(verb, parameters, ...) { .name = "VM." verb, .params = &(parameters), .lane = VERB_GUEST, .lane_key = "vmID", .changes = true, ##__VA_ARGS__ }

const struct verb *verb_nth(size_t i);                /* all, in order; NULL after the last */
const struct verb *verb_find(const char *name);       /* exact; NULL */

/* Parameters as the wire has them (object, array by position, NULL) into the verb's record with defaults.
 * Missing required: ERR_JSONRPC_INTERNAL naming all; wrong type: ERR_JSONRPC_INVALID_PARAMS with the member. input may be NULL. */
void *verb_params(const struct verb *verb, const json_t *params, struct record_input *input, GError **error);

#endif
