/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every hook point: HOOK_POINT(name, data, fails, used, when). Names and meaning are vdsm's (vdsm-hooks(1)); the last group is our own.
 *
 *	data    XML      the VM's domain XML, in the file $_hook_domxml
 *	        DEVICE   the XML of the one device, in the same way
 *	        JSON     in the file $_hook_json
 *	        NONE
 *	fails   the error that the action fails with when a script fails: vdsm's code; 0: it goes on
 *	used    true: what the scripts leave in the file is what is gone on with
 */
/* ---- the agent ---- */
HOOK_POINT(before_vdsm_start, NONE, 0, false, "The agent starts, before it listens.")
HOOK_POINT(after_vdsm_stop, NONE, 0, false, "The agent ends, after its last answer.")
/* ---- a VM's life ---- */
HOOK_POINT(before_vm_start, XML, 1500, true, "Before the domain is made, or restored from saved memory (what is left is then ignored).")
HOOK_POINT(after_vm_start, XML, 0, false, "The domain runs.")
HOOK_POINT(before_vm_cont, XML, 1500, false, "Before a paused VM goes on.")
HOOK_POINT(after_vm_cont, XML, 0, false, "It goes on.")
HOOK_POINT(before_vm_pause, XML, 1500, false, "Before a VM is paused.")
HOOK_POINT(after_vm_pause, XML, 0, false, "It is paused.")
HOOK_POINT(before_vm_hibernate, XML, 1500, false, "Before the memory is saved to a volume.")
HOOK_POINT(after_vm_hibernate, XML, 0, false, "It is saved, the VM is gone.")
HOOK_POINT(before_vm_dehibernate, XML, 1500, false, "Before saved memory is restored. FROM_SNAPSHOT is True or False.")
HOOK_POINT(after_vm_dehibernate, XML, 0, false, "It is restored, the VM runs. FROM_SNAPSHOT as before.")
HOOK_POINT(before_vm_migrate_source, XML, 1500, false, "On the host that a VM is about to leave.")
HOOK_POINT(after_vm_migrate_source, XML, 0, false, "It has left.")
HOOK_POINT(before_vm_migrate_destination, XML, 78, false, "On the host that a VM is about to come to.")
HOOK_POINT(after_vm_migrate_destination, XML, 0, false, "It has come and runs here.")
HOOK_POINT(before_vm_destroy, XML, 0, false, "Before a VM is powered off: VM.destroy, or whatever else makes the agent do so. Not before it ends by itself.")
HOOK_POINT(after_vm_destroy, XML, 0, false,
	   "It is gone, however it ended, or could not be started; the XML is the last known. Of one that migrated or was saved: when VM.destroy forgets it.")
