/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/guest.h"

#include "proto/verb.h"
#include "proto/vm.h"

#define IN CREATE
#define NEED (CREATE | REQUIRED)
#define VM_ID(type) FIELD_UUID_(struct type, vm_id, "vmID", NEED, "id of the VM")

static const struct field vm_freeze_fields[] = {
	VM_ID(vm_freeze_params),
	FIELD_STRINGS_(struct vm_freeze_params, mountpoints, "mountpoints", IN,
		       "freeze only what is mounted there (a member of our own); every file system when absent or empty"),
	FIELD_INT_(struct vm_freeze_params, timeout, "timeout", IN, "how long the guest, with its own fsfreeze hook, may take (a member of our own)",
		   .unit = "s", .def = "120", .min = 1, .max = 120),
};
const struct record_type vm_freeze_params_type = RECORD_TYPE("VM.freeze", NULL, struct vm_freeze_params, vm_freeze_fields, "Parameters of VM.freeze");

static const struct field guest_trim_fields[] = {
	VM_ID(guest_trim_params),
	FIELD_LONG_(struct guest_trim_params, minimum, "minimum", IN, "free runs that are shorter stay as they are", .unit = "bytes", .def = "0", .min = 0,
		    .max = -1),
	FIELD_INT_(struct guest_trim_params, timeout, "timeout", IN, "how long the guest may take", .unit = "s", .def = "120", .min = 1, .max = 120),
};
const struct record_type guest_trim_params_type = RECORD_TYPE("VM.fstrim", NULL, struct guest_trim_params, guest_trim_fields, "Parameters of VM.fstrim");

static const struct field guest_password_fields[] = {
	VM_ID(guest_password_params),
	FIELD_STRING_(struct guest_password_params, user, "user", NEED, "user in the guest", .min = 1, .max = 255),
	FIELD_STRING_(struct guest_password_params, password, "password", NEED | SECRET, "new password", .max = 4096),
	FIELD_BOOL_(struct guest_password_params, crypted, "crypted", IN, "password is crypted already, as the guest's chpasswd -e takes it", .def = "false"),
};
const struct record_type guest_password_params_type =
	RECORD_TYPE("VM.setUserPassword", NULL, struct guest_password_params, guest_password_fields, "Parameters of VM.setUserPassword");

#define KEYS_FIELD FIELD_STRINGS_(struct guest_keys_params, keys, "keys", NEED, "lines of authorized_keys, at most 1000")
#define USER_FIELD FIELD_STRING_(struct guest_keys_params, user, "user", NEED, "user in the guest", .min = 1, .max = 255)
static const struct field guest_keys_fields[] = {
	VM_ID(guest_keys_params), USER_FIELD, KEYS_FIELD,
	FIELD_BOOL_(struct guest_keys_params, reset, "reset", IN, "the user has these keys and no others then", .def = "false"),
};
static const struct field guest_keys_get_fields[] = { VM_ID(guest_keys_params), USER_FIELD };
static const struct field guest_keys_remove_fields[] = { VM_ID(guest_keys_params), USER_FIELD, KEYS_FIELD };
const struct record_type guest_keys_params_type =
	RECORD_TYPE("VM.addAuthorizedKeys", NULL, struct guest_keys_params, guest_keys_fields, "Parameters of VM.addAuthorizedKeys");
const struct record_type guest_keys_get_params_type =
	RECORD_TYPE("VM.getAuthorizedKeys", NULL, struct guest_keys_params, guest_keys_get_fields, "Parameters of VM.getAuthorizedKeys");
const struct record_type guest_keys_remove_params_type =
	RECORD_TYPE("VM.removeAuthorizedKeys", NULL, struct guest_keys_params, guest_keys_remove_fields, "Parameters of VM.removeAuthorizedKeys");

