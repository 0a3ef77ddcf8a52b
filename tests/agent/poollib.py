# SPDX-License-Identifier: Apache-2.0
"""What the tests of pools and leases share: domains on directories, and a pool of them."""
import atexit
import os
import signal
import subprocess

from agentlib import *  # noqa: F401,F403
from agentlib import Failed, diag, is_, new_id, ok, run, wait_until

LOCAL, POSIX = 4, 6


def make_domain(lab, c, name, kind=LOCAL, connect_only=None, klass=1):
    """A domain in a directory of the lab, connected. connect_only: the id of one that is there."""
    path = lab.path(name)
    os.makedirs(path, exist_ok=True)
    [answer] = c.call("StoragePool.connectStorageServer", storagepoolID="0" * 8 + "-0000-0000-0000-" + "0" * 12, domainType=kind,
                      connectionParams=[{"id": new_id(), "connection": path}])
    assert answer["status"] == 0, answer
    domain = connect_only or new_id()
    if not connect_only:
        c.call("StorageDomain.create", storagedomainID=domain, domainType=kind, typeArgs=path, name=os.path.basename(name), domainClass=klass, version=5)
    return domain


def times(io_timeout=10):
    return {"lockRenewalIntervalSec": 5, "leaseTimeSec": 60, "ioOpTimeoutSec": io_timeout, "leaseRetries": 3}


def create_pool(c, pool, master, domains, version=1, name="dc", io_timeout=10):
    return c.call("StoragePool.create", storagepoolID=pool, name=name, masterSdUUID=master, masterVersion=version, domainList=domains, **times(io_timeout))


def reconstruct(c, pool, master, domains, version, host=1, name="new"):
    return c.call("StoragePool.reconstructMaster", storagepoolID=pool, hostId=host, name=name, masterSdUUID=master, masterVersion=version,
                  domainDict=domains, **times())


def refused(code, title, function, *arguments, **named):
    """One point: the function's call fails with that code."""
    try:
        result = function(*arguments, **named)
    except Failed as e:
        is_(e.code, code, title)
        return e.message
    ok(False, title)
    diag("it answered %r" % (result,))
    return ""


def connect_pool(c, pool, master, domains, version=1, host=1):
    return c.call("StoragePool.connect", storagepoolID=pool, hostID=host, scsiKey=pool, masterSdUUID=master, masterVersion=version, domainDict=domains)


def wait_task(c, task, seconds=60):
    """The task's status when it is finished; it is cleared."""
    assert wait_until(lambda: c.call("Task.getStatus", taskID=task)["taskState"] == "finished", seconds), "task %s does not finish" % task
    status = c.call("Task.getStatus", taskID=task)
    c.call("Task.clear", taskID=task)
    return status


def become_spm(c, pool, seconds=60):
    return wait_task(c, c.call("StoragePool.spmStart", storagepoolID=pool, prevID=-1, prevLver="-1", enableScsiFencing="false"), seconds)


def wait_valid(c, domain, valid=True, seconds=60):
    """The monitor has seen the domain so."""
    def seen():
        stats = c.call("Host.getStorageRepoStats", domains=[domain]).get(domain, {})
        return stats.get("actual") and stats["valid"] == valid

    return wait_until(seen, seconds)


class SlowDisk:
    """A file system whose disk can be made to hang, or to go: a loop device on a file that qemu-storage-daemon serves (FUSE)."""

    def __init__(self, lab, name, mib=64):
        self.directory, self.loop, self.bytes = lab.path(name), None, mib << 20
        self.image, self.served = lab.path(name + ".img"), lab.path(name + ".served")
        with open(self.image, "wb") as f:
            f.truncate(self.bytes)
        run("mkfs.ext4", "-q", "-F", self.image)
        open(self.served, "w").close()
        os.mkdir(self.directory)
        atexit.register(self.end)
        self.begin()

    def begin(self):
        self.daemon = subprocess.Popen(["qemu-storage-daemon", "--blockdev", "driver=file,node-name=disk,filename=" + self.image,
                                        "--export", "type=fuse,id=x,node-name=disk,writable=on,mountpoint=" + self.served], stderr=subprocess.DEVNULL)
        if not wait_until(lambda: os.path.getsize(self.served) == self.bytes, 20):
            raise Failed(-5, "qemu-storage-daemon serves nothing")
        self.loop = run("losetup", "-f", "--show", self.served)
        run("mount", self.loop, self.directory)

    def go(self):
        """Every access to the disk fails from now on."""
        run("sync", "-f", self.directory)
        self.daemon.kill()
        self.daemon.wait()

    def come_back(self):
        self.unmount()
        subprocess.run(["umount", "-l", self.served], stderr=subprocess.DEVNULL)
        self.begin()

    def hang(self):
        """Nothing is read any more, not from memory either."""
        run("sync", "-f", self.directory)
        for path in (self.loop, self.served):
            fd = os.open(path, os.O_RDONLY)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)
        self.daemon.send_signal(signal.SIGSTOP)

    def mend(self):
        self.daemon.send_signal(signal.SIGCONT)

    def unmount(self):
        for command in (["umount", "-l", self.directory], ["losetup", "-d", self.loop] if self.loop else []):
            if command:
                subprocess.run(command, stderr=subprocess.DEVNULL)

    def end(self):
        self.mend()
        self.unmount()
        self.daemon.terminate()
        self.daemon.wait()
