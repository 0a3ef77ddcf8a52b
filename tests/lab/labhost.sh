#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# labhost.sh start NAME N | stop NAME | uri NAME | sh NAME COMMAND... | ip NAME | crash NAME | revive NAME     (root only)
#
# Several hosts on one machine. Host NAME has its own network, host name and libvirtd (libvirtd.sh); its bridge br0
# has address 10.77.0.N/24 and is joined to the others by a switch, a bridge in a network namespace of its own.
#   from here:      virsh -c "$(labhost.sh uri NAME)"
#   between hosts:  qemu+tcp://10.77.0.N/system
#   an agent in it: labhost.sh sh NAME berth-agent ...
# Environment: LAB (directory of all hosts, default build/lab), and what libvirtd.sh takes (QEMUCONF, HOST_UUID).
# The names of network namespaces carry a number made from $LAB, so that two labs do not meet.
set -eu
here=$(dirname "$(readlink -f "$0")")
lab=$(readlink -m "${LAB:-$here/../../build/lab}")
id=$(printf '%s' "$lab" | cksum | cut -d' ' -f1)
id=$((id % 65536))
switch=berth-$id-sw
die() { echo "labhost.sh: $*" >&2; exit 1; }
[ $# -ge 2 ] || { sed -n '3,11s/^# \{0,1\}//p' "$0" >&2; exit 2; }
what=$1 name=$2
shift 2
[[ $name =~ ^[a-z][a-z0-9]{0,7}$ ]] || die "'$name': a host name here is a letter and up to seven letters or digits"
dir=$lab/hosts/$name ns=berth-$id-$name port=p-$name
has_ns() { [ -e "/run/netns/$1" ]; }

start() {
	local n=$1
	[[ $n =~ ^[0-9]+$ ]] && [ "$n" -ge 1 ] && [ "$n" -le 254 ] || die "'$n' is no number from 1 to 254"
	mkdir -p "$lab/hosts"
	(
		flock 9 # two hosts that start at once make one switch
		has_ns "$switch" || { ip netns add "$switch"; ip -n "$switch" link add sw0 type bridge; ip -n "$switch" link set sw0 up; }
		if ! has_ns "$ns"; then
			ip netns add "$ns"
			ip -n "$ns" link set lo up
			ip -n "$ns" link add br0 type bridge
			ip -n "$switch" link add "$port" type veth peer name eth0 netns "$ns"
			ip -n "$switch" link set "$port" master sw0 up
			ip -n "$ns" link set eth0 master br0 up
			ip -n "$ns" addr add "10.77.0.$n/24" dev br0
			ip -n "$ns" link set br0 up
			echo "10.77.0.$n" > "$lab/hosts/$name.ip"
		fi
	) 9> "$lab/hosts/.lock"
	NETNS=$ns LISTEN=$(cat "$lab/hosts/$name.ip") NAME=lab-$name "$here/libvirtd.sh" start "$dir"
}
stop() {
	"$here/libvirtd.sh" stop "$dir"
	(
		flock 9
		! has_ns "$ns" || ip netns del "$ns"
		rm -f "$lab/hosts/$name.ip"
		# the last one switches off the light. The veth goes with either end, but only once the kernel has got to it.
		if has_ns "$switch" && ! ls "$lab"/hosts/*.ip >/dev/null 2>&1; then ip netns del "$switch"; fi
	) 9> "$lab/hosts/.lock"
}
case $what in
start) start "${1:?number}" ;;
stop) mkdir -p "$lab/hosts"; stop ;;
uri | crash | revive) exec "$here/libvirtd.sh" "$what" "$dir" ;;
sh) exec "$here/libvirtd.sh" sh "$dir" "$@" ;;
ip) cat "$lab/hosts/$name.ip" ;;
*) die "no such command: '$what'" ;;
esac
