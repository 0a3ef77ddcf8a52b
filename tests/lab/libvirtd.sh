#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# libvirtd.sh start DIR | stop DIR | crash DIR | revive DIR | pid DIR | uri DIR | sh DIR COMMAND...      (root only)
#
# A libvirtd of its own (qemu driver) for tests, beside the system's, which it never touches:
#   start   makes it and returns when it answers; prints its URI
#   stop    ends it and every machine it runs, and removes its cgroups; DIR itself stays (logs)
#   crash   kill -9 of libvirtd alone: its machines go on           revive   starts libvirtd again
#   pid     of libvirtd, as seen from here                          uri      to connect to, from here
#   sh      runs a command inside
#
# How: pid, mount, cgroup, uts and ipc namespaces. Over /run/libvirt, /var/{lib,cache,log}/libvirt and /etc/libvirt
# lie DIR/{run,lib,cache,log,etc}; every other path is the same inside and outside, so disks and sockets in a test's
# own directory work for both. The pid namespace's init (DIR/init) is all that stop has to kill: the kernel ends the
# rest with it. Its libvirtd may be ended and started again within (crash, revive).
#
# Network: NET=host (default): the namespace we are in, so that the machines' VNC and the taps are where an agent
# outside finds them. NETNS=name: the named one (labhost.sh). LISTEN=address: also listen there in clear TCP. TLS=dir, with
# LISTEN: and with TLS, dir/server.pem and dir/server.key being its certificate and dir/ca.pem that of its clients' CA.
# Environment: QEMUCONF (more lines for qemu.conf), HOST_UUID, NAME (host name inside; default: as outside)
#
# DIR must be short: unix socket paths end at 107 characters.
set -eu
here=$(dirname "$(readlink -f "$0")")
die() { echo "libvirtd.sh: $*" >&2; exit 1; }
[ $# -ge 2 ] || { sed -n '3,11s/^# \{0,1\}//p' "$0" >&2; exit 2; }
what=$1 dir=$(readlink -m "$2")
shift 2
sock=$dir/run/libvirt-sock
uri="qemu+unix:///system?socket=$sock"
# Names of cgroups are machine-wide: one per directory.
tag=berth-lab-$(printf '%s' "$dir" | cksum | cut -d' ' -f1)

# the init of the namespaces, its number out here
inner() { cat "/proc/$(cat "$dir/pid")/task/$(cat "$dir/pid")/children" 2>/dev/null | tr -d ' '; }
# libvirtd's number out here: the child of init with that name
daemon_pid() {
	local p
	for p in $(cat "/proc/$(inner)/task/$(inner)/children" 2>/dev/null); do
		[ "$(cat "/proc/$p/comm" 2>/dev/null)" = libvirtd ] && { echo "$p"; return 0; }
	done
	return 1
}

cgroup_version() {
	case $(stat -f -c %T /sys/fs/cgroup 2>/dev/null) in
	cgroup2fs) echo 2 ;;
	tmpfs) echo 1 ;;
	*) echo 0 ;;
	esac
}
# mounted v1 hierarchies: PATH TYPE OPTIONS
cgroup_mounts() { awk '$2 ~ "^/sys/fs/cgroup/" && ($3 == "cgroup" || $3 == "cgroup2") {print $2, $3, $4}' /proc/self/mounts; }