static const struct field desktop_login_fields[] = {
	VM_ID(desktop_login_params),
	FIELD_STRING_(struct desktop_login_params, domain, "domain", NEED, "domain of the user"),
	FIELD_STRING_(struct desktop_login_params, username, "username", NEED, "user to log in"),
	FIELD_STRING_(struct desktop_login_params, password, "password", NEED | SECRET, "the user's password"),
};
const struct record_type desktop_login_params_type =
	RECORD_TYPE("VM.desktopLogin", NULL, struct desktop_login_params, desktop_login_fields, "Parameters of VM.desktopLogin");

static const struct field desktop_logoff_fields[] = {
	VM_ID(desktop_logoff_params),
	FIELD_BOOL_(struct desktop_logoff_params, force, "force", NEED, "although programs object"),
};
const struct record_type desktop_logoff_params_type =
	RECORD_TYPE("VM.desktopLogoff", NULL, struct desktop_logoff_params, desktop_logoff_fields, "Parameters of VM.desktopLogoff");

static const struct field desktop_message_fields[] = {
	VM_ID(desktop_message_params),
	FIELD_STRING_(struct desktop_message_params, message, "message", NEED, "text for the desktop agent"),
};
const struct record_type desktop_message_params_type =
	RECORD_TYPE("VM.desktopSendHcCommand", NULL, struct desktop_message_params, desktop_message_fields, "Parameters of VM.desktopSendHcCommand");

/* What vdsm sent to the desktop agent of old (channel com.redhat.rhevm.vdsm), which the QEMU guest agent has no command for. */
#define DESKTOP_ROW(verb, parameters, text) \
	GUEST_ROW(verb, parameters, .doc = text " (only the oVirt guest agent could, which is gone since oVirt 4.5: refused with 19, as vdsm does)", \
		  .returns = "true", .errors = "1 6 19")

const struct verb guest_verbs[] = {
	GUEST_ROW("freeze", vm_freeze_params_type,
		  .doc = "Freezes the guest's file systems through the guest agent; hooks before_vm_freeze, after_vm_freeze", .returns = "true",
		  .errors = "1 6 19 75 76 1500"),
	GUEST_ROW("thaw", vm_id_params_type, .doc = "Thaws all of the guest's file systems; may be repeated; hooks before_vm_thaw, after_vm_thaw",
		  .returns = "true", .errors = "1 6 19 75 77"),
	GUEST_ROW("fstrim", guest_trim_params_type, .kind = RESULT_JSON,
		  .doc = "Has the guest give back what its file systems do not use; disks need 'discard' (a verb of our own)",
		  .returns = "{\"paths\": [{\"path\", \"trimmed\" in bytes, \"minimum\"} or {\"path\", \"error\"}]}", .errors = "1 6 16 19 75"),
	GUEST_ROW("setUserPassword", guest_password_params_type, .doc = "Sets the password of a user in the guest (a verb of our own)", .returns = "true",
		  .errors = "1 6 16 19 75"),
	GUEST_ROW("getAuthorizedKeys", guest_keys_get_params_type, .kind = RESULT_JSON,
		  .doc = "The SSH keys that may log in as a user of the guest (a verb of our own)", .returns = "{\"keys\": [line of authorized_keys]}",
		  .errors = "1 6 16 19 75"),
	GUEST_ROW("addAuthorizedKeys", guest_keys_params_type, .doc = "Lets SSH keys log in as a user of the guest (a verb of our own)", .returns = "true",
		  .errors = "1 6 16 19 75 91"),
	GUEST_ROW("removeAuthorizedKeys", guest_keys_remove_params_type, .doc = "Takes SSH keys away from a user of the guest (a verb of our own)",
		  .returns = "true", .errors = "1 6 16 19 75 91"),
	DESKTOP_ROW("desktopLock", vm_id_params_type, "Locks the desktop session"),
	DESKTOP_ROW("desktopLogin", desktop_login_params_type, "Logs a user in to the desktop"),
	DESKTOP_ROW("desktopLogoff", desktop_logoff_params_type, "Ends the desktop session"),
	DESKTOP_ROW("desktopSendHcCommand", desktop_message_params_type, "Sends a message to the desktop agent"),
};
const size_t n_guest_verbs = G_N_ELEMENTS(guest_verbs);
