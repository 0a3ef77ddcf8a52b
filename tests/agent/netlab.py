#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""netlab.py DRIVER - run by net-host.test inside the machine of tests/lab/hostvm.sh.

The host under test is the machine itself with the NICs h1 and h2. They lead into the namespace "peer", where a bridge sw0 is the switch, sw0.5 and
sw0.6 are on its VLANs 5 and 6, and everything that arrives is answered. A process costs 0.2 s here: nearly all is done in this one.
"""
import ctypes
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time

DRIVER = sys.argv[1]
STATE = "/tmp/state"
CLONE_NEWNET = 0x40000000
ETH_P_ALL = 3
PACKET_OUTGOING = 4
libc = ctypes.CDLL(None, use_errno=True)
here = os.open("/proc/self/ns/net", os.O_RDONLY)
points = failed = 0


def ok(good, name, *details):
    global points, failed
    points += 1
    if os.environ.get("TIMES"):
        print("# %.1f s" % time.monotonic())
    failed += not good
    print("%sok %d - %s" % ("" if good else "not ", points, name), flush=True)
    if not good:
        for text in details:
            print("# %s" % (text,), flush=True)
    return good


def equal(got, expected, name):
    return ok(got == expected, name, "got:      %s" % (got,), "expected: %s" % (expected,))


def sh(command):
    done = subprocess.run(["/bin/sh", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise SystemExit("Bail out! %s: %s" % (command, done.stdout))
    return done.stdout


def drive(*arguments, kill_at=-1):
    """(exit status, output, messages)"""
    done = subprocess.run([DRIVER, STATE, "/tmp/run", str(kill_at), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return done.returncode, done.stdout, done.stderr


def setup(networks=None, bondings=None, kill_at=-1, **options):
    return drive("Host.setupNetworks", json.dumps({"networks": networks or {}, "bondings": bondings or {}, "options": options}), kill_at=kill_at)


def works(name, networks=None, bondings=None):
    status, out, messages = setup(networks, bondings)
    return ok(status == 0, name, out, messages)


def caps():
    return json.loads(drive("capabilities")[1])


def snapshot():
    """What a change could change, a line each."""
    return drive("state")[1].splitlines()


def unchanged(before, name):
    now = snapshot()
    return ok(now == before, name, "gone: %s" % [x for x in before if x not in now], "new: %s" % [x for x in now if x not in before])


class Peer:
    """Sockets in the namespace: one that answers, one on each VLAN that sees what passes."""

    def __init__(self):
        fd = os.open("/run/netns/peer", os.O_RDONLY)
        if libc.setns(fd, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        self.echo = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.echo.bind(("0.0.0.0", 7))
        self.taps = {}
        for name in ("sw0.5", "sw0.6", "sw0"):
            tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            tap.bind((name, ETH_P_ALL))
            tap.setblocking(False)
            self.taps[name] = tap
        libc.setns(here, CLONE_NEWNET)

    def seen(self, name, text):
        found = False
        while True:
            try:
                packet, where = self.taps[name].recvfrom(65536)
            except BlockingIOError:
                return found
            found |= text in packet and where[2] != PACKET_OUTGOING

    def round_trip(self, source, to, seconds=10.0, device=None, text=b"anybody there"):
        """Seconds until the answer; None: none came. Asks each 20 ms."""
        asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        if device:
            asker.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        asker.bind((source, 0))
        begun = time.monotonic()
        while time.monotonic() - begun < seconds:
            try:
                asker.sendto(text, (to, 7))
            except OSError:
                pass
            until = time.monotonic() + 0.02
            while time.monotonic() < until:
                for s in select.select([asker, self.echo], [], [], max(0, until - time.monotonic()))[0]:
                    try:
                        data, sender = s.recvfrom(2048)
                    except OSError:
                        continue
                    if s is asker:
                        asker.close()
                        return time.monotonic() - begun
                    try:
                        self.echo.sendto(data, sender)
                    except OSError:
                        pass
        asker.close()
        return None

    def rate(self, to, seconds):
        """Mbit/s that a TCP stream to this address gets, with its headers, after its first second."""
        libc.setns(os.open("/run/netns/peer", os.O_RDONLY), CLONE_NEWNET)
        server = socket.create_server((to, 0))
        libc.setns(here, CLONE_NEWNET)
        client = socket.create_connection(server.getsockname(), 20)
        stream, _ = server.accept()
        client.setblocking(False)
        started, begun, total, data = time.monotonic(), None, 0, bytes(65536)
        while begun is None or time.monotonic() - begun < seconds:
            readable, writable, _ = select.select([stream], [client], [], 20)
            if writable:
                client.send(data)
            if readable:
                total += len(stream.recv(1 << 20))
            if begun is None and time.monotonic() - started > 1:
                begun, total = time.monotonic(), 0
        took = time.monotonic() - begun
        for s in (server, client, stream):
            s.close()
        return total * 8 / took / 1e6 * 1514 / 1448

    def lost_while(self, process, source, to):
        """(sent, not answered) until the process ends, one each 10 ms."""
        asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        asker.bind((source, 0))
        sent, got, last = 0, set(), None
        while last is None or time.monotonic() < last:
            if last is None and process.poll() is not None:
                last = time.monotonic() + 2                 # what is still on its way
            if last is None:
                asker.sendto(b"%d" % sent, (to, 7))
                sent += 1
            until = time.monotonic() + 0.01
            while time.monotonic() < until:
                for s in select.select([asker, self.echo], [], [], max(0, until - time.monotonic()))[0]:
                    data, sender = s.recvfrom(2048)
                    if s is asker:
                        got.add(data)
                    else:
                        self.echo.sendto(data, sender)
            if len(got) == sent and last is not None:
                break
        asker.close()
        return sent, sent - len(got)


def carrier(active):
    """The peer's end of this NIC goes down, in the namespace."""
    sh("ip -n peer link set %s down" % active)


