/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_FAULT_H
#define BERTH_AGENT_FAULT_H
/*
 * Fault points: places between the steps of long work, each with a name, where a test lets the agent die as kill -9 would end it.
 *
 *	BERTH_FAULT=NAME          the agent is killed the first time it passes NAME; NAME#3: the third time
 *	BERTH_FAULT_TRACE=FILE    every point passed is appended to FILE, one a line: a test runs once with it and then once for each line
 *
 * Without these variables a point costs one load. Any thread.
 */
void fault_point(const char *name);

#endif
