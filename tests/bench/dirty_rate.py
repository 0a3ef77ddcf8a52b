#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What it costs a guest that its dirty rate is measured, and how well that is done: a guest that writes memory all the time, in turns measured and not.

Its throughput is what it wrote for each second of its virtual CPU's time (so that what else the host does counts for little), and for each second of
its clock. The measuring thread's own time on the host is told beside it. How much memory it really changed is known, because it counts.
"""
import glob
import os
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "agent"))
from agentlib import Lab, new_id, wait_until  # noqa: E402
from benchlib import TICK, Report  # noqa: E402

ROUNDS, SECONDS = 10, 5
RING_MIB, PIECE_MIB = 64, 2
report, told = Report(), []
lab = Lab()
lab.start()
c = lab.client()
c.call_when_ready("Host.ping2")
vm = new_id()
c.call("VM.create", vmID=vm, vmParams=lab.params(memSize=256, disk=False))
c.wait_status(vm, "Up")
# One of seven patterns over the ring, so that no page is as it was a round before.
lab.inside("mkdir /tmp/d; mount -t tmpfs -o size=%dm tmpfs /tmp/d; cd /tmp/d; for i in 0 1 2 3 4 5 6; do dd if=/dev/urandom of=s$i bs=1M count=%d 2>/dev/null; done; "
           "dd if=/dev/zero of=ring bs=1M count=%d 2>/dev/null" % (RING_MIB + 8 * PIECE_MIB + 4, PIECE_MIB, RING_MIB), timeout=120)


def threads(pid, vcpu):
    """Time of the threads that are a virtual CPU, or of those that are not, s."""
    total = 0
    for path in glob.glob("/proc/%d/task/*" % pid):
        try:
            with open(path + "/comm") as f:
                is_vcpu = f.read().startswith("CPU ")
            with open(path + "/stat") as f:
                fields = f.read().rpartition(")")[2].split()
        except OSError:
            continue                    # it has ended
        if is_vcpu == vcpu:
            total += (int(fields[11]) + int(fields[12])) / TICK
    return total


def pause():
    time.sleep(SECONDS)


def measure():
    """Second by second: in one the guest does not come to the same pattern again."""
    found = []
    for _ in range(SECONDS):
        c.call("VM.startDirtyRate", vmID=vm, seconds=1)
        if not wait_until(lambda: c.call("VM.getDirtyRate", vmID=vm)["status"] == "measured", 60):
            raise SystemExit("the measurement does not end")
        found.append(c.call("VM.getDirtyRate", vmID=vm)["rate"])
    told.append(statistics.mean(found))


def sample():
    pieces, clock = (float(x) for x in lab.inside("echo $(wc -c < /tmp/d/n) $(cut -d' ' -f1 /proc/uptime)", timeout=60).split())
    return pieces * PIECE_MIB, clock, threads(pid, True), threads(pid, False)


def window(what):
    """MiB that were written in a second of the virtual CPU, in one of the guest's clock; time of other threads a second."""
    before = sample()
    what()
    written, clock, vcpu, others = (b - a for a, b in zip(before, sample()))
    return written / vcpu, written / clock, others / clock


def main():
    measure()
    report.add("dirty_rate_idle", told[-1], "MiB/s", 5)
    lab.inside("cd /tmp/d; (n=0; while [ ! -e stop ]; do dd if=s$((n/%d%%7)) of=ring bs=%dM count=1 seek=$((n%%%d)) conv=notrunc; n=$((n+1)); printf x >> n; done) "
               ">/dev/null 2>&1 </dev/null &" % (RING_MIB // PIECE_MIB, PIECE_MIB, RING_MIB // PIECE_MIB))
    wait_until(lambda: lab.inside("wc -c < /tmp/d/n") not in ("", "0"), 30)
    found = {pause: [], measure: []}
    rates = []
    for i in range(ROUNDS):
        for what in (pause, measure) if i % 2 else (measure, pause):
            found[what].append(window(what))
        real = min(found[measure][-1][1], RING_MIB)
        rates.append(told[-1] / real)
        print("vCPU %.1f, measured %.1f MiB/s; clock %.1f, measured %.1f MiB/s; told %.1f MiB/s, real %.1f" % (
            found[pause][-1][0], found[measure][-1][0], found[pause][-1][1], found[measure][-1][1], told[-1], real), flush=True)
    plain, measured = ([statistics.median(w[k] for w in found[what]) for k in range(3)] for what in (pause, measure))
    report.add("dirty_rate_of_written", statistics.mean(rates), "times", 1.2)
    report.add("dirty_rate_written_of_it", 1 / statistics.mean(rates), "times", 1.25)
    report.add("dirty_rate_cost_vcpu", 100 * (1 - measured[0] / plain[0]), "%", None)
    report.add("dirty_rate_cost_clock", 100 * (1 - measured[1] / plain[1]), "%", None)
    report.add("dirty_rate_thread", 100 * (measured[2] - plain[2]), "% of a CPU", None)
    c.call("VM.destroy", vmID=vm)
    return report.status()


pid = lab.qemus()["guest"]
sys.exit(main())
