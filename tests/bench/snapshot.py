#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How long a guest that writes is held up by VM.snapshot with freeze and thaw, beside libvirt's own quiesced snapshot, in turns in one run; and by the move of
a disk to other storage.

In the guest a loop writes a block, waits until it is on the disk, and notes the time; the longest pause between two notes is what counts.
"""
import os
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "agent"))
from benchlib import Report  # noqa: E402
from snaplib import Beat, Disk, Failed, Guest, Lab, Storage  # noqa: E402

ROUNDS = 7
report = Report()


def ours(lab, c, g, d, volume):
    c.call("VM.snapshot", vmID=g.id, snapDrives=[d.snap(volume)])


def libvirts(lab, c, g, d, volume):
    lab.virsh("snapshot-create-as", g.name, "--disk-only", "--atomic", "--quiesce", "--no-metadata", "--reuse-external", "--diskspec",
              "vda,snapshot=external,file=" + d.path(volume))


def stall(lab, c, g, d, take):
    """ms"""
    volume = d.grow()
    beat = Beat(g)
    take(lab, c, g, d, volume)
    d.volume = volume
    return 1000 * beat.pauses()[-1]


def move(c, g, other):
    """To the other storage, as an engine does it; ms"""
    d = g.disks[0]
    copy = Disk.__new__(Disk)
    copy.storage, copy.image, copy.size, copy.volumes, copy.volume = other, d.image, d.size, [d.volume], d.volume
    other.create(copy, d.volume, 4)
    beat = Beat(g)
    c.call("VM.diskReplicateStart", vmID=g.id, srcDisk=d.ids(), dstDisk=copy.ids())
    while True:
        try:
            c.call("VM.diskReplicateFinish", vmID=g.id, srcDisk=d.ids(), dstDisk=copy.ids())
            break
        except Failed as e:             # it is not ready yet
            if e.code != 40:
                raise
            beat.go_on(1)
    g.disks[0] = copy
    d.delete(d.volume, force=True)
    return 1000 * beat.pauses()[-1]


def main():
    lab = Lab()
    lab.config["agent"]["log_level"] = "info"
    lab.start()
    c = lab.client()
    c.call_when_ready("Host.ping2")
    d = Storage(lab, c).disk()
    g = Guest(lab, c, [d])
    got = {ours: [], libvirts: []}
    for i in range(ROUNDS):
        for take in (ours, libvirts) if i % 2 else (libvirts, ours):
            got[take].append(stall(lab, c, g, d, take))
            if take is libvirts:        # the agent did not see it: the ids are set right by a new start
                c.call("VM.destroy", vmID=g.id)
                g.create()
    report.add("snapshot_stall_libvirt", statistics.median(got[libvirts]), "ms", None)
    report.add("snapshot_stall", statistics.median(got[ours]), "ms", None)
    report.add("snapshot_stall_more_than_libvirt", statistics.median(got[ours]) - statistics.median(got[libvirts]), "ms", 300)
    c.call("VM.destroy", vmID=g.id)
    s, other = Storage(lab, c, "one"), Storage(lab, c, "other")
    g = Guest(lab, c, [s.disk()])
    moves = [move(c, g, other if i % 2 == 0 else s) for i in range(ROUNDS)]
    report.add("replicate_stall", statistics.median(moves), "ms", 200)
    c.call("VM.destroy", vmID=g.id)
    return report.status()


sys.exit(main())
