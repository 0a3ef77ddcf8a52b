/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_MODEL_NAME_START_H
#define BERTH_ENGINE_MODEL_NAME_START_H
/*
 * The first eight letters of a text as a number: the first one in the lowest bits, zeros where the text is shorter.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <glib.h>

#define NAME_START_EACH(byte) ((byte) * UINT64_C(0x0101010101010101))
#define NAME_START_NOT_ASCII NAME_START_EACH(0x80)

/* Of at most `length` letters. */
static inline uint64_t name_start_of(const char *text, size_t length)
{
	char start[sizeof(uint64_t)] = { 0 };
	uint64_t number;

	memcpy(start, text, strnlen(text, MIN(length, sizeof(start))));
	memcpy(&number, start, sizeof(number));
	return GUINT64_FROM_LE(number);
}

/* In lower case, when they are ASCII. */
static inline uint64_t name_start_fold(uint64_t start)
{
	/* the highest bit of each byte: it is 'A' or more; it is more than 'Z' */
	uint64_t from_a = start + NAME_START_EACH(0x80 - 'A'), behind_z = start + NAME_START_EACH(0x80 - 'Z' - 1);

	return start | (from_a & ~behind_z & NAME_START_NOT_ASCII) >> 2;
}

#endif
