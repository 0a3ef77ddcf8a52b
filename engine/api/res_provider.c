/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/api/res_provider.h"

#include "common/error.h"
#include "engine/model/kinds.h"
#include "engine/store/store.h"

void provider_tell(struct request *request, struct change *change, int code, const void *provider, void *object, const char *how)
{
	change_event(change, code, &request->actor, object ? (void *[]){ object, NULL } : NULL, "Provider %s was %s. (User: %s)", object_name(provider), how,
		     request->actor.user_name);
}

bool provider_is_complete(GPtrArray *names, const char *noun, GError **error)
{
	g_autofree char *list = NULL;

	if (!names->len)
		return true;
	g_ptr_array_add(names, NULL);
	list = g_strjoinv(", ", (char **)names->pdata);
	error_set(error, ERR_INCOMPLETE, "%s [%s] required for update", noun, list);
	return false;
}
