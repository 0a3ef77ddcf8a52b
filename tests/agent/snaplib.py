# SPDX-License-Identifier: Apache-2.0
"""What the tests of volumes under a running VM share: a storage domain, a guest on two of its volumes, and four views of a chain that must agree.

    s = Storage(lab, c)                  a local storage domain, active
    d = s.disk()                         an image with one volume that holds a file system; d.volume: the active one; d.grow(): a new one on top of it
    g = Guest(lab, s, [d, ...])          a VM on them, its agent is there, the file systems are /data and /vdb, ...; g.sh("command")
    same_chain(g, d, [top, ..., base], "name")      libvirt, QEMU, the files and the metadata say so, and the domain's metadata name the top
"""
import base64
import glob
import re
import xml.etree.ElementTree as ET
from agentlib import *

OVIRT = "{http://ovirt.org/vm/1.0}"
BLANK = "00000000-0000-0000-0000-000000000000"
SIZE = 64 << 20


def wait_job(c, job, timeout=PATIENCE):
    """The end of a job, in the form of Host.getJobs; its events wake us."""
    end = time.monotonic() + timeout

    def state():
        return c.call("Host.getJobs", job_ids=[job]).get(job, {"status": "unknown"})
    while True:
        mark = c.mark()
        now = state()
        if now["status"] in ("done", "failed", "aborted", "unknown"):
            return now
        with c.changed:
            if not c.changed.wait_for(lambda: any(m == "|jobs|status|" + job for _, m, _ in c.events[mark:]) or c.closed, end - time.monotonic()):
                raise Failed(-4, "job %s is %r after %g s" % (job, now, timeout))


class Disk:
    def __init__(self, storage, format=4, size=SIZE):
        self.storage, self.image, self.volume, self.size = storage, new_id(), new_id(), size
        self.volumes = [self.volume]
        storage.create(self, self.volume, format)
        form = "qcow2" if format == 4 else "raw"
        run("qemu-img", "convert", "-n", "-f", "qcow2", "-O", form, os.path.join(storage.lab.guest, "data.qcow2"), self.path(self.volume))

    def path(self, volume=None):
        return os.path.join(self.storage.directory, self.storage.domain, "images", self.image, volume or self.volume)

    def ids(self, volume=None):
        return {"poolID": self.storage.pool, "domainID": self.storage.domain, "imageID": self.image, "volumeID": volume or self.volume}

    def grow(self, size=None):
        """What an engine does before a snapshot: a new volume, based on the active one. It becomes the active one with the snapshot."""
        volume = new_id()
        self.storage.create(self, volume, 4, self.volume, size=size)
        self.volumes.append(volume)
        return volume

    def snap(self, volume):
        """The disk's entry in snapDrives."""
        return {"domainID": self.storage.domain, "imageID": self.image, "baseVolumeID": self.volume, "volumeID": volume}

    def info(self, volume):
        return self.storage.c.call("Volume.getInfo", volumeID=volume, storagepoolID=self.storage.pool, storagedomainID=self.storage.domain, imageID=self.image)

    def delete(self, volume, force=False):
        """Waits for it; the end of its task."""
        return self.storage.task("Volume.delete", volumeID=volume, storagepoolID=self.storage.pool, storagedomainID=self.storage.domain, imageID=self.image,
                                 postZero=False, force=force)


class Storage:
    def __init__(self, lab, c, name="sd"):
        self.lab, self.c, self.pool, self.domain, self.directory = lab, c, new_id(), new_id(), lab.path(name)
        if not os.path.isdir(self.directory):
            os.mkdir(self.directory)
        c.call("StoragePool.connectStorageServer", domainType=4, storagepoolID=self.pool,
               connectionParams=[{"id": new_id(), "connection": self.directory}])
        c.call("StorageDomain.create", storagedomainID=self.domain, domainType=4, typeArgs=self.directory, name=name, domainClass=1, version=5)
        c.call("StorageDomain.attach", storagedomainID=self.domain, storagepoolID=self.pool)
        c.call("StorageDomain.activate", storagedomainID=self.domain, storagepoolID=self.pool)

    def task(self, verb, **params):
        return wait_job(self.c, self.c.call(verb, **params))

    def create(self, disk, volume, format, parent=None, size=None, image=None):
        end = self.task("Volume.create", volumeID=volume, storagepoolID=self.pool, storagedomainID=self.domain, imageID=image or disk.image,
                        size=str(size or disk.size), volFormat=format, preallocate=2, diskType="DATA", desc="test", srcImgUUID=disk.image if parent else BLANK,
                        srcVolUUID=parent or BLANK)
        if end["status"] != "done":
            raise Failed(-5, "volume: %r" % end)

    def disk(self, **kw):
        return Disk(self, **kw)

    def volume(self, size):
        """A raw volume of its own, for memory."""
        image, volume = new_id(), new_id()
        self.create(None, volume, 5, size=size, image=image)
        return image, volume


