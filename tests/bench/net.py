#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Host networks: planning and doing 100 networks with VLANs on a bond beside the bare netlink messages, in a machine whose kernel has bonds (lab/hostvm.sh);
and, in a network namespace here, the processor time of the statistics of 500 taps and how long after a change of a link its event is told."""
import os
import subprocess
import sys
import tempfile

from benchlib import Report

ROOT = os.environ.get("ROOT", os.path.realpath(os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..")))
DRIVER = os.path.join(os.environ["BUILD"], "tests", "unit", "test-agent-net")
NETWORKS = 100
TAPS = 500
ROUNDS = 2

# each in a namespace of its own: taking 100 networks away again costs more than making them
INSIDE = r"""
set -eu
here() {
	unshare -n bash -euc 'ip -batch - <<X
link add h1 type veth peer name p1
link add bond0 type bond mode active-backup miimon 100
link set h1 master bond0
link set p1 up
link set bond0 up
X
exec "$@"' - "%(driver)s" "$(mktemp -d)" /tmp/run -1 "$@"
}
modprobe bonding max_bonds=0; modprobe 8021q; modprobe bridge
want=$(python3 -c 'import json
networks = {"net%%d" %% i: {"bonding": "bond0", "vlan": i} for i in range(1, %(n)d + 1)}
print(json.dumps({"networks": networks, "bondings": {}, "options": {}}))')
here bare bond0 2 >/dev/null                     # modules, caches
for i in $(seq %(rounds)d); do
	echo "bare $(here bare bond0 %(n)d)"
	echo "ours $(here time Host.setupNetworks "$want")"
done
"""

TAPS_HERE = r"""
set -eu
for i in $(seq %(taps)d); do echo "tuntap add vnet$i mode tap"; done | ip -batch -
"%(driver)s" "%(state)s" "%(state)s" -1 cpu
ip link add h1 type veth peer name p1
ip link set h1 up
ip link set p1 up
"%(driver)s" "%(state)s" "%(state)s" -1 latency p1
"""


def plan_and_apply(report, directory):
    script = os.path.join(directory, "inside")
    with open(script, "w") as f:
        f.write(INSIDE % {"driver": DRIVER, "n": NETWORKS, "rounds": ROUNDS})
    done = subprocess.run([os.path.join(ROOT, "tests", "lab", "hostvm.sh"), script], env=dict(os.environ, DISKS="0", LIMIT="500", CPUS="2"), stdout=subprocess.PIPE,
                          text=True)
    times = {"bare": [], "ours": []}
    for line in done.stdout.splitlines():
        words = line.split()
        if len(words) == 2 and words[0] in times:
            times[words[0]].append(float(words[1]))
    if done.returncode or len(times["ours"]) != ROUNDS:
        sys.exit("in the machine: %s" % done.stdout)
    report.add("net_bare_%d_vlan_networks" % NETWORKS, min(times["bare"]), "ms", None)
    report.add("net_setup_%d_vlan_networks" % NETWORKS, min(times["ours"]), "ms", None)
    report.add("net_setup_beside_bare", min(times["ours"]) / min(times["bare"]), "times", 1.5)


def statistics(report, directory):
    script = TAPS_HERE % {"taps": TAPS, "driver": DRIVER, "state": directory}
    out = subprocess.run(["unshare", "-n", "bash", "-c", script], stdout=subprocess.PIPE, text=True, check=True).stdout
    cpu, latency = out.split()[-2:]
    report.add("net_statistics_%d_taps_cpu" % TAPS, float(cpu), "ms", 20)
    report.add("net_link_event", float(latency), "ms", 100)


LIMITED = """
import sys
sys.path.insert(0, "%(tests)s")
import netspace
netspace.beyond("outside", "eth0", "192.0.2.2/24")
qos = {"out": {"ls": {"m2": 1000000}, "ul": {"m2": 10000000}}}
status, out = netspace.setup({"slow": {"nic": "eth0", "ipaddr": "192.0.2.1", "netmask": "24", "hostQos": qos}})
if status:
    sys.exit(out)
print("rate", netspace.rate("host", "outside", "192.0.2.2", seconds=10))
"""


def limit(report):
    """A network that may send 10 Mbit/s: how far from it what it sends is."""
    script = LIMITED % {"tests": os.path.join(ROOT, "tests", "agent")}
    out = subprocess.run(["/usr/bin/python3", "-c", script], stdout=subprocess.PIPE, text=True, check=True).stdout
    rate = float(out.split("rate ")[1])
    report.add("net_host_qos_10_mbit", rate, "Mbit/s", None)
    report.add("net_host_qos_off_by", abs(rate - 10) * 10, "%", 10)


def main():
    report = Report()
    with tempfile.TemporaryDirectory(prefix="berth-bench-") as directory:
        statistics(report, directory)
        limit(report)
        plan_and_apply(report, directory)
    return report.status()


sys.exit(main())