sh("""ip netns add peer; ip -n peer link set lo up
for i in 1 2; do ip link add h$i type veth peer name p$i netns peer; done
ip -n peer -batch - <<X
link add sw0 type bridge
link set p1 master sw0 up
link set p2 master sw0 up
link set sw0 up
link add link sw0 name sw0.5 up type vlan id 5
link add link sw0 name sw0.6 up type vlan id 6
addr add 192.0.2.2/24 dev sw0
addr add 10.5.0.2/24 dev sw0.5
addr add 10.6.0.2/24 dev sw0.6
addr add 203.0.113.9/32 dev lo
X
echo '# of the machine' > /tmp/resolv.new; echo 'nameserver 192.0.2.99' >> /tmp/resolv.new; rm -f /etc/resolv.conf; cp /tmp/resolv.new /etc/resolv.conf
ip link set h1 up; ip link set h2 up; modprobe bonding max_bonds=0; modprobe 8021q; modprobe bridge; sysctl -qw net.ipv6.conf.all.accept_dad=0""")
peer = Peer()
bare = snapshot()

# ---- three networks on a bond: what is sent arrives where it should ----
BOND = {"bond0": {"nics": ["h1", "h2"], "options": "mode=active-backup miimon=100 primary=h1"}}
NETWORKS = {
    "mgmt": {"bonding": "bond0", "ipaddr": "192.0.2.1", "netmask": "24", "gateway": "192.0.2.2", "defaultRoute": True, "nameservers": ["192.0.2.53"]},
    "blue": {"bonding": "bond0", "vlan": 5, "ipaddr": "10.5.0.1", "netmask": "24", "mtu": 1400, "custom": {"bridge_opts": "ageing_time=1000 priority=4096"}},
    "red": {"bonding": "bond0", "vlan": 6, "bridged": False, "ipaddr": "10.6.0.1", "netmask": "24", "gateway": "10.6.0.2"},
}

