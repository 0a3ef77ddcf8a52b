#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What it costs a guest that its dirty rate is measured, and how well that is done: a guest that writes memory all the time, in turns measured and not.

How much memory it really changed is known, because it counts. What it costs is seen with a guest that does one thing only: one process writes a buffer
again and again. Its throughput is what it wrote for each second of its virtual CPU's time, so that what else the host does counts for little; windows
of a second are measured in one half and not in the other, many of them, in turns. The measuring thread's own time on the host is told beside it.
"""
import glob
import os
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "agent"))
from agentlib import Lab, new_id, wait_until  # noqa: E402
from benchlib import TICK, Report  # noqa: E402

ROUNDS, SECONDS, WINDOWS = 10, 5, 40
RING_MIB, PIECE_MIB = 64, 2
report = Report()
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


def measure():
    c.call("VM.startDirtyRate", vmID=vm, seconds=1)
    if not wait_until(lambda: c.call("VM.getDirtyRate", vmID=vm)["status"] == "measured", 60):
        raise SystemExit("the measurement does not end")
    return c.call("VM.getDirtyRate", vmID=vm)["rate"]


def mean_rate():
    """Second by second: in one the guest does not come to the same pattern again."""
    return statistics.mean(measure() for _ in range(SECONDS))


def told_of_written():
    """What is told, in shares of what was written."""
    lab.inside("cd /tmp/d; (n=0; while [ ! -e stop ]; do dd if=s$((n/%d%%7)) of=ring bs=%dM count=1 seek=$((n%%%d)) conv=notrunc; n=$((n+1)); printf x >> n; done; "
               "touch stopped) >/dev/null 2>&1 </dev/null &" % (RING_MIB // PIECE_MIB, PIECE_MIB, RING_MIB // PIECE_MIB))
    wait_until(lambda: lab.inside("wc -c < /tmp/d/n") not in ("", "0"), 30)
    shares = []
    for _ in range(ROUNDS):
        (n, clock), told, (n2, clock2) = written(), mean_rate(), written()
        shares.append(told / min((n2 - n) / (clock2 - clock), RING_MIB))
        print("told %.1f MiB/s, %.2f of what was written" % (told, shares[-1]), flush=True)
    lab.inside("touch /tmp/d/stop")
    if not wait_until(lambda: lab.inside("ls /tmp/d/stopped 2>/dev/null"), 60):
        raise SystemExit("the writer does not stop")
    return statistics.mean(shares)


def written():
    pieces, clock = (float(x) for x in lab.inside("echo $(wc -c < /tmp/d/n) $(cut -d' ' -f1 /proc/uptime)", timeout=60).split())
    return pieces * PIECE_MIB, clock


def window(what):
    """MiB written in a second of the virtual CPU; time of other threads in one of the guest's clock."""
    def sample():
        chars, clock = (float(x) for x in lab.inside("echo $(sed -n 's/rchar: //p' /proc/$(pidof dd)/io) $(cut -d' ' -f1 /proc/uptime)", timeout=60).split())
        return chars / (1 << 20), clock, threads(pid, True), threads(pid, False)
    before = sample()
    what()
    chars, clock, vcpu, others = (b - a for a, b in zip(before, sample()))
    return chars / vcpu, others / clock


def cost():
    lab.inside("dd if=/dev/zero of=/dev/null bs=1M </dev/null >/dev/null 2>&1 &")
    found = {rest: [], measure: []}
    for i in range(WINDOWS):
        for what in (rest, measure) if i % 2 else (measure, rest):
            found[what].append(window(what))
    lab.inside("killall dd")
    plain, measured = ([statistics.median(w[k] for w in found[what]) for k in range(2)] for what in (rest, measure))
    shares = [m[0] / r[0] for m, r in zip(found[measure], found[rest])]
    print("each window measured, of the one beside it: %s" % " ".join("%.3f" % x for x in sorted(shares)), flush=True)
    return 1 - statistics.median(shares), measured[1] - plain[1]


def rest():
    time.sleep(1)


def main():
    report.add("dirty_rate_idle", mean_rate(), "MiB/s", 5)
    share = told_of_written()
    report.add("dirty_rate_of_written", share, "times", 1.2)
    report.add("dirty_rate_written_of_it", 1 / share, "times", 1.25)
    slower, thread = cost()
    report.add("dirty_rate_cost", 100 * slower, "%", 3)
    report.add("dirty_rate_thread", 100 * thread, "% of a CPU", 3)
    c.call("VM.destroy", vmID=vm)
    return report.status()


pid = lab.qemus()["guest"]
sys.exit(main())
