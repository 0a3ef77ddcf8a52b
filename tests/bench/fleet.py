#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The engine with 1,000 hosts and 100,000 running VMs: start, how soon all agents are connected, memory, what requests cost beside the hosts' reports,
how soon a change at an agent is seen, how many changes a second it keeps. One JSON object a line.

The agents are made up (fleet-agents.c) and speak the real channel with TLS on both sides; the engine is the real one, in a process of its own, on
one processor; agents and clients have the other. HOSTS and VMS (of each host) in the environment make it smaller.
"""
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "engine"))
from benchlib import Report, cpu_seconds, pss_kib  # noqa: E402
from enginelib import BUILD, Engine  # noqa: E402

HOSTS = int(os.environ.get("HOSTS", "1000"))
VMS = int(os.environ.get("VMS", "100"))
LIMIT = 120
STEADY = 30                     # two rounds of what the agents say of their VMs
TIMES = 30

report = Report()


def helper(name, *args, **kwargs):
    """On the processor that is not the engine's: left alone, the kernel wakes a client beside whoever answers it."""
    return subprocess.Popen(["taskset", "-c", "1", os.path.join(BUILD, "tests", "bench", name)] + [str(a) for a in args], text=True, **kwargs)


def run(*args):
    process = helper("fleet-engine", *args, stdout=subprocess.PIPE)
    out, _ = process.communicate(timeout=600)
    if process.returncode != 0:
        sys.exit("fleet: fleet-engine %s failed" % args[0])
    return json.loads(out) if out else None


