/* SPDX-License-Identifier: Apache-2.0 */
/* What of installing hosts is only reading: names of packages, versions, fingerprints. */
#include "cmocka-all.h"
#include <string.h>
#include "common/error.h"
#include "engine/deploy/package.h"
#include "engine/deploy/ssh.h"

static void test_names(void **state)
{
	static const char *const bad[] = { "/srv/agent.deb", "a_1.deb", "a_1_amd64.rpm", "a_1_amd64_x.deb", "a_$(id)_amd64.deb", "_1_amd64.deb", "a__amd64.deb", "" };
	g_autoptr(GError) error = NULL;
	struct package *package = package_new("/srv/x_y/berth-agent_1:0.1.0-1~bpo_amd64.deb", &error);

	assert_non_null(package);
	assert_string_equal(package->name, "berth-agent");
	assert_string_equal(package->version, "1:0.1.0-1~bpo");
	assert_string_equal(package->architecture, "amd64");
	(void)package_free(package);
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) own = NULL;

		assert_null(package_new(bad[i], &own));
		assert_true(error_is(own, ERR_BAD_VALUE));
	}
}

static void test_releases(void **state)
{
	static const struct { const char *version, *release; } rows[] = {
		{ "0.1.0", "0.1.0" }, { "0.1.0-1", "0.1.0" }, { "2:0.1.0-1", "0.1.0" }, { "1-2-3", "1-2" }, { "", "" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *release = package_release(rows[i].version);

		assert_string_equal(release, rows[i].release);
	}
}

static void test_fingerprints(void **state)
{
	static const struct { const char *text; bool fits; } rows[] = {
		{ "SHA256:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", true }, { " sha256:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8= ", true },
		{ "SHA256:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9", false }, { "SHA256:", false }, { "SHA256:aaecawqfbgciCQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", false },
		{ "f0:f1:f2:f3:f4:f5:f6:f7:f8:f9:fa:fb:fc:fd:fe:ff", true }, { "MD5:F0:F1:F2:F3:F4:F5:F6:F7:F8:F9:FA:FB:FC:FD:FE:FF", true },
		{ "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff", true }, { "f0:f1:f2:f3:f4:f5:f6:f7:f8:f9:fa:fb:fc:fd:fe", false },
		{ "f0:f1:f2:f3:f4:f5:f6:f7:f8:f9:fa:fb:fc:fd:fe:ff:", false }, { "f0:f1:f2:f3:f4:f5:f6:f7:f8:f9:fa:fb:fc:fd:fe:fe", false },
		{ "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", true }, { "", false }, { "x", false },
	};
	uint8_t sha256[32], md5[16];

	for (int i = 0; i < 32; i++)
		sha256[i] = (uint8_t)i;
	for (int i = 0; i < 16; i++)
		md5[i] = (uint8_t)(0xf0 + i);
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
		if (ssh_fingerprint_fits(rows[i].text, sha256, md5) != rows[i].fits)
			fail_msg("'%s': %s", rows[i].text, rows[i].fits ? "does not fit" : "fits");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_names), cmocka_unit_test(test_releases), cmocka_unit_test(test_fingerprints) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