cgroup_make() { # prints the directories made
	local path type opts
	case $(cgroup_version) in
	2) mkdir -p "/sys/fs/cgroup/$tag" 2>/dev/null && echo "/sys/fs/cgroup/$tag" ;;
	1) cgroup_mounts | while read -r path type opts; do
		mkdir -p "$path/$tag" 2>/dev/null || continue
		if [ -e "$path/$tag/cpuset.cpus" ] && [ "$type" = cgroup ]; then # an empty cpuset takes no process
			cat "$path/cpuset.cpus" > "$path/$tag/cpuset.cpus"
			cat "$path/cpuset.mems" > "$path/$tag/cpuset.mems"
		fi
		echo "$path/$tag"
	done ;;
	esac
}
cgroup_remove() {
	local d
	for d in "/sys/fs/cgroup/$tag" /sys/fs/cgroup/*/"$tag"; do
		[ ! -d "$d" ] || find "$d" -depth -type d -exec rmdir {} \; 2>/dev/null || :
	done
}

write_config() {
	local port
	mkdir -p "$dir"/{run,lib,etc,cache,log}
	chmod 755 "$dir" "$dir"/{run,etc,cache,log}
	chmod 711 "$dir/lib"
	cat > "$dir/etc/libvirtd.conf" <<E
listen_tls = $([ -n "${TLS:-}" ] && echo 1 || echo 0)
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_rw_perms = "0777"
min_workers = 20
log_level = 3
log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
host_uuid = "${HOST_UUID:-$(cat /proc/sys/kernel/random/uuid)}"
E
	[ -z "${TLS:-}" ] || printf 'key_file = "%s/server.key"\ncert_file = "%s/server.pem"\nca_file = "%s/ca.pem"\n' "$TLS" "$TLS" "$TLS" >> "$dir/etc/libvirtd.conf"
	[ -z "${LISTEN:-}" ] || printf 'listen_tcp = 1\nlisten_addr = "%s"\nauth_tcp = "none"\n' "$LISTEN" >> "$dir/etc/libvirtd.conf"
	# Apart from other instances in the same network namespace: each searches free VNC ports from another start, below those that connections get.
	port=$((5900 + $(printf '%s' "$dir" | cksum | cut -d' ' -f1) % 260 * 100))
	cat > "$dir/etc/qemu.conf" <<E
stdio_handler = "file"
security_driver = "none"
remember_owner = 0
remote_display_port_min = $port
remote_display_port_max = $((port + 99))
E
	# A checkout below a closed home directory cannot be reached by libvirt-qemu.
	setpriv --reuid libvirt-qemu --regid kvm --clear-groups test -x "$dir" -a -r "$here" 2>/dev/null ||
		printf 'user = "root"\ngroup = "root"\n' >> "$dir/etc/qemu.conf"
	printf '%s\n' "${QEMUCONF:-}" >> "$dir/etc/qemu.conf"
}

# What libvirtd found out about QEMU, a second's work, is kept for the next one. It looks itself whether that is still true of this QEMU, kernel and CPU.
known=$(readlink -m "$here/../../build/lab")/capabilities
learnt=$dir/cache/qemu/capabilities
recall() {
	mkdir -p "$learnt"
	cp -p "$known"/*.xml "$learnt/" 2>/dev/null || :
}
remember() {
	local f
	mkdir -p "$known" 2>/dev/null || return 0
	for f in "$learnt"/*.xml; do
		[ -e "$f" ] || continue
		cmp -s "$f" "$known/${f##*/}" || { cp -p "$f" "$known/.${f##*/}.$$" && mv "$known/.${f##*/}.$$" "$known/${f##*/}"; }
	done
}

write_init() {
	cat > "$dir/init" <<E
#!/bin/bash
# made by libvirtd.sh: init of the namespaces of $dir
mount --make-rprivate /
[ -z "${NETNS:-}" ] || mount -t sysfs sysfs /sys   # /sys/class/net shows the network of the one who mounted it
case $(cgroup_version) in
1)
	[ -z "${NETNS:-}" ] || mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
	while read -r path type opts; do
		umount "\$path" 2>/dev/null
		mkdir -p "\$path"
		name=\${opts#rw,}; name=\${name#relatime,}
		if [ "\$type" = cgroup2 ]; then mount -t cgroup2 cgroup2 "\$path"; else mount -t cgroup -o "\$name" cgroup "\$path"; fi
	done <<M
$(cgroup_mounts)
M
	;;
2)
	umount /sys/fs/cgroup 2>/dev/null
	mount -t cgroup2 cgroup2 /sys/fs/cgroup
	# a group that has members cannot pass controllers on: leave the root of our tree
	mkdir -p /sys/fs/cgroup/init && echo \$\$ > /sys/fs/cgroup/init/cgroup.procs
	for c in \$(cat /sys/fs/cgroup/cgroup.controllers); do echo "+\$c" > /sys/fs/cgroup/cgroup.subtree_control; done
	;;
esac
[ -z "${NAME:-}" ] || hostname "${NAME:-}"
for p in run:/run/libvirt lib:/var/lib/libvirt etc:/etc/libvirt cache:/var/cache/libvirt log:/var/log/libvirt; do
	mount --bind "$dir/\${p%%:*}" "\${p#*:}" || exit 1
