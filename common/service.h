/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_COMMON_SERVICE_H
#define BERTH_COMMON_SERVICE_H
/* Tells the service manager how a daemon is, as sd_notify(3) does, in a few lines: the library costs more memory than the message. */
void service_notify(const char *message);             /* "READY=1"; nothing happens without NOTIFY_SOCKET */

#endif
