# SPDX-License-Identifier: Apache-2.0
"""The agent's network room in a network namespace of its own, with others around it as machines: what they send is sent.

The room is driven by the unit test program, one life a call. Importing this makes the namespace "host" and enters it; done() ends the test.
"""
import atexit
import ctypes
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", ".."))
DRIVER = os.path.join(ROOT, os.environ.get("BUILD", "build"), "tests", "unit", "test-agent-net")
CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)
points = failed = 0


def ok(good, name, *details):
    global points, failed
    points += 1
    failed += not good
    print("%sok %d - %s" % ("" if good else "not ", points, name), flush=True)
    for text in () if good else details:
        print("# " + str(text).replace("\n", "\n# "), flush=True)


def skip(reason):
    print("1..0 # SKIP " + reason)
    sys.exit(0)


if os.geteuid() or not os.access(DRIVER, os.X_OK) or not shutil.which("ip") or not shutil.which("nft"):
    skip("needs root, %s, ip and nft" % DRIVER)
if libc.unshare(CLONE_NEWNET):
    skip("no network namespaces here")

STATE = tempfile.mkdtemp(prefix="berth-net-")
atexit.register(shutil.rmtree, STATE)
spaces = {"host": os.open("/proc/self/ns/net", os.O_RDONLY)}


def run(command, check=True):
    done = subprocess.run(command, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if check and done.returncode:
        print("Bail out! %s: %s" % (command, done.stdout))
        sys.exit(255)
    return done.stdout


def enter(name):
    if libc.setns(spaces[name], CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def space(name):
    """A new network namespace; its path."""
    libc.unshare(CLONE_NEWNET)
    spaces[name] = os.open("/proc/self/ns/net", os.O_RDONLY)
    enter("host")
    return "/proc/%d/fd/%d" % (os.getpid(), spaces[name])


def beyond(name, nic, address, more="true"):
    """A new nic of the host, and a namespace at its other end."""
    path = space(name)
    run("ip link add %s type veth peer name p-%s && ip link set p-%s netns %s" % (nic, name, name, path))
    run("nsenter --net=%s sh -ec 'ip link set lo up; ip addr add %s dev p-%s; ip link set p-%s up; %s'" % (path, address, name, name, more))


def machine(name, bridge, address, gateway):
    """A namespace with one interface, whose other end is in the bridge."""
    path = space(name)
    run("ip link add v-%s type veth peer name p-%s && ip link set p-%s netns %s && ip link set v-%s master %s up" % (name, name, name, path, name, bridge))
    run("nsenter --net=%s sh -ec 'ip link set lo up; ip addr add %s dev p-%s; ip link set p-%s up; ip route add default via %s'" %
        (path, address, name, name, gateway))


def listen(name, port, kind=socket.SOCK_STREAM):
    enter(name)
    s = socket.socket(socket.AF_INET, kind)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("0.0.0.0", port))
    if kind == socket.SOCK_STREAM:
        s.listen()
    s.settimeout(5)
    enter("host")
    return s


def source_seen(name, address, port, server):
    """The address that the server sees of a connection from this namespace; None: it is refused or not answered."""
    enter(name)
    client = socket.socket()
    client.settimeout(5)
    enter("host")
    try:
        client.connect((address, port))
        connection, peer = server.accept()
        connection.close()
        return peer[0]
    except OSError:
        return None
    finally:
        client.close()


def datagram(name, address, port, server):
    enter(name)
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    enter("host")
    client.sendto(b"over", (address, port))
    try:
        return server.recvfrom(100)[0] == b"over"
    except OSError:
        return False


def session(name, address, port, server, own):
    """(client, connection, address the server sees): data go both ways; None: they do not. The client's port is own."""
    enter(name)
    client = socket.socket()
    enter("host")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")         # ends at once
    client.settimeout(20)
    client.bind(("0.0.0.0", own))
    try:
        client.connect((address, port))
        connection, peer = server.accept()
    except OSError:
        return None
    connection.settimeout(20)
    return (client, connection, peer[0]) if goes_on((client, connection, peer[0])) else None


def goes_on(s):
    try:
        s[0].sendall(b"over")
        s[1].sendall(b"there")
        return s[1].recv(10) == b"over" and s[0].recv(10) == b"there"
    except OSError:
        return False


def rate(sender, receiver, address, port=7100, seconds=3.0):
    """Mbit/s that a TCP stream gets between two namespaces, with its headers; what a limit lets through at once in the beginning is not counted."""
    server, sent = listen(receiver, port), bytes(65536)
    enter(sender)
    client = socket.create_connection((address, port), 10)
    enter("host")
    stream, _ = server.accept()
    client.setblocking(False)
    begun, total, first = None, 0, time.monotonic()
    while begun is None or time.monotonic() - begun < seconds:
        readable, writable, _ = select.select([stream], [client], [], 10)
        if writable:
            client.send(sent)
        if readable:
            total += len(stream.recv(1 << 20))
        if begun is None and time.monotonic() - first > 1:
            begun, total = time.monotonic(), 0
    took = time.monotonic() - begun
    for s in (server, client, stream):
        s.close()
    return total * 8 / took / 1e6 * 1514 / 1448


def drive(*arguments, kill_at=-1):
    done = subprocess.run([DRIVER, STATE, STATE, str(kill_at), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return done.returncode, done.stdout + done.stderr


def setup(networks, bondings=None, options=None, **more):
    return drive("Host.setupNetworks", json.dumps({"networks": networks, "bondings": bondings or {}, "options": options or {}}), **more)


class Life:
    """A life of the room that lasts until end() or kill(): its calls are (code, message or None, result)."""

    def __init__(self, state=STATE):
        self.process = subprocess.Popen([DRIVER, state, state, "-1", "converse"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True)
        atexit.register(self.kill)
        self.call("Host.getNetworkCapabilities")        # it has come up

    def call(self, verb, **params):
        self.process.stdin.write("%s %s\n" % (verb, json.dumps(params)))
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            print("Bail out! %s: %s" % (verb, self.process.stderr.read()))
            sys.exit(255)
        answer = json.loads(answer)
        self.events = answer["events"]                  # how many there were of host_conn
        return answer["code"], answer.get("message"), answer.get("result")

    def setup(self, networks, bondings=None, **options):
        return self.call("Host.setupNetworks", networks=networks, bondings=bondings or {}, options=options)

    def network(self, name):
        return self.call("Host.getNetworkCapabilities")[2]["networks"].get(name)

    def end(self):
        self.process.stdin.close()
        return self.process.wait()

    def kill(self):
        self.process.kill()
        self.process.wait()


def within(name, function, *arguments, **more):
    """What the function returns in this namespace."""
    enter(name)
    try:
        return function(*arguments, **more)
    finally:
        enter("host")


def wait_until(condition, seconds=90):
    """For what nobody tells: true when it came true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def done():
    print("1..%d" % points)
    sys.exit(1 if failed else 0)
