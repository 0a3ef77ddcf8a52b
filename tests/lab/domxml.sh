#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# domxml.sh NAME DISK [MIB] - libvirt XML of a domain that runs the lab guest, on stdout
# Environment: GUEST (directory made by mkguest.sh), APPEND (words for its kernel command line),
# NICXML (<interface> element), UUID, SERIAL (file for its serial line)
set -eu
name=$1 disk=$2 mib=${3:-128}
here=$(dirname "$(readlink -f "$0")")
guest=${GUEST:-$(readlink -f "${LAB:-$here/../../build/lab}/guest")}
[ -n "$guest" ] || { echo "domxml.sh: no guest: run mkguest.sh first" >&2; exit 1; }
# ten free pcie-root-ports: places to hot-plug into
ports=$(printf "    <controller type='pci' model='pcie-root-port'/>\n%.0s" {1..10})
cat <<X
<domain type='qemu'>
  <name>$name</name>
  ${UUID:+<uuid>$UUID</uuid>}
  <maxMemory slots='4' unit='MiB'>1024</maxMemory>
  <memory unit='MiB'>$mib</memory>
  <vcpu current='1'>2</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type>
    <kernel>$guest/vmlinuz</kernel><initrd>$guest/initrd.img</initrd>
    <cmdline>$(cat "$guest/cmdline") swiotlb=noforce ${APPEND:-}</cmdline></os>
  <features><acpi/><apic/><tcg><tb-cache unit='MiB'>32</tb-cache></tcg></features>
  <cpu mode='custom' match='exact'><model>qemu64</model><numa><cell id='0' cpus='0-1' memory='$mib' unit='MiB'/></numa></cpu>
  <on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>destroy</on_crash>
  <devices>
    <controller type='pci' model='pcie-root'/>
$ports
    <controller type='usb' model='none'/>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2' discard='unmap'/><source file='$disk'/><target dev='vda' bus='virtio'/><serial>LABVDA</serial></disk>
    ${NICXML:-}
    <serial type='file'><source path='${SERIAL:-/var/log/libvirt/$name.serial}'/></serial>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <memballoon model='virtio'><stats period='1'/></memballoon>
    <graphics type='vnc' port='-1' autoport='yes'/>
    <video><model type='vga'/></video>
  </devices>
</domain>
X
