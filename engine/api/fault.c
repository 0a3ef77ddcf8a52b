/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults: an error as the client sees it. <fault><reason>short</reason><detail>long</detail></fault> with the HTTP status of the error table.
 *
 * An error's message is "text" or "text: context", perhaps with nouns before it. When it begins with the code's text, that is the reason and the rest
 * the detail ("Broken immutability constraint" / "Attempt to set immutable field: id"). What layers below wrapped is "Operation Failed", and the whole
 * message is the detail, in brackets, as clients of this API know it.
 */
#include <string.h>
#include "common/error.h"
#include "engine/api/api-priv.h"

struct fault { struct record record; char *reason, *detail; };
static const struct field fault_fields[] = {
	FIELD_STRING_(struct fault, reason, "reason", READ_ONLY, "what kind of error it is"),
	FIELD_STRING_(struct fault, detail, "detail", READ_ONLY, "what went wrong, with the names of what it was about"),
};
const struct record_type fault_type = RECORD_TYPE("fault", NULL, struct fault, fault_fields, "Why a request failed");

int fault_status(const GError *error)
{
	return error->domain == BERTH_ERROR ? error_info(error->code)->http_status : 500;
}

void fault_split(const GError *error, char **ret_reason, char **ret_detail)
{
	const struct error_info *info = error_info(error->domain == BERTH_ERROR ? error->code : ERR_GENERAL);
	size_t n = strlen(info->text);
	const char *context = error->message;
	bool own = error->domain == BERTH_ERROR && strncmp(context, info->text, n) == 0 && (context[n] == ':' || context[n] == '\0');
	bool refused = !own || error->code == ERR_OPERATION_FAILED || error->code == ERR_WRONG_STATE;

	if (own) {
		context += n;
		while (*context == ':' || *context == ' ')
			context++;
		if (!*context)
			context = info->text;
	}
	*ret_reason = g_strdup(refused ? "Operation Failed" : info->text);
	*ret_detail = refused && context[0] != '[' ? g_strdup_printf("[%s]", context) : g_strdup(context);
}

void answer_fault_text(struct call *call, int status, const char *reason, const char *detail)
{
	struct fault *fault = record_new(&fault_type);
	set_string(&fault->reason, reason);
	set_string(&fault->detail, detail);
	answer_record(call, status, fault, NULL);
	record_unref(fault);
}

void answer_fault(struct call *call, GError *error)
{
	char *reason, *detail;
	int status = fault_status(error);
	fault_split(error, &reason, &detail);
	answer_fault_text(call, status, reason, detail);
	if (status == 503)
		exchange_add_header(call->exchange, "Retry-After", "5");
	g_free(reason);
	g_free(detail);
	g_error_free(error);
}