class Fleet:
    def __init__(self):
        self.engine = Engine(config="agent.verify_names=false\n", start=False)
        with open(self.engine.config) as f:
            text = f.read()
        with open(self.engine.config, "w") as f:
            f.write(text.replace("log_level=debug", "log_level=info"))
        self.agents = helper("fleet-agents", self.engine.dir, HOSTS, VMS, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.port = int(self.agents.stdout.readline())
        os.makedirs(self.engine.data, mode=0o700)
        run("fill", HOSTS, VMS, self.engine.data, self.port)

    def start(self):
        """Seconds from exec to READY."""
        begun = time.monotonic()
        self.engine.start()
        seconds = time.monotonic() - begun
        for thread in os.listdir("/proc/%d/task" % self.engine.process.pid):
            with contextlib.suppress(ProcessLookupError):       # a worker that had nothing to do any more
                os.sched_setaffinity(int(thread), {0})
        return seconds

    def connected(self):
        """Seconds until all agents are connected and have said what they are and which VMs run."""
        begun, n = time.monotonic(), 0
        while time.monotonic() < begun + LIMIT:
            n = int(re.search(r"^berth_hosts_connected (\d+)", self.engine.get("/metrics").text, re.M).group(1))
            if n == HOSTS:
                return time.monotonic() - begun
            time.sleep(0.05)
        return sys.exit("fleet: only %d of %d hosts are connected after %d s" % (n, HOSTS, LIMIT))

    def session(self):
        cookie = self.engine.get("/ovirt-engine/api", prefer="persistent-auth").headers.get("Set-Cookie")
        return re.search("JSESSIONID=([^;]+)", cookie).group(1)

    def load(self, kind, clients, seconds, *rate):
        cpu = cpu_seconds(self.engine.process.pid)
        ca = os.path.join(self.engine.dir, "ca.pem")
        found = run(kind, HOSTS, VMS, ca, self.engine.port, self.session(), clients, seconds, *rate)
        found["cpu"] = (cpu_seconds(self.engine.process.pid) - cpu) / (found["rate"] * seconds) * 1000
        return found

    def until_seen(self, host, vm, status, state):
        """Milliseconds from a change at the agent until a client sees the state, and the event with it."""
        path = "/ovirt-engine/api/vms/" + self.vm_id(host * VMS + vm)
        self.engine.get(path)
        begun = time.monotonic()
        self.agents.stdin.write("%d %d %s\n" % (host, vm, status))
        self.agents.stdin.flush()
        while "<state>%s</state>" % state not in self.engine.get(path).text:
            if time.monotonic() > begun + LIMIT:
                sys.exit("fleet: the VM is not %s after %d s: %s" % (state, LIMIT, self.engine.get(path).text))
        took = 1000 * (time.monotonic() - begun)
        if "<code>1025</code>" not in self.engine.get("/ovirt-engine/api/events;max=1").text:
            sys.exit("fleet: the pause of a VM is no event")
        return took

    @staticmethod
    def vm_id(v):
        return "%08x-0000-4000-9000-%012x" % (v * 2654435761 % 2**32, v)

    def close(self):
        self.engine.kill(15)
        shutil.rmtree(self.engine.dir, ignore_errors=True)
        self.agents.stdin.close()
        self.agents.wait(20)


def background(fleet, seconds=10):
    """CPU that the hosts' reports take, of one processor."""
    before = cpu_seconds(fleet.engine.process.pid)
    time.sleep(seconds)
    return (cpu_seconds(fleet.engine.process.pid) - before) / seconds


def cost(fleet, paths, share):
    """Milliseconds of the engine's CPU for one answer, without that share for the hosts' reports."""
    begun, cpu = time.monotonic(), cpu_seconds(fleet.engine.process.pid)
    for path in paths:
        answer = fleet.engine.raw("GET", path, headers={"Authorization": fleet.engine.basic(), "Accept": "application/json"})
        if answer.status != 200:
            sys.exit("fleet: %s: %r" % (path, answer))
    return 1000 * (cpu_seconds(fleet.engine.process.pid) - cpu - share * (time.monotonic() - begun)) / len(paths)


def measure(fleet):
    fleet.start()
    fleet.connected()
    fleet.engine.kill(15)
    report.add("fleet_start", fleet.start(), "s", 5)
    report.add("fleet_connected", fleet.connected(), "s", 6)
    pid = fleet.engine.process.pid
    cpu = cpu_seconds(pid)
    time.sleep(STEADY)
    report.add("fleet_steady_cpu", 100 * (cpu_seconds(pid) - cpu) / STEADY, "%", 15)
    report.add("fleet_memory_per_vm", pss_kib(pid) / (HOSTS * VMS), "KiB", 3)
    share = background(fleet)
    report.add("fleet_get_cpu", cost(fleet, ["/api/vms/" + fleet.vm_id(i * 31 % (HOSTS * VMS)) for i in range(3000)], share), "ms", 0.2)
    report.add("fleet_list_100_page_cpu", cost(fleet, ["/api/vms?search=name%%3Dvm-*%%20page%%20%d" % (i + 1) for i in range(100)], share), "ms", 10)
    report.add("fleet_list_100_sorted_page_cpu", cost(fleet, ["/api/vms?search=name%3Dvm-*%20sortby%20name%20page%2020"] * 20, share), "ms", 10)
    report.add("fleet_list_100_of_host_cpu", cost(fleet, ["/api/vms?search=host%3Dhost-0017%20page%201"] * 50, share), "ms", 10)
    report.add("fleet_list_1000_cpu", cost(fleet, ["/api/vms;max=1000"] * 50, share), "ms", 15)
    seen = sorted(fleet.until_seen(n % HOSTS, n // HOSTS, "Paused", "paused") for n in range(TIMES))
    report.add("fleet_change_seen_worst", seen[-1], "ms", 100)
    mixed = fleet.load("mixed", 16, 20, 10000)
    report.add("fleet_mixed_missing", 10000 - mixed["rate"], "1/s", 100)
    report.add("fleet_mixed_p99", mixed["p99"], "ms", 20)
    report.add("fleet_mixed_cpu", mixed["cpu"], "ms", None)
    changes = fleet.load("changes", 64, 10)
    report.add("fleet_changes_period", 1e6 / changes["rate"], "us", 200)
    report.add("fleet_changes_p99", changes["p99"], "ms", None)


def main():
    fleet = Fleet()
    try:
        measure(fleet)
    finally:
        fleet.close()
    return report.status()


sys.exit(main())
