/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_COMMON_ERROR_H
#define BERTH_COMMON_ERROR_H
/*
 * Errors people can act on.
 *
 * Every failure in Berth is a GError of the one domain BERTH_ERROR. Its code is the number that travels on the agent channel
 * (the vdsm code where one exists); the table behind error_info() maps each code to its text, the HTTP status, the fault's
 * reason and whether trying again can help. Numbers never change meaning.
 *
 * The message is "<text of the table>" or "<text of the table>: <context>"; the context names the object and the value.
 * Layers above prefix their own noun with error_wrap(): "start VM web1: prepare disk d3: No such file".
 */
#include <glib.h>
#include <stdbool.h>

enum error_code {
#define ERROR_ROW(code, symbol, name, http, retry, text) ERR_##symbol = (code),
#include "common/error_table.h"
#undef ERROR_ROW
};

enum error_retry { RETRY_NEVER, RETRY_LATER, RETRY_AFTER_REFRESH };

struct error_info {
	int code;
	const char *name;       /* "NoSuchVM": the class name of the original, shown in logs */
	const char *text;       /* "Virtual machine does not exist" */
	int http_status;        /* what the REST side answers when this reaches it */
	enum error_retry retry;
};

#define BERTH_ERROR error_quark()
GQuark error_quark(void);

/* The row of a code; an unknown code gets the row of ERR_GENERAL (100). Never NULL. */
const struct error_info *error_info(int code);

/* Sets a new error: message "<text>: <context>", or "<text>" when format is NULL. */
void error_set(GError **error, enum error_code code, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* As error_set(), but the message is exactly what is given (for texts that came from elsewhere: the peer, libvirt). */
void error_set_literal(GError **error, int code, const char *message);

/* "<text>: <context>: <strerror(errnum)>" */
void error_set_errno(GError **error, enum error_code code, int errnum, const char *format, ...) G_GNUC_PRINTF(4, 5);

/* Prefixes "<noun>: ". Does nothing when error is NULL or *error is NULL. */
void error_wrap(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

/*
 * For who calls functions out of a table and needs the reason when one fails: returns ok. What failed and set no error, which is a mistake of this program,
 * gets ERR_UNEXPECTED_ERROR with "<noun> failed and did not say why", so that it ends as a failure that is told and not as a crash.
 */
bool error_ensure(bool ok, GError **error, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* True when *error is of BERTH_ERROR with this code. */
#define error_is(error, code) g_error_matches((error), BERTH_ERROR, (int)(code))

#endif
