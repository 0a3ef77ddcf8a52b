/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_TURN_H
#define BERTH_ENGINE_TURN_H
/*
 * Turns: what workers on several lanes do to one thing, one after the other. AUTO_TURN("pool/%s", id) waits until nobody else has the turn of that name and
 * holds it to the end of the block. Who holds one may call agents: the calls have limits of their own. A thread takes a pool's turn before a host's.
 */
struct turn;
struct turn *turn_take(const char *format, ...) __attribute__((format(printf, 1, 2)));
void turn_drop(struct turn **turn);

#define AUTO_TURN(...) __attribute__((cleanup(turn_drop), unused)) struct turn *turn_ = turn_take(__VA_ARGS__)

#endif