# killed before a step: the old state is back after the next start
status, out, messages = drive("killed", "Host.setupNetworks", json.dumps({"networks": NETWORKS, "bondings": BOND, "options": {}}), "9")
ok(status == 0 and int(out.split()[-1]) > 20, "killed before every ninth of %s steps: all as before" % out.split()[-1:], out, messages)
equal(open("/sys/class/net/bond0/bonding/mode").read().split()[0], "active-backup", "the bond has its mode")
ok(peer.round_trip("192.0.2.1", "192.0.2.2") is not None, "the network without a VLAN reaches the other side over bond and bridge")
ok(peer.round_trip("10.5.0.1", "10.5.0.2") is not None, "VLAN 5 reaches VLAN 5")
ok(peer.round_trip("10.6.0.1", "10.6.0.2") is not None, "VLAN 6, without a bridge, reaches VLAN 6")
for tap in peer.taps:
    peer.seen(tap, b"")
shout = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
shout.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
shout.bind(("10.5.0.1", 0))
shout.sendto(b"to all of five", ("10.5.0.255", 9999))
peer.round_trip("10.5.0.1", "10.5.0.2")
peer.round_trip("10.6.0.1", "10.6.0.2")
ok(peer.seen("sw0.5", b"to all of five"), "a broadcast in VLAN 5 is seen in VLAN 5")
ok(not peer.seen("sw0.6", b"to all of five"), "and not in VLAN 6")

# ---- several gateways ----
for tap in peer.taps:
    peer.seen(tap, b"")
ok(peer.round_trip("10.6.0.1", "203.0.113.9") is not None, "what has the address of VLAN 6 goes through its gateway")
ok(peer.seen("sw0.6", b"anybody there"), "over VLAN 6")
ok(peer.round_trip("192.0.2.1", "203.0.113.9", text=b"by default") is not None, "what has the host's goes through the default route")
ok(not peer.seen("sw0.6", b"by default"), "and not over VLAN 6")
equal(open("/etc/resolv.conf").read(), "nameserver 192.0.2.53\n# of the machine\n", "the resolver's file has the network's servers")

# ---- what is told ----
c = caps()
equal(sorted(c["networks"]), ["blue", "mgmt", "red"], "the networks are told")
equal({n: v["in_sync"] for n, v in c["networks"].items()}, {"blue": True, "mgmt": True, "red": True}, "all in sync")
equal([c["networks"]["blue"][k] for k in ("iface", "southbound", "vlanid", "bridged", "mtu", "ports")], ["blue", "bond0.5", 5, True, "1400", ["bond0.5"]],
      "a network on a VLAN")
equal([c["networks"]["red"][k] for k in ("iface", "southbound", "bridged", "gateway", "ipv4defaultroute")],
      ["bond0.6", "bond0.6", False, "10.6.0.2", False], "a network without a bridge, with its own gateway")
equal(c["networks"]["mgmt"]["ipv4defaultroute"], True, "the default route")
equal(c["vlans"]["bond0.5"]["vlanid"], 5, "a VLAN")
equal(c["vlans"]["bond0.5"]["iface"], "bond0", "and what it is on")
b = c["bondings"]["bond0"]
equal([b["slaves"], b["active_slave"], b["opts"]], [["h1", "h2"], "h1", {"mode": "1", "miimon": "100", "primary": "h1"}], "the bond")
ok(len(c["nics"]["h2"].get("permhwaddr", "")) == 17, "a slave's own address")
equal([c["bridges"]["blue"]["opts"][k] for k in ("ageing_time", "priority")], ["1000", "4096"], "options of a bridge")
equal(c["nameservers"], ["192.0.2.53"], "the name servers")

# ---- what is not asked for is not touched ----
many = {"net%d" % i: {"bonding": "bond0", "vlan": 100 + i} for i in range(5)}
process = subprocess.Popen([DRIVER, STATE, "/tmp/run", "-1", "Host.setupNetworks", json.dumps({"networks": many, "bondings": {}, "options": {}})],
                           stdout=subprocess.DEVNULL)
sent, lost = peer.lost_while(process, "192.0.2.1", "192.0.2.2")
ok(process.returncode == 0 and sent > 10 and lost == 0, "5 networks more on the bond: of %d packets on the others none is lost" % sent, lost)
works("and away again", {n: {"remove": True} for n in many})

