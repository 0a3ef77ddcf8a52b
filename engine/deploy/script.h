/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_SCRIPT_H
#define BERTH_ENGINE_SCRIPT_H
/* host.sh: what runs on hosts. */
extern const char deploy_script[];

#endif
