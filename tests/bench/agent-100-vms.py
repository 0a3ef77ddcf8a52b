#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The agent with 100 VMs on a real libvirt: memory, sampling, start, and what VMs that hang cost the others. One JSON object a line; the exit status
is 1 when a limit is missed.

    agent-100-vms.py [NUMBER] [sampling] [start] [hang]        default: 100 VMs, all three

They are paused and of 64 MiB, with a disk, a NIC, a balloon and a channel for the guest's agent, but not one has anything to boot; one more guest runs, with
its agent. All have one libvirtd of their own (tests/lab). It takes four minutes on an idle machine, two thirds of them to start and end QEMUs.
"""
import ctypes
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import time
import urllib.request

import libvirt

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "agent"))
from benchlib import Report, cpu_seconds, own_cpu, pss_kib  # noqa: E402
from agentlib import Lab, new_id, wait_until  # noqa: E402
import json  # noqa: E402

PERIOD = 15             # of sampling, s: the default
WINDOWS = 3             # of sampling and of the bare call, in turns
CALLS = 4               # bare calls in a window
ROUNDS = 120            # of each verb, with and without VMs that hang
HUNG_MAX = 10
ABREAST = 4

report = Report()


class BareCaller:
    """virConnectGetAllDomainStats as a C program would call it: no conversion of what comes, only freed. In a process of its own (bare())."""
    # what vdsm asks for, and what the agent would if it had nothing else
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
    """Says how many VMs it sees; then for each line of its input makes its calls and says how much CPU they took."""
    caller = BareCaller(uri)
    print(caller.call(), flush=True)
    for _ in sys.stdin:
        begun = own_cpu()
        for _ in range(CALLS):
            caller.call()
        print(own_cpu() - begun, flush=True)


# ---- the VMs ----

def create(c, lab, name, **more):
    vm = new_id()
    c.call("VM.create", vmID=vm, vmParams=lab.params(name=name, **more))
    return vm


def small(c, lab, names):
    """name -> id; made abreast, so that both processors have something to do."""
    vms = {name: create(c, lab, name, memSize=64, launchPaused=True, kernel="", initrd="", kernelArgs="") for name in names}
    for vm in vms.values():
        c.wait_status(vm, "Paused", timeout=300)
    return vms


def settled(pid):
    """What is done at first is over: its worker threads have ended."""
    wait_until(lambda: len(os.listdir("/proc/%d/task" % pid)) == 1, 60)
    return pss_kib(pid)


def p99(took):
    return sorted(took)[max(len(took) * 99 // 100 - 1, 0)]


def summary(c, number):
    """Some members of all VMs, with what the client needs to read the answer."""
    took = []
    for _ in range(200):
        at = time.monotonic()
        got = c.call("Host.getAllVmStats", fields=["vmName", "status", "elapsedTime", "cpuUser", "cpuSys", "memUsage", "balloonInfo", "guestIPs"])
        took.append(time.monotonic() - at)
    if len(got) != number:
        sys.exit("agent-100-vms: %d VMs in the summary" % len(got))
    report.add("summary_of_%d_vms_p99" % number, 1000 * p99(took), "ms", 300)


# ---- sampling ----

def sampling(lab, c, number):
    """A: the agent, L: libvirtd. In turns: A samples for two of its periods, and a client asks for all statistics once in each; then A stands still (SIGSTOP)
    while the bare call is made. The CPU of A and L for a period over that of the caller and L for a call; QEMUs' is left out on both sides, where it
    would count for us. Two periods, because a quiet VM is asked in every second one."""
    pid, libvirtd = lab.agent.pid, int(lab.libvirtd_do("pid"))
    caller = subprocess.Popen([sys.executable, os.path.realpath(__file__), "bare", lab.uri], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if int(caller.stdout.readline()) != number:
        sys.exit("agent-100-vms: the bare call does not see all VMs")
    ours, own, theirs = [], [], []
    for _ in range(WINDOWS):
        before, alone = cpu_seconds(pid) + cpu_seconds(libvirtd), cpu_seconds(pid)
        for _ in range(2):
            time.sleep(PERIOD)
            c.call("Host.getAllVmStats")
        ours.append((cpu_seconds(pid) + cpu_seconds(libvirtd) - before) / 2)
        own.append((cpu_seconds(pid) - alone) / 2)
        os.kill(pid, signal.SIGSTOP)
        before = cpu_seconds(libvirtd)
        caller.stdin.write("\n")
        caller.stdin.flush()
        used = float(caller.stdout.readline())
        theirs.append((used + cpu_seconds(libvirtd) - before) / CALLS)
        os.kill(pid, signal.SIGCONT)
    caller.communicate()
    report.add("bulk_call_cpu", statistics.median(theirs) * 1000, "ms", None)
    report.add("sampling_cpu", statistics.median(ours) * 1000, "ms", None)
    report.add("sampling_agent_cpu", statistics.median(own) * 1000, "ms", None)
    report.add("sampling_over_bulk_call", statistics.median(a / b for a, b in zip(ours, theirs)), "times", 0.7)


# ---- start ----

def start(lab, number, hangs):
    """From the agent's exec until all VMs are known; and what verbs about them take in the second after that, when the agent still looks at each."""
    lab.stop_agent()
    begun = time.monotonic()
    lab.start_agent()
    c = lab.client(events=False)
    vms = [v["vmId"] for v in c.call_when_ready("Host.getVMList")]
    seconds = time.monotonic() - begun
    if len(vms) != number:
        sys.exit("agent-100-vms: %d VMs after a start" % len(vms))
    c.call("Host.setLogLevel", level="INFO")
    took = []
    while time.monotonic() < begun + seconds + 1:
        at = time.monotonic()
        c.call(random.choice(("VM.getStats", "VM.getInfo")), vmID=random.choice([v for v in vms if v not in hangs]))
        took.append(time.monotonic() - at)
    suffix = "_1_hung" if hangs else ""
    report.add("agent_start_%d_vms%s" % (number, suffix), seconds, "s", 1)
    report.add("verbs_after_start_p99" + suffix, 1000 * p99(took), "ms", 100)
    c.close()