# ---- a leg fails ----
begun = time.monotonic()
carrier("p1")
gap = peer.round_trip("192.0.2.1", "192.0.2.2")
ok(gap is not None and gap < 1, "a leg fails: traffic again within a second", gap)
equal(open("/sys/class/net/bond0/bonding/active_slave").read().strip(), "h2", "over the other leg")
sh("ip -n peer link set p1 up")

# ---- somebody else changes things ----
sh("ip link set blue mtu 1300; ip addr del 10.6.0.1/24 dev bond0.6")
c = caps()["networks"]
equal(c["blue"]["differences"], [{"link": "blue", "property": "mtu", "expected": "1400", "actual": "1300"}], "a changed MTU is told")
ok(not c["red"]["in_sync"] and {"link": "bond0.6", "property": "address", "expected": "10.6.0.1/24 brd 10.6.0.255", "actual": ""} in c["red"]["differences"],
   "a missing address is told", c["red"]["differences"])
equal(c["mgmt"]["in_sync"], True, "the others are in sync")
works("the same networks again", {n: NETWORKS[n] for n in ("blue", "red")})
equal([v["in_sync"] for v in caps()["networks"].values()], [True] * 3, "all in sync again")
ok(peer.round_trip("10.6.0.1", "203.0.113.9") is not None, "and its gateway works again")

sh("ip -batch - <<X\nlink set bond0 type bond miimon 200\nlink set h2 nomaster\nlink del bond0.5\nlink add link bond0 name bond0.5 type vlan id 7\n"
   "link set bond0.5 master blue up\nX")
c = caps()["networks"]
for text, network, link, prop, expected, actual in (
        ("another option of the bond", "mgmt", "bond0", "miimon", "100", "200"), ("a leg that is gone", "mgmt", "h2", "master", "bond0", ""),
        ("a VLAN made anew with another id", "blue", "bond0.5", "link", "vlan lower=bond0 id=5", ""),
        ("the one that is there instead", "blue", "bond0.5", "link", "", "vlan lower=bond0 id=7")):
    ok([d for d in c[network]["differences"] if d["link"] == link and d["property"] == prop and d["expected"].startswith(expected) and
        d["actual"].startswith(actual)], text + " is told", c[network])
works("the same wish again", NETWORKS, BOND)
equal([v["in_sync"] for v in caps()["networks"].values()], [True] * 3, "all in sync again")
sh("ip -batch - <<X\nlink set h1 nomaster\nlink set h2 nomaster\nlink set bond0 down\nlink set bond0 type bond mode 2\nX")
c = caps()["networks"]
ok([d for d in c["mgmt"]["differences"] if d["link"] == "bond0" and d["property"] == "link" and " mode=2" in d["actual"]], "another mode of the bond is told",
   c["mgmt"]["differences"])
works("and made good", NETWORKS, BOND)
ok(peer.round_trip("10.5.0.1", "10.5.0.2") is not None and peer.round_trip("10.6.0.1", "203.0.113.9") is not None, "VLANs 5 and 6 are reached again")

# ---- what each may send ----
qos = {"blue": dict(NETWORKS["blue"], hostQos={"out": {"ls": {"m2": 1000000}, "ul": {"m1": 4000000, "d": 100000, "m2": 2000000}}})}
works("a limit for VLAN 5", qos)
ok("class hfsc 1389:5 " in sh("tc class show dev bond0"), "it is a class of hfsc")
# a machine that gets no processor time sends less: once in three it should, more it must never
got = [peer.rate("10.5.0.2", 6)]
while got[-1] < 1.8 and len(got) < 3:
    got.append(peer.rate("10.5.0.2", 6))
ok(1.8 < got[-1] and max(got) < 2.2, "VLAN 5 sends its 2 Mbit/s", got)
got = peer.rate("10.6.0.2", 1)
ok(got > 4, "VLAN 6, on the same bond, is not held to it", got)
equal([v["in_sync"] for v in caps()["networks"].values()], [True] * 3, "in sync")
works("no limit any more", {"blue": NETWORKS["blue"]})
ok("hfsc" not in sh("tc qdisc show dev bond0"), "it is gone")

