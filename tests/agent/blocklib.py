# SPDX-License-Identifier: Apache-2.0
"""What the tests of domains in volume groups share. They run in a machine of their own with two disks and sanlock (tests/lab/hostvm.sh).

    lab, c = begin()            sanlock and an agent, libvirtd if it is to run VMs; refused(), task(), restart() and the others below use its client
    domain_on("labdisk1")       a domain there and a pool of it, which this host manages
"""
import glob
import os
import subprocess
import uuid

import poollib
from poollib import *  # noqa: F401,F403
from poollib import Client, Lab, become_spm, connect_pool, create_pool, diag, wait_task, wait_until
from snaplib import wait_job  # noqa: F401
from storagelib import few_udev_rules, sh

FCP, COW, RAW, PREALLOCATED, SPARSE = 2, 4, 5, 1, 2
BLANK = "00000000-0000-0000-0000-000000000000"
MIB = 1 << 20
POOL, DOMAIN, IMAGE, OTHER = (str(uuid.uuid4()) for _ in range(4))
BASE, TOP, DISK = (str(uuid.uuid4()) for _ in range(3))
lab = c = devices = None


def begin(libvirt=False):
    """Each command costs the machine half a second: few of them."""
    global lab, c, devices
    few_udev_rules()
    os.makedirs("/run/sanlock", exist_ok=True)
    subprocess.Popen("sanlock daemon -D -w 0 -l 0 -h 0 -U root -G root -e host1".split(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    devices = ",".join(sorted(glob.glob("/dev/vd?")))
    Client.patience = 200                # everything is slow in there
    lab = Lab()
    lab.config["libvirt"]["uri"] = "test:///default"       # no machines here
    if libvirt:
        lab.start_libvirtd()
    assert wait_until(lambda: os.path.exists("/run/sanlock/sanlock.sock"), 60), "sanlock does not start"
    lab.start_agent()
    c = lab.client()
    c.call_when_ready("Host.ping2", timeout=60)
    return lab, c


def domain_on(disk, name="block & space"):
    group = c.call("LVMVolumeGroup.create", name=DOMAIN, devlist=[disk])
    c.call("StorageDomain.create", storagedomainID=DOMAIN, domainType=FCP, typeArgs=group, name=name, domainClass=1)
    create_pool(c, POOL, DOMAIN, [DOMAIN], io_timeout=3)         # sanlock gives a host up that does not write for 8 of these
    connect_pool(c, POOL, DOMAIN, {DOMAIN: "active"})
    return group


def refused(code, label, verb, **params):
    return poollib.refused(code, label, c.call, verb, **params)


def lvm(*words):
    """What it prints."""
    return subprocess.run(["/sbin/lvm", words[0], "--devices", devices, *words[1:]], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True).stdout


def lvs():
    """The volumes of the domain, as LVM has them: {name: its tags}."""
    lines = [line.strip().split("|") for line in lvm("lvs", "--noheadings", "--separator", "|", "-o", "lv_name,lv_tags", DOMAIN).splitlines()]
    return {name: set(tags.split(",")) for name, tags in lines if len(name) == 36}


def is_open(name):
    """Has anybody the volume open here?"""
    return subprocess.run(["dmsetup", "info", "-c", "--noheadings", "-o", "open", "/dev/%s/%s" % (DOMAIN, name)], check=True, stdout=subprocess.PIPE,
                          text=True).stdout.strip() != "0"


def actives():
    """The volumes that are active here."""
    return {n for n in os.listdir("/dev/" + DOMAIN) if len(n) == 36}


def task(verb, **params):
    """The code of its end."""
    code = wait_task(c, c.call(verb, storagepoolID=POOL, **params), 150)["code"]
    if code:
        diag("%s: %d" % (verb, code))
    return code


def volume(image, name):
    return {"storagedomainID": DOMAIN, "imageID": image, "volumeID": name}


def create_params(image, name, size, fmt, alloc, parent=None, initial=None):
    return dict(volume(image, name), size=str(size), volFormat=fmt, preallocate=alloc, diskType="DATA", desc="a disk",
                srcImgUUID=image if parent else BLANK, srcVolUUID=parent or BLANK, initialSize=initial)


def create(*args, **kw):
    return task("Volume.create", **create_params(*args, **kw))


def info(image, name):
    return c.call("Volume.getInfo", storagepoolID=POOL, **volume(image, name))


def size(image, name):
    """MiB that its volume has"""
    return int(info(image, name)["apparentsize"]) // MIB


def acquired():
    return c.call("Host.getStorageRepoStats", domains=[DOMAIN]).get(DOMAIN, {}).get("acquired")


def manage():
    """This host has its number and is the manager."""
    assert wait_until(acquired, 150), "no number in the domain"
    assert become_spm(c, POOL, 150)["code"] == 0


def restart(**environment):
    """Killed, if it is not dead, and started again."""
    global c
    c.close()
    if lab.agent.poll() is None:
        lab.kill_agent()
    os.environ.update(environment)
    lab.start_agent()
    for name in environment:
        del os.environ[name]
    c = lab.client()
    c.call_when_ready("Host.ping2", timeout=60)
    return c