done
umount /dev/kvm 2>/dev/null   # where tests/run hides it: libvirt has a /dev of its own for each machine and cannot take such a mount along
[ ! -d /run/dbus ] || mount -t tmpfs tmpfs /run/dbus   # no machined, no polkit: they know only the system's libvirtd
export XDG_RUNTIME_DIR=
while :; do
	LC_ALL=C libvirtd ${LISTEN:+--listen} --pid-file /run/libvirt/libvirtd.pid
	unset NOTIFY_SOCKET   # its owner is long gone
	read -r NOTIFY_SOCKET < "$dir/revive" || exit 1
	export NOTIFY_SOCKET
done
E
	chmod 755 "$dir/init"
	rm -f "$dir/revive"
	mkfifo -m 600 "$dir/revive"
}

start() {
	local cg join=()
	[ "$(id -u)" = 0 ] || die "needs root"
	command -v libvirtd >/dev/null || die "no libvirtd: install libvirt-daemon-system"
	[ ${#sock} -le 100 ] || die "'$dir' is too long for a unix socket path"
	"$here/daemon.py" alive "$dir/pid" && { echo "$uri"; return 0; }
	mkdir -p "$dir" /run/libvirt
	cgroup_remove
	write_config
	write_init
	recall
	cg=$(cgroup_make)
	[ -z "${NETNS:-}" ] || join=(nsenter "--net=/run/netns/$NETNS")
	# shellcheck disable=SC2016
	CG=$cg "$here/daemon.py" start --pidfile "$dir/pid" --log "$dir/log/init.log" --timeout 60 -- \
		bash -c 'for g in $CG; do echo $$ > "$g/cgroup.procs"; done; unset CG; exec "$@"' bash \
		${join[@]+"${join[@]}"} unshare -m -u -i -C -p --fork --kill-child --mount-proc "$dir/init" || { cgroup_remove; return 1; }
	# READY is sent when the sockets listen; the first answer comes when the drivers are up
	virsh -c "$uri" uri >/dev/null || die "$dir: libvirtd does not answer; see $dir/log"
	echo "$uri"
}

stop() {
	local p
	if "$here/daemon.py" alive "$dir/pid"; then
		p=$(inner)
		if [ -n "$p" ]; then
			# First what runs within, so that init reaps it: what dies with init is reaped by the kernel, and its processor time is forgotten.
			nsenter -t "$p" -p bash -c 'kill -KILL -1' 2>/dev/null || :
			for ((i = 0; i < 500; i++)); do
				[ -n "$(cat "/proc/$p/task/$p/children" 2>/dev/null)" ] || break
				sleep 0.01
			done
			# Death of the init: the kernel kills all that is left and only then lets unshare, which waits for it, end.
			kill -KILL "$p" 2>/dev/null || :
		fi
		"$here/daemon.py" stop "$dir/pid" --signal CONT --timeout 20
	else
		rm -f "$dir/pid" "$dir/pid.start"
	fi
	remember
	rm -f "$dir/revive" "$sock" "$sock-ro" "$dir/run/libvirt-admin-sock"
	cgroup_remove
}

case $what in
start) start ;;
stop) stop ;;
crash)
	p=$(daemon_pid) || die "$dir: no libvirtd runs"
	exec /usr/bin/python3 -c 'import os,select,signal,sys
p = os.pidfd_open(int(sys.argv[1])); signal.pidfd_send_signal(p, signal.SIGKILL); select.select([p], [], [])' "$p"
	;;
revive)
	"$here/daemon.py" alive "$dir/pid" || die "$dir: not running"
	/usr/bin/python3 - "$dir" <<'E'
import os, select, socket, sys
d = sys.argv[1]
path = d + "/run/revived"
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(path)
with open(d + "/revive", "w") as f:
    f.write(path + "\n")
while True:
    if not select.select([s], [], [], 30)[0]:
        sys.exit("libvirtd.sh: libvirtd did not come back within 30 s; see %s/log" % d)
    if b"READY=1" in s.recv(4096).split(b"\n"):
        break
os.unlink(path)
E
	virsh -c "$uri" uri >/dev/null
	;;
pid) daemon_pid ;;
uri) echo "$uri" ;;
sh)
	p=$(inner)
	[ -n "$p" ] || die "$dir: not running"
	exec nsenter -t "$p" -m -u -i -n -p -C "$@"
	;;
*) die "no such command: '$what'" ;;
esac