# ---- refused, nothing changed ----
before = snapshot()
for name, networks, bonds, code in (
        ("a VLAN used twice", {"x": {"bonding": "bond0", "vlan": 5}}, {}, 26),
        ("a nic of a bond", {"x": {"nic": "h1"}}, {}, 24),
        ("a nic in two bonds", {}, {"bond1": {"nics": ["h2"]}}, 24),
        ("a bond that networks are on", {}, {"bond0": {"remove": True}}, 31),
        ("a second default route", {"x": {"ipaddr": "198.51.100.1", "netmask": "24", "gateway": "198.51.100.2", "defaultRoute": True}}, {}, 21),
        ("an option the kernel has not", {}, {"bond0": {"nics": ["h1", "h2"], "options": "mode=1 speed=9"}}, 25),
        ("overlapping addresses", {"x": {"ipaddr": "10.5.0.9", "netmask": "16"}}, {}, 22)):
    status, out, messages = setup(networks, bonds)
    ok(status == 1 and ("error %d" % code) in out, "refused: " + name, status, out, messages)
unchanged(before, "nothing changed")
status, out, _ = setup({"blue": dict(NETWORKS["blue"], vlan=6, bonding="bond0"), "red": {"remove": True}}, connectivityCheck=True, connectivityTimeout=1)
ok("error 10" in out, "a change that nobody confirms", out)
unchanged(before, "is undone")

# ---- another mode: the bond is made anew under its networks; each mode of the kernel, and each of its options as another program tells it ----
OPTIONS = {
    "balance-rr": "mode=0 miimon=100 updelay=200 downdelay=300 peer_notif_delay=400 packets_per_slave=3 resend_igmp=3 num_grat_arp=4 lp_interval=7",
    "balance-xor": "mode=balance-xor xmit_hash_policy=layer2+3 all_slaves_active=1",
    "broadcast": "mode=3 use_carrier=0",
    "802.3ad": "mode=4 lacp_rate=fast lacp_active=off ad_select=count xmit_hash_policy=layer3+4 ad_actor_sys_prio=100 ad_actor_system=02:00:00:00:00:09 "
               "ad_user_port_key=55 min_links=1",
    "balance-tlb": "mode=5 tlb_dynamic_lb=0 primary=h2 primary_reselect=better xmit_hash_policy=encap2+3",
    "balance-alb": "mode=balance-alb resend_igmp=0",
    "active-backup": "mode=1 arp_interval=100 arp_ip_target=192.0.2.2,192.0.2.3 ns_ip6_target=2001:db8::2 arp_validate=backup arp_all_targets=all "
                     "arp_missed_max=5 fail_over_mac=active num_unsol_na=6",
}
# what "ip" calls otherwise
NAMES = {"peer_notif_delay": "peer_notify_delay", "num_grat_arp": "num_peer_notif", "num_unsol_na": "num_peer_notif", "lacp_rate": "ad_lacp_rate",
         "lacp_active": "ad_lacp_active"}
HWADDR = "02:00:00:00:00:77"
problems = []
for mode, options in OPTIONS.items():
    # with fail_over_mac=active it has that of the active nic
    hwaddr = {} if mode == "active-backup" else {"hwaddr": HWADDR}
    status, out, messages = setup({}, {"bond0": {"nics": ["h1", "h2"], "options": options, **hwaddr}})
    link = json.loads(sh("ip -d -j link show bond0"))[0]
    now, wanted = link["linkinfo"]["info_data"], dict(o.split("=") for o in options.split())
    wanted["mode"] = mode
    for name, value in wanted.items():
        actual = now.get(NAMES.get(name, name))
        if (",".join(actual) if isinstance(actual, list) else str(actual)) != value:
            problems.append((mode, name, value, actual))
    if status or (hwaddr and link["address"] != HWADDR):
        problems.append((mode, link["address"], out, messages))
