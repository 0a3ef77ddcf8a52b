/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_DEVICE_MDEV_H
#define BERTH_AGENT_VIRT_DEVICE_MDEV_H
/* Mediated devices: parts of a card (a vGPU) that the kernel makes and removes on request. Facts: Linux, driver-api/vfio-mediated-device.rst. */
#include <stdbool.h>
#include <glib.h>

#define MDEV_SYS "/sys"

/* One of that type ("nvidia-11", or the name the card gives the type), on any card of the host that has one left. It is there already: fine.
 * sys: "/sys", or a copy of it in tests. ERR_HOSTDEV_DETACH_FAILED. */
bool mdev_make(const char *sys, const char *type, const char *uuid, GError **error);
/* One that is not there: fine. */
bool mdev_remove(const char *sys, const char *uuid, GError **error);

#endif
