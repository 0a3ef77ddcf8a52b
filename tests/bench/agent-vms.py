#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a real agent costs on a real libvirt. One JSON object a line; the exit status is 1 when a limit is missed.

    agent-vms.py [rest] [connections] [create] [stats]        default: all four

It has a libvirtd of its own (tests/lab). Names of processes below: A is the agent, L is that libvirtd.
"""
import ctypes
import os
import re
import statistics
import subprocess
import sys
import threading
import time

import libvirt

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "agent"))
from benchlib import Report, cpu_seconds, idle_connections, own_cpu, pss_kib, switches, wakeups  # noqa: E402
from agentlib import new_id  # noqa: E402
from tlslib import TlsLab, frame  # noqa: E402

CREATE_PAIRS = 7
VMS = 20
SAMPLES = 8             # periods of one second in each of the windows
WINDOWS = 5             # of each kind, in turns
QUIET = 20              # seconds watched at rest
CONNECTIONS = 500

report = Report()


def quiet_client(lab):
    c = lab.client()
    c.call_when_ready("Host.ping2")
    c.call("Host.setLogLevel", level="INFO")
    return c


# ---- at rest ----

def rest(lab):
    """No client, no VM, libvirt connected; what start-up did is over when its threads have ended (idle workers go after a while).

    The timers that are left are libvirt's keep-alive: each side sends a ping when it heard nothing for 5 s, and answers the other's. In the
    worst case these are 2 timers and 3 packets from the other side (its ping, and the answers) each 5 s: 1 wake-up a second.
    """
    pid = lab.agent.pid
    quiet_client(lab).close()
    end = time.monotonic() + 60
    while len(os.listdir("/proc/%d/task" % pid)) > 1 and time.monotonic() < end:
        time.sleep(0.2)
    report.add("agent_threads_at_rest", len(os.listdir("/proc/%d/task" % pid)), "threads", 1)
    before, cpu, begun = switches(pid), cpu_seconds(pid), time.monotonic()
    time.sleep(QUIET)
    seconds = time.monotonic() - begun
    report.add("agent_rest_wakeups", wakeups(before, switches(pid)) / seconds, "1/s", 2.0)
    report.add("agent_rest_cpu", 100 * (cpu_seconds(pid) - cpu) / seconds, "%", None)
    report.add("agent_rest_pss", pss_kib(pid) / 1024, "MiB", 12)


def connections(lab):
    """Open: TCP, TLS 1.3 with certificates on both sides, CONNECT with two SUBSCRIBEs, CONNECTED has come. Then they are idle."""
    hello = frame("CONNECT", accept_version="1.2", heart_beat="0,0") + frame("SUBSCRIBE", destination="jms.topic.vdsm_responses", id="r", ack="auto") + \
        frame("SUBSCRIBE", destination="jms.queue.events", id="e", ack="auto")
    idle_connections(report, "agent", lab.agent.pid, lab.port, lab.context("client"), CONNECTIONS, hello, b"CONNECTED\n", b"\0")


# ---- VM.create ----

class Started:
    """When libvirt tells that a domain runs."""

    def __init__(self, uri):
        libvirt.virEventRegisterDefaultImpl()
        self.closed = False
        self.thread = threading.Thread(target=self.loop, daemon=True)
        self.thread.start()
        self.changed = threading.Condition()
        self.seen = {}
        self.conn = libvirt.open(uri)
        self.conn.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self.event, None)

    def loop(self):
        while not self.closed:
            libvirt.virEventRunDefaultImpl()

    def close(self):
        """The loop must not go on beside the next measurements."""
        self.closed = True
        libvirt.virEventAddTimeout(0, lambda *a: None, None)
        self.thread.join()
        self.conn.close()

    def event(self, conn, domain, event, detail, opaque):
        with self.changed:
            self.seen[(domain.UUIDString(), event)] = time.monotonic()
            self.changed.notify_all()

    def wait(self, vm, event=libvirt.VIR_DOMAIN_EVENT_STARTED):
        with self.changed:
            if not self.changed.wait_for(lambda: (vm, event) in self.seen, 60):
                sys.exit("agent-vms: no event %d of %s within 60 s" % (event, vm))
            return self.seen.pop((vm, event))


def create(lab):
    """The same definition started in turns by VM.create of the agent and by `virsh create` (what `virsh start` does for a machine that is not
    kept). virsh is one process that is already connected, so its own start-up does not count in our favour. From giving the order
    until libvirt's event "started", seen by one and the same listener."""
    started = Started(lab.uri)
    c = quiet_client(lab)
    params = lab.params(name="bench")
    virsh = subprocess.Popen(["virsh", "-q", "-c", lab.uri], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, bufsize=1)
    ours, theirs = [], []
    for i in range(CREATE_PAIRS + 1):
        vm = new_id()
        begun = time.monotonic()
        xml = c.call("VM.create", vmID=vm, vmParams=params)["xml"]
        took = started.wait(vm) - begun
        c.call("VM.destroy", vmID=vm)
        started.wait(vm, libvirt.VIR_DOMAIN_EVENT_STOPPED)
        path = lab.path("bench.xml")
        with open(path, "w") as f:
            f.write(re.sub(r'passwd="[*]+"', 'passwd="secret"', xml))
        begun = time.monotonic()
        virsh.stdin.write("create %s\n" % path)
        took_virsh = started.wait(vm) - begun
        started.conn.lookupByUUIDString(vm).destroy()
        started.wait(vm, libvirt.VIR_DOMAIN_EVENT_STOPPED)
        if i:                           # the first pair warms the caches
            ours.append(took * 1000)
            theirs.append(took_virsh * 1000)
    virsh.stdin.close()
    virsh.wait()
    c.close()
    started.close()
    report.add("virsh_start", statistics.median(theirs), "ms", None)
    report.add("vm_create", statistics.median(ours), "ms", None)
    report.add("vm_create_over_virsh_start", statistics.median(a - b for a, b in zip(ours, theirs)), "ms", 150)


