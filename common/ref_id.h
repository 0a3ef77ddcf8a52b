/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_COMMON_REF_ID_H
#define BERTH_COMMON_REF_ID_H
/*
 * Ids that references name: of each there is one copy, however many records name it (a hundred thousand VMs name one cluster). It is read as any text and
 * never changed. Any thread.
 */
#include <glib.h>

const char *ref_id_new(const char *id);      /* NULL: NULL */
const char *ref_id_ref(const char *id);      /* one more holder of one that ref_id_new() gave; NULL: NULL */
void ref_id_unref(const char *id);           /* NULL accepted */

/* For tables by id: takes eight letters at a time, where g_str_hash() takes one. */
guint id_hash(gconstpointer id);

#endif
