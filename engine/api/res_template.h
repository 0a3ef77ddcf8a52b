/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_RES_TEMPLATE_H
#define BERTH_ENGINE_RES_TEMPLATE_H
/* Templates: what the files about them share. */
#include "engine/api/resource.h"
#include "engine/model/template.h"

/* It is ok, and not Blank. done: "exported" */
bool template_check(const struct template *template, const char *done, GError **error);
/* vm_export.c */
bool template_export(struct request *request, const void *object, const void *params, void **ret_result, GError **error);

#endif
