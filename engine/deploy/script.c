/* SPDX-License-Identifier: Apache-2.0 */
/* host.sh as it stands, in this program. */
#include "engine/deploy/script.h"

/* The assembler reads it from where the compiler runs: the top of the tree. */
__asm__(".section .rodata\n"
	".global deploy_script\n"
	".type deploy_script, %object\n"
	"deploy_script:\n"
	".incbin \"engine/deploy/host.sh\"\n"
	".byte 0\n"
	".size deploy_script, . - deploy_script\n"
	".previous\n");
