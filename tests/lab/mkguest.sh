#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# mkguest.sh [DIR] - build the lab guest: DIR/vmlinuz, DIR/initrd.img, DIR/cmdline, DIR/data.qcow2 (64 MiB ext4). Prints DIR.
#
# A machine of 4 MiB (Debian cloud kernel, busybox, qemu-guest-agent) that boots under TCG in about 3 s and answers
# on its guest agent. cmdline is what its kernel's command line begins with.
# Needs linux-image-cloud-amd64 busybox-static qemu-guest-agent cpio kmod e2fsprogs qemu-utils.
# Any user may run it. What is there is kept as long as its inputs are the same; two builds at once do no harm.
# data.qcow2 is a pattern: copy it, do not run on it.
#
# Words on the guest's kernel command line:
#   lab.ip=10.0.0.5/24   address of the first NIC
#   lab.mkfs             make a file system on /dev/vda if it has none
#   lab.tick             write to the disk and the serial line every 100 ms
#   lab.data2            mount /dev/vdb, too, on /data2
#   lab.nopanic          no driver for pvpanic: a kernel that panics stays as it is, and nobody is told
#   swiotlb=noforce      not ours, but needed wherever the domain has <maxMemory>: else a 128 MiB guest panics
#
# Environment: KVER (newest cloud kernel in /lib/modules), MODDIR (root that holds lib/modules and boot), COMP (gzip, cat, zstd)
set -eu
here=$(dirname "$(readlink -f "$0")")
out=${1:-${LAB:-$here/../../build/lab}/guest}
moddir=${MODDIR:-}
kver=${KVER:-$(ls "$moddir/lib/modules" | grep cloud | sort -V | tail -1)}
comp=${COMP:-gzip}
modules=${MODS:-virtio_pci virtio_input virtio_blk virtio_net virtio_console virtio_balloon virtio-rng button evdev virtio_mem virtio_scsi sd_mod cdrom isofs sr_mod pvpanic pvpanic-mmio qemu_fw_cfg efivarfs softdog}
# The second half leaves out what costs a quarter of the boot and protects nobody here.
cmdline="console=ttyS0 quiet panic=-1 cryptomgr.notests mitigations=off nokaslr lsm= audit=0"
umask 022

die() { echo "mkguest.sh: $*" >&2; exit 1; }
[ -n "$kver" ] || die "no cloud kernel in $moddir/lib/modules: install linux-image-cloud-amd64"
kernel=$moddir/boot/vmlinuz-$kver
hook=$here/../../hooks/guest/fsfreeze-hook
for f in "$kernel" /bin/busybox /usr/sbin/qemu-ga "$hook"; do [ -r "$f" ] || die "cannot read $f"; done

mkdir -p "$out"
out=$(readlink -f "$out")
exec 9>"$out/.lock"
flock 9
inputs=$({ echo "$kver $comp $modules $cmdline"; cat "$0"; cat "$hook"; stat -L -c '%n %s %Y' "$kernel" /bin/busybox /usr/sbin/qemu-ga; } | sha256sum)
if [ "$(cat "$out/.inputs" 2>/dev/null)" = "$inputs" ] && [ -s "$out/vmlinuz" ] && [ -s "$out/initrd.img" ] && [ -s "$out/cmdline" ] && [ -s "$out/data.qcow2" ]; then
	echo "$out"
	exit 0
fi
rm -f "$out/.inputs"

t=$(mktemp -d)
trap 'rm -rf "$t"' EXIT
r=$t/root
mkdir -p "$r"/{bin,sbin,usr/bin,usr/sbin,proc,sys,dev,tmp,run,var/run,var/log,data,etc/acpi/PWRF,lib64}
cp /bin/busybox "$r/bin/busybox"
for a in $(busybox --list); do [ -e "$r/bin/$a" ] || ln -s busybox "$r/bin/$a"; done
cp /usr/sbin/qemu-ga "$r/usr/sbin/"
install -D -m755 "$hook" "$r/etc/qemu/fsfreeze-hook"
mkdir -p "$r/etc/qemu/fsfreeze-hook.d"
ldd /usr/sbin/qemu-ga | grep -oE '/[^ ]+' | while read -r l; do mkdir -p "$r$(dirname "$l")"; cp -L "$l" "$r$l"; done
# the modules with what they depend on, for one modprobe: a process costs 20 ms in there
lib=$r/lib/modules/$kver
mkdir -p "$lib"
for m in $modules; do
	{ modprobe ${moddir:+-d "$moddir"} -S "$kver" --show-depends "$m" 2>/dev/null || :; } | awk '$1 == "insmod" {print $2}'