ok(not problems, "every mode, with its options", *problems)
# the kernel's own list of what can be set; the active slave is no wish, it changes by itself
mine = set(o.split("=")[0] for options in OPTIONS.values() for o in options.split()) | {"primary", "slaves", "active_slave", "queue_id"}
DIRECTORY = "/sys/class/net/bond0/bonding/"
kernels = set(n for n in os.listdir(DIRECTORY) if os.stat(DIRECTORY + n).st_mode & 0o200)
equal(sorted(kernels - mine), [], "every option that the kernel lets one write")
works("back to active-backup, with a hardware address", {}, {"bond0": dict(BOND["bond0"], hwaddr=HWADDR)})
sh("ip link set bond0 address 02:00:00:00:00:78")
told = caps()["networks"]["mgmt"]["differences"]
ok({"link": "bond0", "property": "address", "expected": HWADDR, "actual": "02:00:00:00:00:78"} in told, "another one is told", told)
works("back to that of a nic", {}, BOND)
ok(peer.round_trip("10.5.0.1", "10.5.0.2") is not None, "and VLAN 5 is there again")
works("a nic leaves the bond", {"lone": {"nic": "h2", "vlan": 6}}, {"bond0": {"nics": ["h1"], "options": "mode=1"}})
works("and comes back", {"lone": {"remove": True}}, BOND)

# ---- policies of ports: what needs a kernel that tracks the connections of bridges ----
test = subprocess.run([os.path.join(os.path.dirname(os.path.realpath(__file__)), "net-port.test"), "stateful"], stdout=subprocess.PIPE,
                      stderr=subprocess.STDOUT, text=True)
ok(test.returncode == 0 and "only answers come in" in test.stdout, "stateful policies of ports", test.stdout)

test = subprocess.run([os.path.join(os.path.dirname(os.path.realpath(__file__)), "net-twins.test")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                      text=True)
ok(test.returncode == 0 and "which this kernel has not" not in test.stdout, "of networks with equal addresses, too", test.stdout)

# ---- VLANs of ports: what needs bridges that filter ----
test = subprocess.run([os.path.join(os.path.dirname(os.path.realpath(__file__)), "net-vlan.test")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
ok(test.returncode == 0 and "and no other" in test.stdout, "VLANs of machines' ports", test.stdout)

# ---- what networks exchange: what needs VLANs and bonds ----
test = subprocess.run([os.path.join(os.path.dirname(os.path.realpath(__file__)), "net-moves.test"), "needed"], stdout=subprocess.PIPE,
                      stderr=subprocess.STDOUT, text=True)
ok(test.returncode == 0 and "VLANs go to another bond" in test.stdout, "they exchange VLANs, and bonds their slaves", test.stdout)

# ---- the next boot ----
ok(drive("Host.setSafeNetworkConfig")[0] == 0, "saved")
sh("ip -batch - <<X\nlink del blue\nlink del mgmt\nlink del bond0\nrule del from 10.6.0.0/24\nlink set h1 up\nlink set h2 up\nX\n"
   "cp /tmp/resolv.new /etc/resolv.conf; sed -i 's/\"boot_id\": \"[^\"]*\"/\"boot_id\": \"another\"/' %s/net/running.json" % STATE)
status, out, messages = drive("restore")
ok(status == 0, "started after a reboot", out, messages)
ok(peer.round_trip("10.5.0.1", "10.5.0.2") is not None and peer.round_trip("10.6.0.1", "203.0.113.9") is not None, "all is there again")
equal([v["in_sync"] for v in caps()["networks"].values()], [True] * 3, "and in sync")
works("all is removed", {n: {"remove": True} for n in NETWORKS}, {"bond0": {"remove": True}})
equal(sorted(open("/etc/resolv.conf")), sorted(open("/tmp/resolv.new")), "the name servers of the machine are back")
sh("cp /tmp/resolv.new /etc/resolv.conf")
unchanged(bare, "nothing is left")
sys.exit(1 if failed else 0)
