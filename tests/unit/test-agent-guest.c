/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/virt/guest/guest.h"
#include "cmocka-all.h"

/* guest-get-devices as qemu-ga of a Windows answers it: since 5.2 "id", before "address"; driver-date in ns. */
static void pci_devices(void **state)
{
	static const char answer[] =
		"[{\"driver-date\": 1580774400000000000, \"driver-name\": \"Red Hat VirtIO Ethernet Adapter\", \"driver-version\": \"100.80.104.17300\","
		"  \"id\": {\"type\": \"pci\", \"device-id\": 4096, \"vendor-id\": 6900}},"
		" {\"driver-date\": 1580774400000000000, \"driver-name\": \"Red Hat VirtIO Ethernet Adapter\", \"driver-version\": \"100.80.104.17300\","
		"  \"id\": {\"type\": \"pci\", \"device-id\": 4096, \"vendor-id\": 6900}},"
		" {\"driver-date\": \"2019-08-12\", \"driver-name\": \"Red Hat QXL controller\", \"driver-version\": \"10.0.0.21000\","
		"  \"address\": {\"type\": \"pci\", \"device-id\": 256, \"vendor-id\": 6966}},"
		" {\"driver-name\": \"a USB thing\", \"id\": {\"type\": \"usb\", \"device-id\": 1, \"vendor-id\": 2}},"
		" {\"driver-name\": \"nothing known of it\"}, {\"driver-name\": \"no date\", \"id\": {\"type\": \"pci\", \"device-id\": 1, \"vendor-id\": 2}}]";
	static const char expected[] =
		"[{\"device_id\": 4096, \"vendor_id\": 6900, \"driver_name\": \"Red Hat VirtIO Ethernet Adapter\", \"driver_version\": \"100.80.104.17300\","
		"  \"driver_date\": \"2020-02-04\"},"
		" {\"device_id\": 256, \"vendor_id\": 6966, \"driver_name\": \"Red Hat QXL controller\", \"driver_version\": \"10.0.0.21000\","
		"  \"driver_date\": \"2019-08-12\"},"
		" {\"device_id\": 1, \"vendor_id\": 2, \"driver_name\": \"no date\", \"driver_version\": \"\", \"driver_date\": \"\"}]";
	json_t *devices = json_loads(answer, 0, NULL), *wanted = json_loads(expected, 0, NULL), *got = guest_pci_devices(devices);

	assert_non_null(devices);
	assert_non_null(wanted);
	if (!json_equal(got, wanted))
		fail_msg("%s", json_dumps(got, 0));
	json_decref(devices);
	json_decref(wanted);
	json_decref(got);
	got = guest_pci_devices(NULL);
	assert_int_equal(json_array_size(got), 0);
	json_decref(got);
}

static void names_of_windows(void **state)
{
	assert_string_equal(guest_windows_name("6.1", false, 7601), "Win 7");
	assert_string_equal(guest_windows_name("6.1", true, 7601), "Win 2008 R2");
	assert_string_equal(guest_windows_name("5.2", true, 3790), "Win 2003");
	assert_string_equal(guest_windows_name("10.0", false, 10240), "Win 10");
	assert_string_equal(guest_windows_name("10.0", false, 22631), "Win 11");
	assert_string_equal(guest_windows_name("10.0", true, 14393), "Win 2016");
	assert_string_equal(guest_windows_name("10.0", true, 17763), "Win 2019");
	assert_string_equal(guest_windows_name("10.0", true, 20348), "Win 2022");
	assert_string_equal(guest_windows_name("10.0", true, 26100), "Win 2025");
	assert_string_equal(guest_windows_name("5.0", true, 2195), "unknown");
	assert_string_equal(guest_windows_name("12.0", false, 1), "unknown");
	assert_string_equal(guest_windows_name(NULL, false, 0), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(pci_devices), cmocka_unit_test(names_of_windows) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
