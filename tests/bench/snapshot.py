#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How long a guest that writes is held up by VM.snapshot with freeze and thaw, beside libvirt's own quiesced snapshot, in turns in one run.

In the guest a loop writes a block, waits until it is on the disk, and notes the time; the longest pause between two notes is what counts.
"""
import os
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "agent"))
from benchlib import Report  # noqa: E402
from snaplib import Guest, Lab, Storage  # noqa: E402

ROUNDS = 7
WRITER = "while [ ! -e /run/stop ]; do dd if=/dev/zero of=/data/written bs=4k count=1 conv=notrunc,fsync 2>/dev/null; cut -d' ' -f1 /proc/uptime; done > /run/times"

report = Report()


def ours(lab, c, g, d, volume):
    c.call("VM.snapshot", vmID=g.id, snapDrives=[d.snap(volume)])


def libvirts(lab, c, g, d, volume):
    lab.virsh("snapshot-create-as", g.name, "--disk-only", "--atomic", "--quiesce", "--no-metadata", "--reuse-external", "--diskspec",
              "vda,snapshot=external,file=" + d.path(volume))


def stall(lab, c, g, d, take):
    """ms"""
    volume = d.grow()
    g.sh("rm -f /run/stop /run/times")
    writer = g.start(WRITER)
    g.sh("while [ ! -s /run/times ] || [ $(wc -l < /run/times) -lt 10 ]; do usleep 20000; done")
    take(lab, c, g, d, volume)
    d.volume = volume
    g.sh("n=$(wc -l < /run/times); while [ $(wc -l < /run/times) -lt $((n + 10)) ]; do usleep 20000; done; touch /run/stop")
    g.ended(writer)
    times = [float(t) for t in g.sh("cat /run/times").split()]
    return 1000 * max(b - a for a, b in zip(times, times[1:]))


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
    return report.status()


sys.exit(main())