# ---- statistics ----

class BareCaller:
    """virConnectGetAllDomainStats as a C program would call it: no conversion of what comes, only freed. In a process of its own (bare())."""
    # what agent/virt/stats/vm_stats.c asks for
    WANTED = libvirt.VIR_DOMAIN_STATS_STATE | libvirt.VIR_DOMAIN_STATS_CPU_TOTAL | libvirt.VIR_DOMAIN_STATS_BALLOON | \
        libvirt.VIR_DOMAIN_STATS_VCPU | libvirt.VIR_DOMAIN_STATS_INTERFACE | libvirt.VIR_DOMAIN_STATS_BLOCK
    FLAGS = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT

    def __init__(self, uri):
        self.lib = ctypes.CDLL("libvirt.so.0")
        self.lib.virConnectOpen.restype = ctypes.c_void_p
        self.lib.virConnectOpen.argtypes = [ctypes.c_char_p]
        self.lib.virConnectGetAllDomainStats.argtypes = [ctypes.c_void_p, ctypes.c_uint, ctypes.POINTER(ctypes.c_void_p), ctypes.c_uint]
        self.lib.virDomainStatsRecordListFree.argtypes = [ctypes.c_void_p]
        self.conn = self.lib.virConnectOpen(uri.encode())

    def call(self):
        records = ctypes.c_void_p()
        n = self.lib.virConnectGetAllDomainStats(self.conn, self.WANTED, ctypes.byref(records), self.FLAGS)
        self.lib.virDomainStatsRecordListFree(records)
        return n


def bare(uri):
    """Says how many VMs it sees, waits for a line, makes its calls, says how much CPU they took."""
    caller = BareCaller(uri)
    print(caller.call(), flush=True)
    sys.stdin.readline()
    begun = own_cpu()
    every_second(SAMPLES, caller.call)
    print(own_cpu() - begun, flush=True)


