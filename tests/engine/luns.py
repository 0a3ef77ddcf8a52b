# SPDX-License-Identifier: Apache-2.0
"""Disks of an iSCSI target as a kernel that knows iSCSI would show them, for agents that start in this mount namespace (stack.isolate()) afterwards: what
sysfs and udev's database say is laid over theirs. No data can be read.

    luns.begin(directory)
    appear, vanish = luns.add(1, "36001405aa", "iqn.2026-01.lab:one", "127.0.0.1")     shell commands: log in, log out
"""
import os
import subprocess

DEVICES = "/sys/devices/virtual/misc"           # nothing of it is needed
MAJOR = 259


def mount(*what):
    subprocess.run(["mount", *what], check=True)


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)


def begin(directory):
    os.environ["SYSTEMD_DEVICE_VERIFY_SYSFS"] = "0"          # libudev looks whether it is a sysfs: sd_device_new_from_syspath()
    classes = os.path.join(directory, "class")
    os.mkdir(classes)
    mount("--bind", "/sys/class", classes)
    mount("-t", "tmpfs", "tmpfs", "/sys/class")
    for name in os.listdir(classes):
        os.symlink(os.path.join(classes, name), "/sys/class/" + name)
    for name in ("block", "iscsi_session", "iscsi_connection"):
        if os.path.islink("/sys/class/" + name):
            os.unlink("/sys/class/" + name)
        os.mkdir("/sys/class/" + name)
    mount("-t", "tmpfs", "tmpfs", DEVICES)
    os.makedirs("/run/udev", exist_ok=True)
    mount("-t", "tmpfs", "tmpfs", "/run/udev")
    os.mkdir("/run/udev/data")


def add(number, guid, target, address, mib=64):
    session = "%s/host%d/session%d" % (DEVICES, number, number)
    scsi = "%s/target%d:0:0/%d:0:0:%d" % (session, number, number, number)
    disk = "%s/block/sdz%d" % (scsi, number)
    face, link = "%s/iscsi_session/session%d" % (session, number), "%s/connection%d:0/iscsi_connection/connection%d:0" % (session, number, number)
    for where, subsystem, files in ((disk, "/sys/class/block", {"uevent": "MAJOR=%d\nMINOR=%d\nDEVNAME=sdz%d\nDEVTYPE=disk\n" % (MAJOR, 200 + number, number),
                                                                "size": "%d\n" % (mib * 2048), "queue/logical_block_size": "512\n",
                                                                "queue/physical_block_size": "512\n"}),
                                    (scsi, "/sys/bus/scsi", {"uevent": "DEVTYPE=scsi_device\n", "vendor": "LIO-ORG\n", "model": "disk\n", "rev": "4.0\n",
                                                             "state": "running\n"}),
                                    (face, "/sys/class/iscsi_session", {"uevent": "", "targetname": target + "\n"}),
                                    (link, "/sys/class/iscsi_connection", {"uevent": "", "persistent_address": address + "\n", "persistent_port": "3260\n"})):
        for name, text in files.items():
            write(os.path.join(where, name), text)
        os.symlink(subsystem, os.path.join(where, "subsystem"))
    os.mkdir(disk + "/holders")
    write("/run/udev/data/b%d:%d" % (MAJOR, 200 + number), "I:1\nE:ID_SERIAL=%s\nE:ID_SERIAL_SHORT=serial%d\nV:1\n" % (guid, number))
    shown = [(disk, "/sys/class/block/sdz%d" % number), (face, "/sys/class/iscsi_session/session%d" % number), (link,
        "/sys/class/iscsi_connection/connection%d:0" % number)]
    return "; ".join("ln -sfn %s %s" % pair for pair in shown), "rm -f " + " ".join(name for _, name in shown)
