/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_EVENTS_H
#define BERTH_AGENT_EVENTS_H
/*
 * Events to subscribers, and the one clock of notify_time and statusTime: 2^31-1 + monotonic milliseconds.
 * Any thread may publish; the loop sends. Nothing is sent before events_open() (recovery is not over).
 */
#include <jansson.h>
#include <stdint.h>
#include "common/loop.h"

struct events;
struct events *events_new(struct loop *loop, void (*send)(const char *method, const char *params_json, void *data), void *data);
struct events *events_free(struct events *events);
void events_open(struct events *events);
/* params: object, taken over (NULL: {}); notify_time is added. */
void events_publish(struct events *events, const char *method, json_t *params);
int64_t events_time(void);

#endif
