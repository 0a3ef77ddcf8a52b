#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Volumes of the agent against the bare tools on the same data in the same run: copy, export, import, a 1 TiB thin volume made and deleted, and a
domain of 10,000 volumes. One JSON object a line; the exit status is 1 when a limit is missed.

    storage.py [MIB]          default: 768 MiB of random data for each copy
"""
import os
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "agent"))
from benchlib import Report  # noqa: E402
from volumelib import COW, MIB, RAW, Domain, Lab, new_id, os, run, sdm, task, wait_job  # noqa: E402

ROUNDS = 5
VOLUMES = 10000
TIMES_BARE = 1 / 0.9      # at least 0.9 times its throughput

report = Report()
lab = Lab()
lab.start()
c = lab.client()
c.call_when_ready("Host.ping2")
a = Domain(lab, c)
b = Domain(lab, c, "other", a.pool)
size = int(sys.argv[1]) * MIB if len(sys.argv) > 1 else 768 * MIB


def seconds(act):
    begun = time.monotonic()
    act()
    return time.monotonic() - begun


def bare(*arguments):
    """What the job does, too, when it is over: the data are on the disk."""
    run("qemu-img", *arguments)
    fd = os.open(arguments[-1], os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


def against(name, ours, theirs):
    """In turns, so that what else the machine does hits both."""
    mine, yours = [], []
    for i in range(ROUNDS):
        yours.append(theirs())
        mine.append(ours())
    report.add("storage: %s, time of bare qemu-img convert" % name, statistics.median(mine) / statistics.median(yours), "x", TIMES_BARE)


def done(end):
    assert end["status"] == "done", end


# ---- data ----

source = a.volume(format=RAW, size=size)
with open(source.path(), "r+b") as f:
    for at in range(0, size, 16 * MIB):
        f.write(os.urandom(16 * MIB))
    os.fsync(f.fileno())
os.system("cat %s > /dev/null" % source.path())
out = lab.path("out")


def copy():
    target = b.volume(format=COW, size=size)
    taken = seconds(lambda: done(sdm(c, "SDM.copy_data", source=source.end(), destination=target.end())))
    task(c, "Volume.delete", postZero=False, force=True, **target.ids())
    return taken


def bare_copy():
    run("qemu-img", "create", "-q", "-f", "qcow2", out, str(size))
    taken = seconds(lambda: bare("convert", "-n", "-f", "raw", "-O", "qcow2", source.path(), out))
    os.unlink(out)
    return taken


def export(format, options):
    def mine():
        taken = seconds(lambda: done(wait_job(c, c.call("Volume.convert", url="file://" + out, format=format, **source.ids()))))
        os.unlink(out)
        return taken

    def theirs():
        taken = seconds(lambda: bare("convert", "-f", "raw", "-O", format, *options, source.path(), out))
        os.unlink(out)
        return taken
    against("export to " + format, mine, theirs)


def fetch():
    target = b.volume(format=RAW, size=size)
    taken = seconds(lambda: done(sdm(c, "SDM.copy_data", source={"endpoint_type": "external", "url": "file://" + lab.path("in"), "format": "cow"},
                                     destination=target.end())))
    task(c, "Volume.delete", postZero=False, force=True, **target.ids())
    return taken


def bare_fetch():
    with open(out, "wb") as f:
        f.truncate(size)
    taken = seconds(lambda: bare("convert", "-n", "-f", "qcow2", "-O", "raw", lab.path("in"), out))
    os.unlink(out)
    return taken


against("copy", copy, bare_copy)
export("qcow2", [])
export("vpc", ["-o", "force_size=on"])
run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", source.path(), lab.path("in"))
against("import", fetch, bare_fetch)
os.unlink(lab.path("in"))
task(c, "Volume.delete", postZero=False, force=True, **source.ids())

# ---- thin ----


def ours():
    v = a.volume(size=1 << 40)
    task(c, "Volume.delete", postZero=False, force=False, **v.ids())


def theirs():
    run("qemu-img", "create", "-q", "-f", "qcow2", out, str(1 << 40))
    os.unlink(out)


pairs = [(seconds(ours), seconds(theirs)) for i in range(20)]
report.add("storage: 1 TiB thin volume made and deleted, time of bare qemu-img create and unlink",
           statistics.median(p[0] for p in pairs) / statistics.median(p[1] for p in pairs), "x", 2)

# ---- many ----

template = a.volume(format=RAW, size=MIB)
with open(template.path(".meta")) as f:
    meta = f.read()
for i in range(VOLUMES):
    image, volume = new_id(), new_id()
    directory = os.path.join(a.path(), "images", image)
    os.mkdir(directory)
    for name, text in ((volume, ""), (volume + ".lease", ""), (volume + ".meta", meta.replace(template.image, image))):
        with open(os.path.join(directory, name), "w") as f:
            f.write(text)
time.sleep(6)               # what changed a moment ago is looked at again each time; a domain of this size has been at rest for long
with open("/proc/sys/vm/drop_caches", "w") as f:
    f.write("3")


def volumes():
    assert len(c.call("StorageDomain.getVolumes", storagedomainID=a.id, storagepoolID=a.pool)) == VOLUMES + 1


cold = seconds(volumes)
warm = statistics.median(seconds(volumes) for i in range(10))
report.add("storage: %d volumes listed, cold" % VOLUMES, cold * 1000, "ms", 1000)
report.add("storage: %d volumes listed, warm" % VOLUMES, warm * 1000, "ms", 50)
c.call("StorageDomain.deactivate", storagedomainID=a.id, storagepoolID=a.pool, masterSdUUID="00000000-0000-0000-0000-000000000000", masterVersion=0)
taken = seconds(lambda: c.call("StorageDomain.activate", storagedomainID=a.id, storagepoolID=a.pool))
report.add("storage: a domain of %d volumes is activated" % VOLUMES, taken * 1000, "ms", 2000)
sys.exit(report.status())