# ---- VMs that hang ----

def verbs(c, others, took):
    for i in range(ROUNDS):
        vm = others[i % len(others)]
        for verb in ("VM.getStats", "VM.getInfo", "VM.cont", "VM.pause"):
            at = time.monotonic()
            c.answer(c.send(verb, {"vmID": vm}), 60)
            took.setdefault(verb, []).append(time.monotonic() - at)


def oldest(lab, ids):
    """Age of the oldest numbers of these VMs, s."""
    text = urllib.request.urlopen("http://127.0.0.1:%d/metrics" % lab.port, timeout=20).read().decode()
    ages = dict(re.findall(r'^berth_vm_sample_age_seconds\{vm="([^"]*)"[^}]*\} (\S+)$', text, re.M))
    return max(float(ages[vm]) for vm in ids)


def hang(lab, c, talker, small_vms):
    """Verbs on ten VMs before, while others hang, and after; before and after count as one, so that a load that comes and goes is in both."""
    names = list(small_vms)
    others, hung = [small_vms[n] for n in names[:10]], names[10:10 + HUNG_MAX]
    qemus = lab.qemus()
    plain, with_one, with_all = {}, {}, {}
    verbs(c, others, plain)
    lab.virsh("qemu-agent-command", "talker", json.dumps({"execute": "guest-exec", "arguments": {
        "path": "/bin/sh", "arg": ["-c", "kill -STOP $(pidof qemu-ga); echo agent stopped > /dev/ttyS0"]}}))
    wait_until(lambda: "agent stopped" in open(lab.path("talker.serial"), errors="replace").read(), 30)
    out = [c.send("VM.freeze", {"vmID": talker})]        # given up after a while
    for measured, more in ((with_one, hung[:1]), (with_all, hung[1:])):
        for name in more:
            os.kill(qemus[name], signal.SIGSTOP)
            out.append(c.send("VM.cont", {"vmID": small_vms[name]}))
        verbs(c, others, measured)
    begun = time.monotonic()
    fine = [vm for name, vm in small_vms.items() if name not in hung] + [talker]
    wait_until(lambda: oldest(lab, fine) < time.monotonic() - begun, 120)
    report.add("statistics_of_the_others_10_hung", time.monotonic() - begun, "s", PERIOD + 5)
    if any(number in c.answers for number in out[1:]):
        sys.exit("agent-100-vms: a QEMU that is stopped did something")
    for name in hung:
        os.kill(qemus[name], signal.SIGCONT)
    for number in out[1:]:
        c.answer(number, 60)
    verbs(c, others, plain)
    for name, measured in (("1_hung", with_one), ("10_hung", with_all)):
        for verb, took in measured.items():
            report.add("%s_p99_%s" % (verb, name), 1000 * p99(took), "ms", None)
            report.add("%s_p99_%s_over_none" % (verb, name), p99(took) / p99(plain[verb]), "times", 2)


def main():
    if sys.argv[1:2] == ["bare"]:
        return bare(sys.argv[2])
    number = int(sys.argv[1]) if sys.argv[1:] else 100
    parts = sys.argv[2:] or ["sampling", "start", "hang"]
    lab = Lab()
    lab.config["agent"]["log_level"] = "info"
    lab.config["vm"]["stats_period"] = str(PERIOD)
    lab.start()
    c = lab.client()
    c.call_when_ready("Host.ping2")
    c.call("Host.setLogLevel", level="INFO")
    for _ in range(20):
        c.call("Host.getAllVmStats")
    rest = settled(lab.agent.pid)
    vms = {}
    for i in range(0, number, ABREAST):
        vms.update(small(c, lab, ["s%03d" % k for k in range(i, min(i + ABREAST, number))]))
    wait_until(lambda: all(s.get("cpuActual") and s.get("disks") for s in c.call("Host.getAllVmStats")), 120)
    c.close()                           # what it still had to read is the client's memory, not the agent's
    report.add("agent_memory_of_a_vm", (settled(lab.agent.pid) - rest) / number, "KiB", 60)
    if "sampling" in parts:
        c = lab.client()
        summary(c, number)
        sampling(lab, c, number)
        c.close()
    if "start" in parts:
        start(lab, number, [])
        stopped = lab.qemus()["s000"]
        os.kill(stopped, signal.SIGSTOP)
        start(lab, number, [vms["s000"]])
        os.kill(stopped, signal.SIGCONT)
    if "hang" in parts:
        c = lab.client()
        c.call("Host.setLogLevel", level="INFO")
        c.call("VM.destroy", vmID=vms.popitem()[1])     # the lab has displays for 100
        talker = create(c, lab, "talker", disk=False)
        c.wait_event(talker, lambda e: e.get("guestIPs"), timeout=120)
        wait_until(lambda: oldest(lab, vms.values()) < 2 * PERIOD, 60)
        hang(lab, c, talker, vms)
    return report.status()


sys.exit(main())