HOOK_POINT(before_vm_set_ticket, XML, 0, false, "Before a console's password is changed; the verb's params are in the environment.")
HOOK_POINT(after_vm_set_ticket, XML, 0, false, "It is changed.")
HOOK_POINT(before_set_num_of_cpus, NONE, 1500, false, "Before the number of virtual CPUs changes while the VM runs.")
HOOK_POINT(after_set_num_of_cpus, NONE, 0, false, "It has changed.")
/* ---- devices ---- */
HOOK_POINT(before_device_create, DEVICE, 1500, true, "A VM starts: for each device with custom properties. What is left of a disk is ignored.")
HOOK_POINT(after_device_create, DEVICE, 0, false, "The VM runs: for each device with custom properties.")
HOOK_POINT(before_device_destroy, DEVICE, 1500, false, "With before_vm_destroy: for each device with custom properties.")
HOOK_POINT(after_device_destroy, DEVICE, 0, false, "With after_vm_destroy: for each device with custom properties.")
HOOK_POINT(before_device_migrate_source, DEVICE, 1500, false, "For each device with custom properties.")
HOOK_POINT(after_device_migrate_source, DEVICE, 0, false, "For each device with custom properties.")
HOOK_POINT(before_device_migrate_destination, DEVICE, 1500, false, "For each device with custom properties.")
HOOK_POINT(after_device_migrate_destination, DEVICE, 0, false, "For each device with custom properties.")
HOOK_POINT(before_nic_hotplug, DEVICE, 1500, true, "Before a NIC is plugged.")
HOOK_POINT(after_nic_hotplug, DEVICE, 0, false, "It is plugged.")
HOOK_POINT(after_nic_hotplug_fail, DEVICE, 0, false, "It could not be plugged.")
HOOK_POINT(before_nic_hotunplug, DEVICE, 1500, false, "Before a NIC is unplugged.")
HOOK_POINT(after_nic_hotunplug, DEVICE, 0, false, "It is unplugged.")
HOOK_POINT(after_nic_hotunplug_fail, DEVICE, 0, false, "It is still there.")
HOOK_POINT(before_disk_hotplug, DEVICE, 1500, true, "Before a disk is plugged.")
HOOK_POINT(after_disk_hotplug, DEVICE, 0, false, "It is plugged.")
HOOK_POINT(before_disk_hotunplug, DEVICE, 1500, false, "Before a disk is unplugged.")
HOOK_POINT(after_disk_hotunplug, DEVICE, 0, false, "It is unplugged.")
HOOK_POINT(before_memory_hotplug, DEVICE, 1500, true, "Before memory is plugged.")
HOOK_POINT(after_memory_hotplug, DEVICE, 0, false, "It is plugged.")
HOOK_POINT(before_update_device, DEVICE, 1500, true, "Before a NIC's link or network changes.")
HOOK_POINT(after_update_device, DEVICE, 0, false, "It has changed.")
HOOK_POINT(after_update_device_fail, DEVICE, 0, false, "It could not be changed.")
HOOK_POINT(after_disk_prepare, JSON, 1500, true, "A disk's volume is ready, before the XML is made: the drive.")
/* ---- the host ---- */
HOOK_POINT(before_network_setup, JSON, 78, true, "Before Host.setupNetworks: {\"request\": {\"networks\", \"bondings\", \"options\"}}.")
HOOK_POINT(after_network_setup, JSON, 0, false, "The networks are set up; the same data.")
HOOK_POINT(after_network_setup_fail, JSON, 0, false, "They are as they were before; the same data.")
HOOK_POINT(before_get_caps, JSON, 1500, false, "Before Host.getCapabilities: {}.")
HOOK_POINT(after_get_caps, JSON, 0, true, "The answer.")
HOOK_POINT(before_get_stats, JSON, 78, false, "Before Host.getStats: {}.")
HOOK_POINT(after_get_stats, JSON, 0, true, "The answer.")
HOOK_POINT(before_get_vm_stats, JSON, 1500, false, "Before VM.getStats: {}.")
HOOK_POINT(after_get_vm_stats, JSON, 0, true, "The answer, a list of one.")
HOOK_POINT(before_get_all_vm_stats, JSON, 1500, false, "Before Host.getAllVmStats: {}.")
HOOK_POINT(after_get_all_vm_stats, JSON, 0, true, "The answer, a list.")
HOOK_POINT(after_hostdev_list_by_caps, JSON, 0, true, "The answer of Host.hostdevListByCaps.")
/* ---- our own ---- */
HOOK_POINT(before_vm_freeze, XML, 1500, false, "Before the guest's file systems are frozen (VM.freeze, VM.snapshot, VM.start_backup).")
HOOK_POINT(after_vm_freeze, XML, 0, false, "They are frozen, or could not be. The guest's writes wait: be quick.")
HOOK_POINT(before_vm_thaw, XML, 0, false, "Before they are thawed. The guest's writes wait: be quick.")
HOOK_POINT(after_vm_thaw, XML, 0, false, "They are thawed.")
HOOK_POINT(before_vm_snapshot, XML, 1500, false, "Before a snapshot of a running VM, and before its file systems are frozen for it.")
HOOK_POINT(after_vm_snapshot, XML, 0, false, "It is made, or failed; the guest is thawed again. SNAPSHOT_RESULT is done or failed.")
HOOK_POINT(before_vm_backup, XML, 1500, false, "Before a backup of a running VM begins, and before its file systems are frozen for it. BACKUP_ID.")
HOOK_POINT(after_vm_backup, XML, 0, false,
	   "It is over, or did not begin; its scratch disks are gone. BACKUP_ID; BACKUP_RESULT is done (VM.stop_backup) or failed.")
HOOK_POINT(on_vm_io_error, JSON, 0, false,
	   "A VM was paused by an error of a disk: {\"alias\", \"name\", \"path\", \"reason\", \"pauseCode\"}. Nobody waits for the scripts.")
