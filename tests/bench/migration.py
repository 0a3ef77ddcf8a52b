#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A guest goes to and fro between two hosts, by VM.migrate and by plain `virsh migrate` in turns: what the agents add to the whole time and to the downtime.

Both without encryption, without a limit of bandwidth and with the downtime allowed that QEMU allows by itself (the agents' own schedule begins with less,
which costs a round of the memory more). The whole time of VM.migrate is that from the call until both agents have told (Down with reason 4
here, Up there), that of virsh from its start to its end; the downtime is what libvirt counted, asked for in the same way after each.
"""
import os
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "agent"))
from benchlib import Report  # noqa: E402
from migratelib import Mover, Pair  # noqa: E402

ROUNDS = 25                     # the downtime is 40 or 100 ms, both ways: the median of a few is a matter of luck
SCHEDULE = {"init": [{"name": "setDowntime", "params": ["300"]}], "stalling": []}
MEMORY_MIB, USED_MIB = 768, 512
report = Report()


def ours(g, to):
    begun = time.monotonic()
    source = g.moved(to, g.migrate(to, encrypted=False, maxBandwidth=0, convergenceSchedule=SCHEDULE))
    taken = time.monotonic() - begun
    source.c.call("VM.destroy", vmID=g.id)
    return taken


def virsh(host, *arguments):
    done = subprocess.run(["virsh", "-q", "-c", host.uri, *arguments], check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise SystemExit("virsh %s: %s" % (arguments[0], done.stdout))


def plain(g, to):
    source, marks = g.host, {h: h.c.mark() for h in g.pair.hosts}
    begun = time.monotonic()
    virsh(source, "migrate", "--live", "--p2p", "--unsafe", g.name, "qemu+tls://%s/system?pkipath=%s" % (to.address, source.path("run/pki")),
          "tcp://" + to.address)
    taken = time.monotonic() - begun
    g.moved(to, marks)
    source.c.call("VM.destroy", vmID=g.id)
    return taken


def downtime(host, name):
    """ms; libvirt's own, of the job that was last."""
    for line in host.virsh("domjobinfo", name, "--completed").splitlines():
        if line.startswith("Total downtime:"):
            return float(line.split()[2])
    raise SystemExit("libvirt does not tell the downtime")


def main():
    pair = Pair()
    for h in pair.hosts:                        # virsh does not change the console's address on the way
        h.c.close()
        h.stop_agent()
        h.config["vm"]["display_address"] = "0.0.0.0"
        h.start_agent()
    g = Mover(pair, memSize=MEMORY_MIB, tick=False)
    g.host.inside("mount -t tmpfs -o size=%dm tmpfs /mnt && dd if=/dev/urandom of=/mnt/used bs=1M count=%d" % (USED_MIB + 16, USED_MIB), timeout=120)
    total, down = {ours: [], plain: []}, {ours: [], plain: []}
    for _ in pair.hosts:                        # virsh goes the agents' way: with the certificates that an agent lays out at its first migration
        ours(g, pair.other(g.host))
    for i in range(ROUNDS):
        for way in (ours, plain) if i % 2 else (plain, ours):
            to = pair.other(g.host)
            total[way].append(1000 * way(g, to))
            down[way].append(downtime(to, g.name))
            print("%s to %s: %.0f ms, downtime %.0f ms" % (way.__name__, to.name, total[way][-1], down[way][-1]))
    for name, numbers in (("total", total), ("downtime", down)):
        for way, whose in ((plain, "virsh_"), (ours, "")):
            report.add("migration_%s%s" % (whose, name), statistics.median(numbers[way]), "ms", None)
        report.add("migration_%s_beside_virsh" % name, statistics.median(numbers[ours]) / statistics.median(numbers[plain]), "times", 1.1)
    g.host.c.call("VM.destroy", vmID=g.id)
    return report.status()


sys.exit(main())
