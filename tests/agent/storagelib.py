# SPDX-License-Identifier: Apache-2.0
"""Servers of storage, for tests inside the machine of tests/lab/hostvm.sh. What they write is gone with the machine."""
import os
import subprocess


def sh(command):
    """What it prints; its error is the test's."""
    done = subprocess.run(["bash", "-ec", command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise RuntimeError("%s\nstatus %d: %s%s" % (command, done.returncode, done.stdout, done.stderr))
    return done.stdout


def few_udev_rules():
    """Only those that make the nodes of block devices: each of the others costs every change of a volume some time."""
    os.makedirs("/etc/udev/rules.d", exist_ok=True)
    for name in os.listdir("/usr/lib/udev/rules.d"):
        if not name.startswith(("50-udev-default", "55-dm", "56-lvm", "60-block", "60-persistent-storage", "95-dm")):
            os.symlink("/dev/null", "/etc/udev/rules.d/" + name)
    sh("udevadm control --reload")


def nfs_server(device, directory):
    """Exports a new file system (one on an overlay could not be)."""
    sh("""mkdir -p {d} /run/rpcbind; mkfs.ext4 -q {dev}; mount {dev} {d}
        modprobe -a nfsd nfsv4 nfsv3; mount -t nfsd nfsd /proc/fs/nfsd; mount -t tmpfs tmpfs /var/lib/nfs
        mkdir -p /var/lib/nfs/{{rpc_pipefs,v4recovery,sm,sm.bak}}; touch /var/lib/nfs/{{etab,rmtab}}; mount -t rpc_pipefs rpc /var/lib/nfs/rpc_pipefs
        rpcbind -w; rpc.mountd; exportfs -o rw,no_root_squash,insecure,fsid=0 127.0.0.1:{d}; rpc.nfsd 2""".format(d=directory, dev=device))


TARGET = "/sys/kernel/config/target"


def iscsi_target(iqn, path, mib, portals, user=None, password=None):
    """A LIO target with one LUN in a file."""
    name = iqn.rsplit(":", 1)[1]
    core, group = "%s/core/fileio_0/%s" % (TARGET, name), "%s/iscsi/%s/tpgt_1" % (TARGET, iqn)
    sh("modprobe -a target_core_mod target_core_file iscsi_target_mod iscsi_tcp sd_mod; truncate -s %dM %s" % (mib, path))
    sh("mkdir -p {c}; echo fd_dev_name={p},fd_dev_size={n} > {c}/control; echo {s} > {c}/wwn/vpd_unit_serial; echo 1 > {c}/enable".format(
        c=core, p=path, n=mib << 20, s="lab-" + name))
    sh("mkdir -p {g} {g}/lun/lun_0; ln -s {c} {g}/lun/lun_0/x; echo 1 > {g}/attrib/generate_node_acls; echo 0 > {g}/attrib/demo_mode_write_protect".format(
        g=group, c=core))
    for portal in portals:
        sh("mkdir -p %s/np/%s:3260" % (group, portal))
    if user:
        sh("echo 1 > {g}/attrib/authentication; echo -n {u} > {g}/auth/userid; echo -n {p} > {g}/auth/password".format(g=group, u=user, p=password))
    else:
        sh("echo 0 > %s/attrib/authentication" % group)
    sh("echo 1 > %s/enable" % group)


def iscsi_initiator():
    sh("mkdir -p /run/lock/iscsi /etc/iscsi/nodes; rm -rf /etc/iscsi/nodes/* /etc/iscsi/send_targets/*;"
       "echo InitiatorName=iqn.2026-01.lab:i1 > /etc/iscsi/initiatorname.iscsi; iscsid")