def generation(lab, name="guest"):
    """What the guest's VM generation device says."""
    data = lab.inside("dd if=/sys/firmware/qemu_fw_cfg/by_name/etc/vmgenid_guid/raw bs=1 skip=40 count=16 2>/dev/null | od -An -tx1", name)
    return str(uuid.UUID(bytes_le=bytes.fromhex(data.replace(" ", ""))))


class Saved:
    """A VM that booted once, and is restored from its memory whenever one that runs is needed: a second instead of a boot.

        saved = Saved(s, params); saved.wake(); ...; c.call("VM.destroy", vmID=saved.id); saved.wake()
    """

    def __init__(self, storage, params):
        self.storage, self.id, self.params = storage, new_id(), params
        image, volume = storage.volume(512 << 20)
        self.memory = {"poolID": storage.pool, "domainID": storage.domain, "imageID": image, "volumeID": volume}
        self.create()
        mark = self.c.mark()
        self.c.call("VM.hibernate", vmID=self.id, hibernationVolHandle=self.memory)
        self.c.wait_status(self.id, "Down", since=mark)
        self.c.call("VM.destroy", vmID=self.id)

    @property
    def c(self):
        return self.storage.c                # the agent may have been started anew

    def create(self, **more):
        mark = self.c.mark()
        self.c.call("VM.create", vmID=self.id, vmParams=dict(self.params, **more))
        self.c.wait_event(self.id, lambda e: e.get("appsList"), since=mark)

    def wake(self):
        """Its agent has told of it."""
        self.create(memoryDumpVolume=self.memory)


class Guest:
    def __init__(self, lab, c, disks, name="guest", **more):
        self.lab, self.c, self.id, self.name, self.disks = lab, c, new_id(), name, disks
        self.create(**more)

    def params(self, **more):
        p = self.lab.params(name=self.name, disk=False)
        p["devices"] += [dict(d.ids(), type="disk", device="disk", iface="virtio", format="cow", index=i) for i, d in enumerate(self.disks)]
        p.update(more)
        return p

    def create(self, **more):
        mark = self.c.mark()
        self.c.call("VM.create", vmID=self.id, vmParams=self.params(**more))
        self.c.wait_status(self.id, "Up", since=mark)
        for i in range(1, len(self.disks)):
            self.sh("grep -q /dev/%s /proc/mounts || { mkdir -p /%s && mount -t ext4 /dev/%s /%s; }" % ((self.target(i),) * 4))

    def target(self, i):
        return "vd" + chr(ord("a") + i)

    def agent(self, command, **arguments):
        answer = self.lab.virsh("qemu-agent-command", self.name, json.dumps({"execute": command, "arguments": arguments}))
        return json.loads(answer)["return"]

    def start(self, script):
        """In the background; its pid, for ended()."""
        return self.agent("guest-exec", path="/bin/sh", arg=["-c", script], **{"capture-output": True})["pid"]

    def ended(self, pid, timeout=PATIENCE):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            status = self.agent("guest-exec-status", pid=pid)
            if status["exited"]:
                return status.get("exitcode"), base64.b64decode(status.get("out-data", "")).decode()
            time.sleep(0.02)            # qemu-ga has no event for it
        raise Failed(-6, "the guest's command does not end")

    def sh(self, script):
        code, out = self.ended(self.start(script))
        if code:
            raise Failed(-7, "in the guest: %s: status %d: %s" % (script, code, out))
        return out.strip()

    def fill(self, name, kib=640, where="/data"):
        """Random bytes in a file, on the disk when it returns; their checksum."""
        return self.sh("dd if=/dev/urandom of=%s/%s bs=1k count=%d conv=fsync 2>/dev/null && md5sum < %s/%s" % (where, name, kib, where, name)).split()[0]

    def sum(self, name, where="/data"):
        """Of what is on the disk, not in the guest's cache."""
        return self.sh("echo 3 > /proc/sys/vm/drop_caches; md5sum < %s/%s" % (where, name)).split()[0]

    def is_frozen(self):
        return self.agent("guest-fsfreeze-status") == "frozen"

    def qmp(self, command, **arguments):
        return json.loads(self.lab.virsh("qemu-monitor-command", self.name, json.dumps({"execute": command, "arguments": arguments})))["return"]

    def xml(self):
        return ET.fromstring(self.lab.virsh("dumpxml", self.name))

    def disk_xml(self, disk):
        target = self.target(self.disks.index(disk))
        return next(d for d in self.xml().iter("disk") if d.find("target").get("dev") == target)

    def metadata(self, disk):
        """The disk's ids in the domain."""
        target = self.target(self.disks.index(disk))
        device = next(d for d in self.xml().iter(OVIRT + "device") if d.get("name") == target)
        return {e.tag[len(OVIRT):]: e.text if e.text is not None else {k.tag[len(OVIRT):]: k.text for k in e} for e in device}

    def libvirt_chain(self, disk):
        node, chain = self.disk_xml(disk), []
        while node is not None and node.find("source") is not None:
            chain.append(os.path.basename(node.find("source").get("file")))
            node = node.find("backingStore")
        return chain

    def qemu_chain(self, disk):
        """What QEMU has open for the disk, from the top."""
        nodes = self.qmp("query-block")
        mine = [n for n in nodes if n.get("inserted") and disk.image in n["inserted"]["image"]["filename"]]
        image, chain = mine[0]["inserted"]["image"] if mine else None, []
        while image:
            found = re.findall(r"[0-9a-f]{8}-[0-9a-f-]{27}", image["filename"])
            chain.append(found[-1])
            image = image.get("backing-image")
        return chain

    def jobs(self):
        """QEMU's block jobs."""
        return self.qmp("query-block-jobs")


