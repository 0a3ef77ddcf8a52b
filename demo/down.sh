#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# down.sh [--quiet] - end what up.sh started, and only that. Called by `sudo ./run down`. Each part is undone through
# the engine while it answers, and by hand for what is left then; a demo that stopped half way is undone as well.
set -u
. "$(dirname "$(readlink -f "$0")")/lib.sh"
[ "$(id -u)" = 0 ] || die "needs root: sudo ./run down"
[ "${1:-}" != --quiet ] || { step() { :; }; note() { :; }; }
if [ ! -d "$DEMO/started" ]; then
	step "no demo is running"
	exit 0
fi
left=0
failed() { warn "$*"; left=1; }
mkdir -p "$DEMO/run" "$DEMO/log"
# shellcheck disable=SC1091
[ ! -r "$DEMO/env" ] || . "$DEMO/env"
vm=$(was_made vm) || vm=
bridge=$(was_made bridge) || bridge=

engine=
if [ -n "${ENGINE_URL:-}" ] && "$lab/daemon.py" alive "$DEMO/run/engine.pid" && REQUEST_TIME=10 try GET ""; then engine=1; fi

vm_down() {
	REQUEST_TIME=10 try GET "/vms/$vm" || { [ "$http" = 404 ]; return; }
	[ "$(xp '/vm/status/state | /vm/status[not(state)]' <<< "$answer")" = down ]
}
within() { # within SECONDS COMMAND...
	local end=$((${EPOCHREALTIME/./} + $1 * 1000000))
	shift
	until "$@"; do [ "${EPOCHREALTIME/./}" -lt "$end" ] || return 1; sleep 0.1; done
}
if [ -n "$vm" ]; then
	if [ -n "$engine" ]; then
		step "stopping the VM through the engine"
		vm_down || { REQUEST_TIME=30 try POST "/vms/$vm/stop" "<action/>"; within 20 vm_down; }
		REQUEST_TIME=30 try DELETE "/vms/$vm" || note "the engine did not delete it: HTTP status $http"
	fi
	virsh="timeout 30 virsh -q -c qemu:///system"
	if $virsh domstate "$vm" >/dev/null 2>&1; then
		step "ending the VM through libvirt"
		$virsh destroy "$vm" >/dev/null 2>&1
		$virsh undefine "$vm" --managed-save --snapshots-metadata --checkpoints-metadata --nvram >/dev/null 2>&1
		! $virsh domstate "$vm" >/dev/null 2>&1 || failed "VM $vm is still there"
	fi
	unmade vm
fi
if [ -n "$bridge" ]; then
	if [ -n "$engine" ] && [ -e "/sys/class/net/$bridge" ]; then
		step "removing bridge $bridge through the engine"
		REQUEST_TIME=10 try GET "/hosts?search=name%3D${HOST_NAME:-demo-host}"
		host=$(xp '//host[1]/@id' <<< "$answer")
		REQUEST_TIME=10 try GET "/hosts/$host/networkattachments"
		attachment=$(xp '//network_attachment[1]/@id' <<< "$answer")
		[ -z "$attachment" ] ||
			REQUEST_TIME=30 try POST "/hosts/$host/setupnetworks" "<action><removed_network_attachments><network_attachment id=\"$attachment\"/></removed_network_attachments></action>"
	fi
	if [ -e "/sys/class/net/$bridge" ]; then
		step "removing bridge $bridge"
		ip link del "$bridge" || failed "bridge $bridge is still there"
	fi
	unmade bridge
fi
for d in engine agent libvirtd virtlogd; do
	was_made $d >/dev/null || continue
	step "ending $d"
	"$lab/daemon.py" stop "$DEMO/run/$d.pid" --timeout 20 || failed "$d is still running"
	unmade $d
done
if was_made libvirtd-unit >/dev/null; then
	step "ending libvirtd (systemd)"
	systemctl stop libvirtd.service libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket || failed "systemctl stop libvirtd.service failed"
	unmade libvirtd-unit
fi
if data=$(was_made data) && [ "$data" = "$far" ]; then
	rm -rf "$far"
	unmade data
fi
rm -f "$DEMO"/{env,curlrc,password}
rm -rf "$DEMO"/{pki,storage,agent,engine}
[ "$left" = 0 ] || die "not all of the demo could be ended"
rmdir "$DEMO/started"
step "the demo is down (the guest image and the logs stay in $DEMO)"
