#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a real agent costs on a real libvirt. One JSON object a line; the exit status is 1 when a limit is missed.

    agent-vms.py [rest] [connections] [create]        default: all three

It has a libvirtd of its own (tests/lab). With many VMs: agent-100-vms.py.
"""
import os
import re
import statistics
import subprocess
import sys
import threading
import time

import libvirt

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "agent"))
from benchlib import Report, cpu_seconds, idle_connections, pss_kib, switches, wakeups  # noqa: E402
from agentlib import new_id  # noqa: E402
from tlslib import TlsLab, frame  # noqa: E402

CREATE_PAIRS = 7
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


def main():
    what = sys.argv[1:] or ["rest", "connections", "create"]
    lab = TlsLab()
    lab.config["agent"]["log_level"] = "info"
    lab.config["vm"]["stats_period"] = "15"
    lab.start()
    for name in what:
        {"rest": rest, "connections": connections, "create": create}[name](lab)
    return report.status()


sys.exit(main())