class Beat:
    """In the guest a loop writes a block, waits until it is on the disk, and notes the time."""
    LOOP = ("rm -f /run/stop /run/times; while [ ! -e /run/stop ]; do dd if=/dev/zero of=/data/written bs=4k count=1 conv=notrunc,fsync 2>/dev/null; "
            "cut -d' ' -f1 /proc/uptime; done > /run/times")

    def __init__(self, guest):
        self.guest = guest
        guest.sh("rm -f /run/times")
        self.writer = guest.start(self.LOOP)
        guest.sh("until [ -s /run/times ]; do usleep 20000; done")
        self.go_on()

    def go_on(self, times=10):
        """Until it has written so many times more."""
        self.guest.sh("n=$(wc -l < /run/times); while [ $(wc -l < /run/times) -lt $((n + %d)) ]; do usleep 20000; done" % times)

    def pauses(self):
        """s between two writes, the shortest first; it ends."""
        self.go_on()
        self.guest.sh("touch /run/stop")
        self.guest.ended(self.writer)
        times = [float(t) for t in self.guest.sh("cat /run/times").split()]
        return sorted(b - a for a, b in zip(times, times[1:]))


def file_chain(disk, top):
    infos = json.loads(run("qemu-img", "info", "-U", "--backing-chain", "--output=json", disk.path(top)))
    return [os.path.basename(i["filename"]) for i in infos]


def stored_chain(disk, top):
    chain, volume = [], top
    while volume != BLANK:
        chain.append(volume)
        volume = disk.info(volume)["parent"]
    return chain


def same_chain(guest, disk, expected, name):
    views = {"libvirt": guest.libvirt_chain(disk), "QEMU": guest.qemu_chain(disk), "files": file_chain(disk, expected[0]),
             "storage": stored_chain(disk, expected[0])}
    top = guest.metadata(disk)["volumeID"]
    good = all(v == expected for v in views.values()) and top == expected[0] and not guest.jobs()
    if not ok(good, name):
        diag("expected: %r" % expected)
        for view, chain in views.items():
            diag("%s: %r" % (view, chain))
        diag("the domain's metadata: %s; QEMU's jobs: %r" % (top, guest.jobs()))
    return good


class Saver:
    """The process that writes what libvirt saves of a VM's memory stops before it has read anything, the next time there is one: nothing is saved until go_on()."""
    HELPER = "/usr/lib/libvirt/libvirt_iohelper"

    def __init__(self, lab):
        self.libvirtd, self.pid = lab.libvirtd_do("pid"), None
        real, other, armed = lab.path("iohelper"), lab.path("iohelper.sh"), lab.path("iohelper.armed")
        shutil.copy(self.HELPER, real)
        for path, text in (armed, ""), (other, '#!/bin/sh\n[ ! -e "%s" ] || { rm "%s"; kill -STOP $$; }\nexec "%s" "$@"\n' % (armed, armed, real)):
            with open(path, "w") as f:
                f.write(text)
        os.chmod(other, 0o755)
        run(os.path.join(LABDIR, "libvirtd.sh"), "sh", lab.libvirtd, "mount", "--bind", other, self.HELPER)

    def stopped(self):
        for path in glob.glob("/proc/%s/task/*/children" % self.libvirtd):
            try:
                with open(path) as f:
                    pids = f.read().split()
                for pid in pids:
                    with open("/proc/%s/cmdline" % pid) as f, open("/proc/%s/stat" % pid) as g:
                        if "iohelper" in f.read() and g.read().rsplit(")", 1)[1].split()[0] == "T":
                            return int(pid)
            except OSError:
                pass                # it has ended
        return None

    def wait(self):
        if not wait_until(self.stopped, PATIENCE):
            bail("nobody saves memory")
        self.pid = self.stopped()

    def go_on(self):
        os.kill(self.pid, signal.SIGCONT)


def wait_log(lab, text, timeout=PATIENCE):
    """Until the agent's log says it."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if re.search(text, lab.agent_log()):
            return True
        time.sleep(0.02)
    return False