done | sort -u | while read -r f; do cp "$f" "$lib/"; done
touch "$lib"/modules.{order,builtin,builtin.modinfo}
depmod -b "$r" "$kver"
find "$lib" -name 'modules.*' ! -name modules.dep -delete
cat > "$r/etc/os-release" <<'E'
ID=labguest
NAME="Lab guest"
PRETTY_NAME="Lab guest 1"
VERSION="1"
VERSION_ID="1"
E
echo 'root::0:0:root:/:/bin/sh' > "$r/etc/passwd"
echo 'root:x:0:' > "$r/etc/group"
echo labguest > "$r/etc/hostname"
# Power button: busybox acpid reads /dev/input/event*; its built-in map calls PWRF/00000080.
printf '#!/bin/sh\necho LAB-ACPI-POWER > /dev/ttyS0\nexec /sbin/shutdown\n' > "$r/etc/acpi/PWRF/00000080"
# guest-shutdown runs: /sbin/shutdown -h -P|-H|-r +0 "..."
cat > "$r/sbin/shutdown" <<'E'
#!/bin/sh
m=poweroff; for a in "$@"; do case $a in -r) m=reboot;; -H) m=halt;; esac; done
echo "LAB-SHUTDOWN $m $*" > /dev/ttyS0
( sync; umount -a -r 2>/dev/null; $m -f ) &
E
printf '#!/bin/sh\n[ "$ACTION$SUBSYSTEM" != addcpu ] || echo 1 > "/sys$DEVPATH/online"\n' > "$r/sbin/online-cpu"
# guest-set-time runs /sbin/hwclock -w
ln -s /bin/busybox "$r/sbin/hwclock"
# guest-set-user-password runs chpasswd -e, which busybox-static lacks
printf '#!/bin/sh\ncat > /run/chpasswd.got\n' > "$r/usr/sbin/chpasswd"
# messages to users come as guest-exec of wall, which busybox-static lacks, too
printf '#!/bin/sh\necho "LAB-WALL $(cat)" > /dev/ttyS0\n' > "$r/usr/bin/wall"
cat > "$r/init" <<'E'
#!/bin/sh
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts /dev/virtio-ports; mount -t devpts pts /dev/pts
exec >/dev/ttyS0 2>&1 </dev/null
echo "LAB-INIT $(cut -d' ' -f1 /proc/uptime)"
hostname -F /etc/hostname
grep -q lab.nopanic /proc/cmdline && rm -f /lib/modules/*/pvpanic*
modprobe -a MODULES 2>/dev/null
# movable, or the block of a hot-plugged DIMM cannot leave again
echo online_movable > /sys/devices/system/memory/auto_online_blocks 2>/dev/null
ip link set lo up
for w in $(cat /proc/cmdline); do case $w in lab.ip=*) A=${w#*=};; lab.mkfs) MKFS=1;; esac; done
# a virtio disk is there with its driver; one at a SCSI controller takes its time
n=0; while [ ! -e /dev/vda ] && [ ! -e /dev/sda ] && [ $n -lt 10 ] && grep -q 0x0008 /sys/bus/virtio/devices/*/device; do usleep 100000; n=$((n+1)); done
for d in vda sda; do
	[ -e /dev/$d ] || continue
	mount -t ext4 /dev/$d /data 2>/dev/null && break
	# only a blank disk is ours to format (no blkid here: blank is a first MiB of zeros)
	[ -n "$MKFS" ] && [ "$(dd if=/dev/$d bs=64k count=16 2>/dev/null | tr -d '\0' | wc -c)" = 0 ] && mke2fs -L labdata /dev/$d >/dev/null 2>&1 && mount -t ext4 /dev/$d /data && break
done
grep -q lab.data2 /proc/cmdline && mkdir /data2 && mount -t ext4 /dev/vdb /data2
[ -d /sys/class/net/eth0 ] && ip link set eth0 up && [ -n "$A" ] && ip addr add $A dev eth0
# no udev here: the names of the agent's ports come from sysfs
for p in /sys/class/virtio-ports/*; do [ -e $p/name ] && ln -sf ../$(basename $p) /dev/virtio-ports/$(cat $p/name); done
# hot-plugged CPUs come up offline without udev: bring each new one online once (again during an eject would break the unplug)
uevent /sbin/online-cpu &
mkdir -p /var/run; acpid -f -c /etc/acpi >/dev/null 2>&1 &
echo "LAB-READY $(cut -d' ' -f1 /proc/uptime) mem=$(awk '/MemTotal/{t=$2}/MemAvailable/{a=$2}END{print t"/"a}' /proc/meminfo)"
# without a process for each tick: they would be half of what the guest does
grep -q lab.tick /proc/cmdline && mkfifo /run/never && ( exec 9<>/run/never; while read -r u x < /proc/uptime; do { echo "$u" >> /data/tick; } 2>/dev/null; echo "tick $u"; read -t 0.1 -u 9; done ) &
while :; do
  [ -e /dev/virtio-ports/org.qemu.guest_agent.0 ] && qemu-ga -m virtio-serial -p /dev/virtio-ports/org.qemu.guest_agent.0 -t /var/run -F/etc/qemu/fsfreeze-hook 2>/dev/null
  sleep 1
done
E
sed -i "s/MODULES/$modules/" "$r/init"
chmod 755 "$r/init" "$r/sbin/shutdown" "$r/sbin/online-cpu" "$r/usr/sbin/chpasswd" "$r/usr/bin/wall" "$r/etc/acpi/PWRF/00000080"
case $comp in cat) pack=(cat) ;; gzip) pack=(gzip -6n) ;; zstd) pack=(zstd -q) ;; *) die "COMP=$comp: not one of cat, gzip, zstd" ;; esac
(cd "$r" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet) | "${pack[@]}" > "$t/initrd.img"
cp "$kernel" "$t/vmlinuz"
echo "$cmdline" > "$t/cmdline"
truncate -s 64M "$t/data.raw"
mkfs.ext4 -q -F -L labdata "$t/data.raw"
qemu-img convert -O qcow2 "$t/data.raw" "$t/data.qcow2"
for f in vmlinuz initrd.img cmdline data.qcow2; do
	cp "$t/$f" "$out/.$f.new"
	chmod 644 "$out/.$f.new"
	mv "$out/.$f.new" "$out/$f"
done
echo "$inputs" > "$out/.inputs"
echo "$out"
