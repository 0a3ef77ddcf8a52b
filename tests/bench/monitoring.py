#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Monitoring of 50 storage domains: processor time of the agent; and what one domain that hangs changes for the others. One JSON object a line."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "agent"))
from benchlib import Report, cpu_seconds  # noqa: E402
from poollib import *  # noqa: E402

DOMAINS, SECONDS, CALLS = 50, 40, 2000
report = Report()
lab = Lab()
lab.start_libvirtd()
lab.start_agent()
c = lab.client()
c.call_when_ready("Host.ping2")
c.call("Host.setLogLevel", level="INFO")
disk = SlowDisk(lab, "slow")
domains = [make_domain(lab, c, "d%d" % i) for i in range(DOMAINS - 1)] + [make_domain(lab, c, "slow/sd")]
pool = new_id()
create_pool(c, pool, domains[0], domains)
connect_pool(c, pool, domains[0], dict.fromkeys(domains, "active"))
assert all(wait_valid(c, d) for d in domains)


def p99():
    took = []
    for i in range(CALLS):
        begun = time.monotonic()
        c.call("StorageDomain.getInfo", storagedomainID=domains[i % (DOMAINS - 1)])
        took.append(time.monotonic() - begun)
    return sorted(took)[CALLS * 99 // 100]


before = cpu_seconds(lab.agent.pid)
time.sleep(SECONDS)
report.add("monitoring %d domains: processor time" % DOMAINS, (cpu_seconds(lab.agent.pid) - before) / SECONDS * 100, "% of a core", 1)
quiet, hung = [], []
for _ in range(3):                      # in turns: other load on the machine meets both
    quiet.append(p99())
    disk.hang()
    assert wait_until(lambda: float(c.call("Host.getStorageRepoStats")[domains[-1]]["lastCheck"]) > 11, 60)
    hung.append(p99())
    disk.mend()
    assert wait_until(lambda: float(c.call("Host.getStorageRepoStats")[domains[-1]]["lastCheck"]) < 10, 60)
report.add("p99 of a call to the others, all well", min(quiet) * 1000, "ms", None)
report.add("p99 of the same while one domain hangs", min(hung) / min(quiet), "times", 2)
sys.exit(report.status())
