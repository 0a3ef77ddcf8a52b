#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# hostvm.sh SCRIPT [ARGUMENT...] | -c COMMAND      (root only)
# Runs a bash script, or a command, as root in a virtual machine that has this machine's files and a full kernel.
#
# For what the kernel we run on may lack: device-mapper, NFS, iSCSI, bonds, VLANs, ... A Debian cloud kernel boots under TCG (5 s); its / is ours,
# read-only through virtiofs, under a tmpfs: the script sees every program and file of this machine, and whatever it changes is gone afterwards. Its
# output is ours while it runs, and so is its exit status; 125 when the machine did not get that far (its console is shown then).
# Its own, empty at first, are /run and /dev/shm; udevd runs for block devices and NICs, the loop-back interface is up, nothing else is started.
# /lab inside is the directory SHARE outside, read and write.
#
# Environment: SHARE (default: a new directory, removed at the end), MEM (MiB, 1536), CPUS (1), LIMIT (seconds, 300: killed after that)
#   DISKS   blank virtio disks: vda with the serial number labdisk1, vdb, ... (2)      DISKSIZE   their size (1G)
#   NICS    NICs without an outside: eth0, eth1, ... (0)
#   LAB     where the initial ram disk is kept (default build/lab), as long as its inputs are the same; two runs at once do no harm
# Needs linux-image-cloud-amd64 busybox-static cpio kmod qemu-system-x86 udev. "hostvm.sh --check" tells whether they are here: 0 or a message.
#
# Killed at any instant, even by SIGKILL, nothing goes on running; the scratch directory of such a run is removed by the next one.
set -eu
here=$(dirname "$(readlink -f "$0")")
lab=$(readlink -m "${LAB:-$here/../../build/lab}")/hostvm
mem=${MEM:-1536} cpus=${CPUS:-1} disks=${DISKS:-2} disksize=${DISKSIZE:-1G} nics=${NICS:-0} limit=${LIMIT:-300}
virtiofsd=/usr/lib/qemu/virtiofsd
lean="cryptomgr.notests mitigations=off nokaslr lsm= audit=0 norandmaps noreplace-smp"     # nothing that only protects: it costs a quarter of what the kernel does
modules="virtio_pci virtiofs overlay virtio_console"
umask 022

