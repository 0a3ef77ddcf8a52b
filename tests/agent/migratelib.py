# SPDX-License-Identifier: Apache-2.0
"""Two hosts, each with its network, libvirtd and agent, everything between them over TLS with the agents' own certificates; and storage both see.

    pair = Pair()                       certificates, hosts, agents; pair.a, pair.b are Lab objects with .address, .c (a client), .start_agent() ...
    g = Mover(pair)                     a guest on a volume both hosts have: g.id; up on pair.a; it writes a tick to its disk and its serial line
    g.migrate(pair.a, pair.b, **params) VM.migrate; g.moved(pair.a, pair.b) waits for the end at both sides
    pair.cut() / pair.join()            the wire between the hosts
"""
import ctypes
import fcntl
import glob
import subprocess
import xml.etree.ElementTree as ET
import zlib
from agentlib import *
from tlslib import BERTH, TlsContext
import ssl

CLONE_NEWNET = 0x40000000
LABHOST = os.path.join(LABDIR, "labhost.sh")
POOL = "22222222-3333-4444-8555-666666666666"
_libc = ctypes.CDLL(None, use_errno=True)


def in_netns(name, fn):
    """fn() on a thread of its own that is in that network; sockets made there stay there."""
    out = []

    def work():
        with open("/run/netns/" + name) as f:
            if _libc.setns(f.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
        out.append(fn())
    t = threading.Thread(target=work)
    t.start()
    t.join()
    return out[0]


class Host(Lab):
    def __init__(self, pair, name, number):
        super().__init__()
        self.pair, self.name, self.number, self.address = pair, name, number, "10.77.0.%d" % number
        self.netns = "berth-%d-%s" % (pair.id, name)
        self.within = ["ip", "netns", "exec", self.netns]
        self.libvirtd = os.path.join(pair.lab, "hosts", name)
        self.c = None
        tls = pair.path("pki-" + name)
        self.config["rpc"] = {"address": self.address, "port": "54321"}
        self.config["tls"] = {"cert": tls + "/server.pem", "key": tls + "/server.key", "ca": tls + "/ca.pem"}
        self.config["vm"]["display_address"] = self.address
        self.config["migration"] = {"schedule_period": "1"}

    def start_libvirtd(self):
        qemu = 'migrate_tls_x509_cert_dir = "%s"\nmigrate_tls_x509_verify = 1\nkeepalive_interval = 1\nkeepalive_count = 3' % self.pair.path("qemu-" + self.name)
        out = run(LABHOST, "start", self.name, str(self.number), env=dict(os.environ, LAB=self.pair.lab, TLS=self.pair.path("pki-" + self.name), QEMUCONF=qemu))
        self.uri = out.splitlines()[-1]
        self.config["libvirt"]["uri"] = self.uri
        self.config["libvirt"]["swtpm_dir"] = os.path.join(self.libvirtd, "lib/swtpm")
        self.pidns = os.readlink("/proc/%s/ns/pid" % self.libvirtd_do("pid"))

    def start_agent(self):
        super().start_agent()
        self.c = self.client()
        self.c.call_when_ready("Host.ping2")

    def client(self, **kw):
        return in_netns(self.netns, lambda: Client(self.port, address=self.address, tls=TlsContext(self.pair.context), **kw))

    def end(self):
        uri, self.uri = self.uri, None          # the pair ends the host
        super().end()
        if uri:
            subprocess.run([LABHOST, "stop", self.name], env=dict(os.environ, LAB=self.pair.lab), stdout=subprocess.DEVNULL)

    def vms(self):
        """id -> status"""
        return {v["vmId"]: v["status"] for v in self.c.call("Host.getVMList")}

    def domains(self):
        return self.virsh("list", "--name").split()

    def jobs(self):
        return [os.path.basename(p) for p in glob.glob(self.path("state/jobs/*.json"))]

    def ping(self, address, seconds=1):
        return subprocess.run(["ip", "netns", "exec", self.netns, "busybox", "ping", "-c", "1", "-W", str(seconds), address], stdout=subprocess.DEVNULL).returncode == 0


class Pair:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="bm-", dir="/tmp")
        os.chmod(self.dir, 0o755)
        atexit.register(self.remove)
        self.lab = self.path("l")
        os.mkdir(self.lab)
        self.id = int(subprocess.run("printf %%s '%s' | cksum" % self.lab, shell=True, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[0]) % 65536
        self.guest = run(os.path.join(LABDIR, "mkguest.sh"), env=dict(os.environ, LAB=LAB))
        run(BERTH, "pki", "init", "--dir", self.path("ca"))
        for name, number in (("a", 1), ("b", 2)):
            self.certificates(name, "10.77.0.%d" % number)
        run(BERTH, "pki", "issue", "--dir", self.path("ca"), "--name", "client", "--client", "--cert", self.path("client.pem"), "--key", self.path("client.key"))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname = False
        self.context.load_verify_locations(self.path("ca/ca.pem"))
        self.context.load_cert_chain(self.path("client.pem"), self.path("client.key"))
        self.a, self.b = Host(self, "a", 1), Host(self, "b", 2)
        self.hosts = (self.a, self.b)
        for h in self.hosts:
            h.guest = self.guest
            h.start_libvirtd()
            h.start_agent()
        self.storage()
        self.network()

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def certificates(self, name, address):
        """One certificate for agent, libvirtd and QEMU, under the names each wants."""
        tls, qemu = self.path("pki-" + name), self.path("qemu-" + name)
        os.mkdir(tls)
        os.mkdir(qemu)
        run(BERTH, "pki", "issue", "--dir", self.path("ca"), "--name", "lab-" + name, "--address", address, "--both", "--cert", tls + "/server.pem",
            "--key", tls + "/server.key")
        shutil.copy(self.path("ca/ca.pem"), tls)
        shutil.copy(self.path("ca/ca.pem"), qemu + "/ca-cert.pem")
        for role in ("server", "client"):
            shutil.copy(tls + "/server.pem", qemu + "/%s-cert.pem" % role)
            shutil.copy(tls + "/server.key", qemu + "/%s-key.pem" % role)
            shutil.chown(qemu + "/%s-key.pem" % role, "libvirt-qemu", "kvm")

    def remove(self):
        if not os.environ.get("KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)

    def other(self, host):
        return self.b if host is self.a else self.a

    # the wire

    def wire(self, state):
        run("ip", "-n", "berth-%d-sw" % self.id, "link", "set", "p-b", state)

    def cut(self):
        self.wire("down")

    def join(self):
        self.wire("up")

    def network(self):
        """A network "lab" of the engine's sort on each host, joined to the bridge that is between the hosts."""
        for h in self.hosts:
            h.c.call("Host.setupNetworks", networks={"lab": {"bridged": True, "bootproto": "none"}}, bondings={}, options={"connectivityCheck": False})
            inside = ["ip", "netns", "exec", h.netns, "ip", "link"]
            run(*inside, "add", "j0", "type", "veth", "peer", "name", "j1")
            for port, bridge in (("j0", "lab"), ("j1", "br0")):
                run(*inside, "set", port, "master", bridge, "up")
            run(*inside, "set", "lab", "up")

    # storage

    def storage(self):
        """A domain in a directory that both hosts have."""
        self.domain, self.directory = new_id(), self.path("sd")
        os.mkdir(self.directory)
        for h in self.hosts:
            h.c.call("StoragePool.connectStorageServer", domainType=4, storagepoolID=POOL, connectionParams=[{"id": new_id(), "connection": self.directory}])
            if h is self.a:
                h.c.call("StorageDomain.create", storagedomainID=self.domain, domainType=4, typeArgs=self.directory, name="sd", domainClass=1, version=5)
                h.c.call("StorageDomain.attach", storagedomainID=self.domain, storagepoolID=POOL)
            h.c.call("StorageDomain.activate", storagedomainID=self.domain, storagepoolID=POOL)

    def volume(self):
        """{poolID, domainID, imageID, volumeID} of a volume with the guest's file system."""
        c, image, volume = self.a.c, new_id(), new_id()
        job = c.call("Volume.create", volumeID=volume, storagepoolID=POOL, storagedomainID=self.domain, imageID=image, size=str(64 << 20), volFormat=4,
                     preallocate=2, diskType="DATA", desc="test", srcImgUUID="00000000-0000-0000-0000-000000000000",
                     srcVolUUID="00000000-0000-0000-0000-000000000000")
        with c.changed:
            c.changed.wait_for(lambda: any(m == "|jobs|status|" + job and p["status"] != "running" for _, m, p in c.events), 30)
        path = os.path.join(self.directory, self.domain, "images", image, volume)
        run("qemu-img", "convert", "-n", "-O", "qcow2", os.path.join(self.guest, "data.qcow2"), path)
        # libvirt does not know that this directory is shared and takes the file back from QEMU when the VM has left; on NFS it does not
        os.chmod(path, 0o666)
        return {"poolID": POOL, "domainID": self.domain, "imageID": image, "volumeID": volume}


class Userfaultfd:
    """Post-copy needs it; of the whole machine. As long as one test needs it, it stays."""

    def __init__(self):
        self.file = open("/run/lock/berth-test-userfaultfd", "a+")
        self.path = "/proc/sys/vm/unprivileged_userfaultfd"

    def value(self, new=None):
        with open(self.path, "r" if new is None else "w") as f:
            return f.read().strip() if new is None else f.write(new)

    def __enter__(self):
        fcntl.flock(self.file, fcntl.LOCK_EX)
        if self.value() != "1":
            self.value("1")
            self.file.truncate(0)
            self.file.write("0")
            self.file.flush()
        fcntl.flock(self.file, fcntl.LOCK_SH)

    def __exit__(self, *unused):
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return                      # another one needs it, and puts it back
        self.file.seek(0)
        if self.file.read().strip() == "0":
            self.value("0")
            self.file.truncate(0)
        self.file.close()


class Mover:
    """A guest that can be on either host."""

    def __init__(self, pair, name="guest", host=None, address="10.77.0.50", tick=True, start=True, xml=True, **more):
        self.pair, self.name, self.id, self.address = pair, name, new_id(), address
        self.host = host or pair.a
        self.disk = pair.volume()
        self.serial = pair.path(name + ".serial")
        open(self.serial, "w").close()
        os.chmod(self.serial, 0o666)
        self.params = self.host.params(name=name, disk=False, console=self.serial)
        self.params["kernelArgs"] = self.host.cmdline("lab.ip=%s/24%s" % (address, " lab.tick" if tick else ""))
        self.params["devices"] = [dict(self.disk, type="disk", device="disk", iface="virtio", format="cow", index=0, deviceId=new_id()),
                                  {"type": "interface", "device": "bridge", "nicModel": "virtio", "network": "lab", "deviceId": new_id(),
                                   "macAddr": "52:54:00:77:00:%02x" % int(address.rpartition(".")[2])}]
        self.params.update(more)
        if start:
            self.start()

    def start(self, status="Up"):
        c = self.host.c
        mark = c.mark()
        c.call("VM.create", vmID=self.id, vmParams=self.params)
        c.wait_status(self.id, status, since=mark)

    def options(self, to, **params):
        return dict({"vmId": self.id, "src": self.host.address, "dst": "%s:54321" % to.address, "method": "online"}, **params)

    def migrate(self, to, **params):
        """From where it is; the marks of both clients before it."""
        marks = {h: h.c.mark() for h in self.pair.hosts}
        self.host.c.call("VM.migrate", vmID=self.id, params=self.options(to, **params))
        return marks

    def moved(self, to, marks, timeout=60):
        """Waits until it has: Down with reason 4 there, Up here."""
        _, down = self.host.c.wait_event(self.id, lambda e: e["status"] == "Down", timeout, marks[self.host])
        if down["exitReason"] != 4:
            raise Failed(-5, "it is down: %r" % (down,))
        to.c.wait_event(self.id, lambda e: e["status"] in ("Up", "Paused"), timeout, marks[to])
        source, self.host = self.host, to
        return source

    def stayed(self, marks, timeout=60, status="Up"):
        """Waits until it does not leave any more."""
        at, _ = self.host.c.wait_status(self.id, "Migration Source", timeout, marks[self.host])
        return self.host.c.wait_event(self.id, lambda e: e["status"] == status, timeout, at)

    def sending(self, marks, timeout=90):
        """Waits until its memory is being sent."""
        c, name = self.host.c, "|virt|VM_migration_status|" + self.id
        with c.changed:
            if not c.changed.wait_for(lambda: any(m == name for _, m, _ in c.events[marks[self.host]:]), timeout):
                raise Failed(-6, "nothing is sent within %g s: %r" % (timeout, self.status()))

    def status(self, host=None):
        return (host or self.host).c.call("VM.getMigrationStatus", vmID=self.id)

    def console(self):
        """The last lines of its serial line that are no ticks."""
        with open(self.serial, errors="replace") as f:
            return "".join([line for line in f if not line.startswith("tick ")][-60:])

    def ticks(self):
        with open(self.serial, errors="replace") as f:
            return [float(line.split()[1]) for line in f if line.startswith("tick ") and len(line.split()) == 2]

    def running(self):
        """The hosts whose libvirt runs it."""
        return [h.name for h in self.pair.hosts if self.name in h.domains() and h.virsh("domstate", self.name) == "running"]


# ---- what ends in the middle ----

def restart(host, **env):
    """The agent anew; BERTH_... in its environment."""
    host.c.close()
    if host.agent.poll() is None:
        host.stop_agent()
    os.environ.update(env)
    host.start_agent()
    for name in env:
        del os.environ[name]


def quiet(host, timeout=90):
    """No job of the agent is under way."""
    end = time.monotonic() + timeout
    while True:
        mark = host.c.mark()
        active = [j for j in host.c.call("Host.getJobs", job_type="virt").values() if j["status"] in ("pending", "running")]
        if not active:
            return
        with host.c.changed:
            if not host.c.changed.wait_for(lambda: any(m.startswith("|jobs|status|") for _, m, _ in host.c.events[mark:]), min(1, end - time.monotonic())) and \
                    time.monotonic() > end:
                raise Failed(-7, "still under way: %r" % active)


def settled(g, name, moved=None):
    """Both agents have nothing to do; one host runs the VM. moved: it must have (True), must not have (False)."""
    pair, source = g.pair, g.host
    target = pair.other(source)
    for h in (source, target):
        quiet(h)
    running = g.running()
    where = {h.name: h for h in pair.hosts}.get(running[0]) if len(running) == 1 else None
    if not ok(where is not None, "%s: exactly one host runs it" % name):
        diag("running on %r, domains %r and %r, agents %r and %r" % (running, pair.a.domains(), pair.b.domains(), pair.a.vms(), pair.b.vms()))
        diag(g.console())
        bail("there is nothing to go on with")
    other = pair.other(where)
    here, there = where.vms().get(g.id), other.vms().get(g.id, "Down")
    good = (here, there, other.domains()) == ("Up", "Down", []) and moved in (None, where is target)
    if not ok(good, "%s: it %s, and both agents know" % (name, "moved" if where is target else "stayed")):
        diag("here %r, there %r, domains there %r, status %r" % (here, there, other.domains(), source.c.call("VM.getMigrationStatus", vmID=g.id) if g.id in source.vms() else None))
    n = len(g.ticks())
    end = time.monotonic() + 60
    while len(g.ticks()) <= n and time.monotonic() < end:
        time.sleep(0.05)                # a file tells nobody
    if len(g.ticks()) <= n:
        ok(False, "%s: it ticks" % name)
    if g.id in other.vms():
        other.c.call("VM.destroy", vmID=g.id)
    g.host = where