def every_second(n, work):
    at = time.monotonic()
    for _ in range(n):
        work()
        at += 1
        time.sleep(max(at - time.monotonic(), 0))


def stats(lab):
    """With 20 paused VMs, in windows of 8 seconds, in turns; the median of the windows' ratios counts:
       - A samples once a second (vm/stats_period=1) and is asked Host.getAllVmStats once a second: CPU of A + CPU of L
       - no agent runs; the bare call with the same flags once a second: CPU of the caller + CPU of L
    Most of the work is L's on both sides, so that an agent that asked libvirt more than once, or for more, would be seen at once; what the
    agent itself needs for a period, with the JSON for the client, is told as well. QEMUs' CPU (answering their monitors) is left out on both."""
    c = quiet_client(lab)
    for i in range(VMS):
        vm = new_id()
        mark = c.mark()
        c.call("VM.create", vmID=vm, vmParams=lab.params(name="s%02d" % i, memSize=64, launchPaused=True))
        c.wait_status(vm, "Paused", since=mark, timeout=60)
    c.close()
    libvirtd = int(lab.libvirtd_do("pid"))
    agent_all, agent_own, bare_all, bare_own = [], [], [], []
    for _ in range(WINDOWS):
        c = lab.client(events=False)
        c.call_when_ready("Host.ping2")
        c.call("Host.setLogLevel", level="INFO")
        n = 0

        def full():
            """Once all have been sampled twice: a period at full cost."""
            return all(len(s.get("disks", {})) and s.get("cpuActual") for s in c.call("Host.getAllVmStats")) or time.sleep(0.1)
        end = time.monotonic() + 20
        while not full() and time.monotonic() < end:
            pass
        pid = lab.agent.pid
        own, all_ = cpu_seconds(pid), cpu_seconds(pid) + cpu_seconds(libvirtd)

        def ask():
            nonlocal n
            n = len(c.call("Host.getAllVmStats"))
        every_second(SAMPLES, ask)
        agent_own.append(cpu_seconds(pid) - own)
        agent_all.append(cpu_seconds(pid) + cpu_seconds(libvirtd) - all_)
        if n != VMS:
            sys.exit("agent-vms: %d VMs in the statistics" % n)
        c.close()
        lab.stop_agent()
        caller = subprocess.Popen([sys.executable, os.path.realpath(__file__), "bare", lab.uri], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if int(caller.stdout.readline()) != VMS:
            sys.exit("agent-vms: the bare call does not see all VMs")
        all_ = cpu_seconds(libvirtd)
        caller.stdin.write("\n")
        caller.stdin.flush()
        own = float(caller.stdout.readline())
        bare_own.append(own)
        bare_all.append(own + cpu_seconds(libvirtd) - all_)
        caller.communicate()
        lab.start_agent()
    for name, seconds in (("all_vm_stats_bare_cpu", bare_all), ("all_vm_stats_cpu", agent_all), ("all_vm_stats_bare_caller_cpu", bare_own),
                          ("all_vm_stats_agent_cpu", agent_own)):
        report.add(name, statistics.median(seconds) * 1000 / SAMPLES, "ms", None)
    report.add("all_vm_stats_cpu_ratio", statistics.median(a / b for a, b in zip(agent_all, bare_all)), "", 1.3)
    report.add("agent_pss_20_vms", pss_kib(lab.agent.pid) / 1024, "MiB", None)


def main():
    what = sys.argv[1:] or ["rest", "connections", "create", "stats"]
    if what[0] == "bare":
        return bare(what[1])
    lab = TlsLab()
    lab.config["agent"]["log_level"] = "info"
    if what != ["stats"]:
        lab.config["vm"]["stats_period"] = "15"
    lab.start()
    for name in what:
        if name == "stats":
            lab.stop_agent()
            lab.config["vm"]["stats_period"] = "1"
            lab.start_agent()
        {"rest": rest, "connections": connections, "create": create, "stats": stats}[name](lab)
    return report.status()


sys.exit(main())