die() { echo "hostvm.sh: $*" >&2; exit 125; }
[ $# -ge 1 ] || { sed -n '3,20s/^# \{0,1\}//p' "$0" >&2; exit 2; }
kver=$(ls /lib/modules 2>/dev/null | grep cloud | sort -V | tail -1) || :
[ -n "$kver" ] || die "no cloud kernel in /lib/modules: install linux-image-cloud-amd64"
kernel=/boot/vmlinuz-$kver
for f in "$kernel" /bin/busybox "$virtiofsd" /lib/systemd/systemd-udevd; do [ -r "$f" ] || die "cannot read $f"; done
for c in qemu-system-x86_64 cpio modprobe setpriv; do command -v "$c" >/dev/null || die "needs $c"; done
[ "$(id -u)" = 0 ] || die "needs root"
[ "$1" != --check ] || exit 0
[ "$1" = -c ] || [ -r "$1" ] || die "cannot read the script '$1'"

# ---- the initial ram disk: mounts /, starts the machine's part of this script ----
make_initrd() {
	local t=$1 m f n=10
	mkdir -p "$t"/{bin,mod,proc,sys,dev,low,rw,new}
	cp /bin/busybox "$t/bin/"
	for m in sh mount insmod mkdir switch_root; do ln -s busybox "$t/bin/$m"; done
	for m in $modules; do modprobe -S "$kver" --show-depends "$m" 2>/dev/null || :; done | awk '$1 == "insmod" && !seen[$2]++ {print $2}' |
		while read -r f; do
			cp "$f" "$t/mod/$n-$(basename "$f")" # the shell lists them in this order
			n=$((n + 1))
		done
	cat > "$t/init" <<'E'
#!/bin/sh
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for m in /mod/*; do insmod "$m"; done
mount -t virtiofs -o ro rootfs /low
mount -t tmpfs -o size=75% tmpfs /rw; mkdir /rw/up /rw/work
mount -t overlay -o lowerdir=/low,upperdir=/rw/up,workdir=/rw/work overlay /new
mkdir -p /new/lab; mount -t virtiofs labfs /new/lab
exec switch_root /new /bin/bash /lab/.hostvm/init
E
	chmod 755 "$t/init"
	(cd "$t" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet)
}
mkdir -p "$lab"
inputs=$({ echo "$kver"; cat "$0" "$here/vmlinux.py"; stat -L -c '%n %s %Y' "$kernel" /bin/busybox; } | sha256sum | cut -c1-20)
initrd=$lab/initrd-$inputs.img vmlinux=$lab/vmlinux-$inputs
work=
leave() {
	local status=$?
	trap - EXIT
	for p in $(jobs -p); do kill -KILL "$p" 2>/dev/null || :; done
	wait
	[ -z "$work" ] || { rm -f /run/virtiofsd/"$(printf '%s' "${work#/}" | tr / .)".*; rm -rf "$work"; }
	exit "$status"
}
trap leave EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
exec 9> "$lab/.lock"
flock 9
if [ ! -s "$initrd" ] || [ ! -s "$vmlinux" ]; then
	t=$(mktemp -d)
	make_initrd "$t" > "$lab/.initrd.new"
	"$here/vmlinux.py" "$kernel" > "$lab/.vmlinux.new"
	rm -rf "$t" "$lab"/initrd-*.img "$lab"/vmlinux-*
	mv "$lab/.vmlinux.new" "$vmlinux"
	mv "$lab/.initrd.new" "$initrd"
fi
# Each run holds the lock of its directory; one without is of a run that was killed.
for d in "$lab"/run.*; do
	[ ! -d "$d" ] || { exec 8> "$d/.lock"; ! flock -n 8 || rm -rf "$d"; }
done
work=$(mktemp -d "$lab/run.XXXXXX")
exec 8> "$work/.lock"
flock 8
ln "$initrd" "$work/initrd" # stays ours when another one replaces it
ln "$vmlinux" "$work/vmlinux"
flock -u 9

# ---- what runs inside ----
share=${SHARE:-$work/share}
own=$share/.hostvm
mkdir -p "$own"
rm -f "$own/status"
if [ "$1" = -c ]; then printf '%s\n' "${2:?command}" > "$own/script"; shift; else cp "$1" "$own/script"; fi
shift
cat > "$own/init" <<'E'
#!/bin/bash
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts; for d in /dev/shm /run; do mount -t tmpfs tmpfs $d; done
chmod 1777 /dev/shm; mkdir -p /run/lock
mount -t cgroup2 cgroup2 /sys/fs/cgroup
exec </dev/null >/dev/ttyS0 2>&1
hostname hostvm; ip link set lo up
for m in virtio_blk virtio_net virtio-rng loop configfs; do modprobe $m; done
mount -t configfs configfs /sys/kernel/config
# device-mapper, iSCSI and multipath wait for udev; the other subsystems would cost 9 s
/lib/systemd/systemd-udevd -d
udevadm trigger --action=add --subsystem-match=block --subsystem-match=net; udevadm settle -t 30
for p in /sys/class/virtio-ports/*; do [ "$(cat $p/name)" != output ] || out=/dev/${p##*/}; done
echo "LAB-READY $(cut -d' ' -f1 /proc/uptime)"
bash /lab/.hostvm/script $(cat /lab/.hostvm/arguments) > "$out" 2>&1
echo $? > /lab/.hostvm/status
echo "LAB-DONE $(cut -d' ' -f1 /proc/uptime)"; sync; echo o > /proc/sysrq-trigger; sleep 60
E
sed -i "s|\$(cat /lab/.hostvm/arguments)|$([ $# = 0 ] || printf '%q ' "$@" | sed 's/[\\&|]/\\&/g')|" "$own/init"

# ---- run it ----
# Whoever we start ends with us (what it starts has to be told again). virtiofsd ends with QEMU, too.
guarded() { exec setpriv --pdeathsig KILL "$@" 8>&- 9>&-; }
# la57=off: a page table of five levels is walked by software here. no_timer_check: the kernel would count ticks for some ms, of which a loaded machine may deliver none, and panic
machine=(-nodefaults -machine q35,accel=tcg,memory-backend=ram -cpu max,la57=off -m "$mem" -smp "$cpus" -display none -no-reboot
	-object "memory-backend-memfd,id=ram,size=${mem}M,share=on" -kernel "$work/vmlinux" -initrd "$work/initrd"
	-append "console=ttyS0 quiet panic=-1 swiotlb=noforce net.ifnames=0 no_timer_check $lean" -serial "file:$work/console" -device virtio-rng-pci
	-chardev file,id=output,path=$work/output -device virtio-serial-pci -device virtserialport,chardev=output,name=output)
for f in "rootfs / always" "labfs $share none"; do
	read -r tag dir cache <<< "$f"
	guarded "$virtiofsd" --socket-path="$work/$tag.sock" -o "source=$dir" -o "cache=$cache" -o sandbox=chroot > "$work/$tag.log" 2>&1 &
	machine+=(-chardev "socket,id=$tag,path=$work/$tag.sock" -device "vhost-user-fs-pci,chardev=$tag,tag=$tag")
done
for ((i = 1; i <= disks; i++)); do
	truncate -s "$disksize" "$work/disk$i"
	machine+=(-drive "if=none,id=disk$i,format=raw,file=$work/disk$i,cache=unsafe,discard=unmap"
		-device "virtio-blk-pci,drive=disk$i,serial=labdisk$i")
done
for ((i = 1; i <= nics; i++)); do machine+=(-nic user,model=virtio-net-pci,restrict=on); done
for f in rootfs labfs; do
	for ((i = 0; i < 200; i++)); do
		[ ! -S "$work/$f.sock" ] || break
		sleep 0.05
	done
done
mkfifo "$work/output"
cat "$work/output" &
reader=$!
status=0
guarded timeout --foreground -k 5 "$limit" setpriv --pdeathsig KILL qemu-system-x86_64 "${machine[@]}" </dev/null 2> "$work/qemu.log" &
wait $! || status=$?
wait "$reader"
if [ -s "$own/status" ]; then exit "$(cat "$own/status")"; fi
[ "$status" != 124 ] || echo "hostvm.sh: ended after $limit s" >&2
tail -n 40 "$work/console" "$work"/*.log >&2
die "the machine ended before the script did (qemu: $status)"
