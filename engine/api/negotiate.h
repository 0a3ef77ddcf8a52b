/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_NEGOTIATE_H
#define BERTH_ENGINE_NEGOTIATE_H
/* Which form the client wants and sends. */
#include <stdbool.h>
#include <glib.h>

enum format { FORMAT_XML, FORMAT_JSON, FORMAT_NONE };

/* From the Accept header (NULL or blank: XML): the form with the highest q, XML when equal. false: none that we have.
 * details (may be NULL): names given with ;detail=a+b, appended, in order. */
bool negotiate_accept(const char *accept, enum format *ret_format, GPtrArray *details);
/* From the Content-Type header: FORMAT_NONE when it is missing or another one. */
enum format negotiate_content(const char *content_type);
const char *format_type(enum format format);

#endif
