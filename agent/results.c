/* SPDX-License-Identifier: Apache-2.0 */
/* How handlers write what they answer: the text goes into the reply as it is. */
#include "agent/agent.h"

void result_record(GString *out, const void *record)
{
	struct writer *writer = writer_new_json(out, RECORD_CHANNEL, false);

	record_write(writer, NULL, record, NULL);
	writer_free(writer);
}

void result_list(GString *out, const GPtrArray *records)
{
	g_string_append_c(out, '[');
	for (guint i = 0; records && i < records->len; i++) {
		if (i)
			g_string_append(out, ", ");
		result_record(out, records->pdata[i]);
	}
	g_string_append_c(out, ']');
}

void result_json(GString *out, json_t *json)
{
	json_write(out, json);
	json_decref(json);
}
