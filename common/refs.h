/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_COMMON_REFS_H
#define BERTH_COMMON_REFS_H
/*
 * counted_free(object): the g_free() at the end of an unref function.
 *
 * A static analyzer does not know how many references there are: it takes each unref for the last one and every use that follows for one of freed
 * memory. For it the object goes out of sight here.
 */
#include <glib.h>

#ifdef __clang_analyzer__
void counted_free(void *object);
#else
static inline void counted_free(void *object)
{
	g_free(object);
}
#endif

#endif
