# SPDX-License-Identifier: Apache-2.0
"""On top of enginelib: a whole stack for a test. A network namespace of its own, a private libvirtd, any number of agents with certificates, an engine
that knows them.

    isolate()                           first thing in a test that starts agents: the test goes on in a new network namespace
    s = Stack("agent.ask=1\\n...")       CA, libvirtd, engine; s.e is the Engine
    a = s.agent("a")                    a berth-agent on 127.0.0.N:port; a.kill(), a.start(), a.stop()
    s.add_host(a, "h1")                 Answer of POST /api/hosts;  s.wait_host("h1", "up")
"""
import atexit
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid

from enginelib import BUILD, PATIENCE, ROOT, Engine, skip_all, state_of, wait_until

LABDIR = os.path.join(ROOT, "tests", "lab")
AGENT = os.path.join(BUILD, "berth-agent")
BERTH = os.path.join(BUILD, "berth")


def run(*command, **kw):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kw).stdout.strip()


def isolate():
    """Bridges that agents make, their ports, and what the test mounts are seen by nobody else."""
    if os.geteuid() != 0:
        skip_all("needs root")
    for command in ("unshare", "ip", "libvirtd", "qemu-img"):
        if not shutil.which(command, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"):
            skip_all("needs " + command)
    for program in (AGENT, BERTH, os.path.join(BUILD, "berth-engine")):
        if not os.access(program, os.X_OK):
            skip_all("no %s: build it first" % program)
    if os.environ.get("BERTH_TEST_NETNS") != "1":
        os.environ["BERTH_TEST_NETNS"] = "1"
        os.execvp("unshare", ["unshare", "-n", "-m", sys.executable] + sys.argv)
    run("ip", "link", "set", "lo", "up")
    # an interface with an address, so that name look-ups count IPv4 as there
    run("ip", "link", "add", "away0", "type", "veth", "peer", "name", "away1")
    run("ip", "addr", "add", "203.0.113.77/32", "dev", "away0")
    run("ip", "link", "set", "away0", "up")


class Agent:
    def __init__(self, stack, name, number, ca="ca", days=None, host_id=None, sanlock=False):
        self.stack, self.name, self.sanlock, self.env = stack, name, None, {}
        self.address = "127.0.0.%d" % number
        self.dir = os.path.join(stack.dir, name)
        for sub in ("", "state", "hooks"):
            os.makedirs(os.path.join(self.dir, sub), exist_ok=True)
        self.host_id = host_id or str(uuid.uuid4())
        with open(os.path.join(self.dir, "state", "host.id"), "w") as f:
            f.write(self.host_id + "\n")
        cert, key = stack.issue(name, ca, self.address, days)
        self.port, self.process = 0, None
        self.log = os.path.join(self.dir, "log")
        self.config = ("[rpc]\naddress=%s\nport=%%d\n[tls]\ncert=%s\nkey=%s\nca=%s\n[libvirt]\nuri=%s\n[vm]\nstats_period=1\n"
                       "[host]\npolicy_period=1\n[agent]\nstate_dir=%s/state\nrun_dir=%s/run\nhooks_dir=%s/hooks\nlog_level=debug\n"
                       % (self.address, cert, key, stack.path("ca", "ca.pem"), stack.uri, self.dir, self.dir, self.dir))
        if sanlock:
            self.start_sanlock()
        self.start()

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def start_sanlock(self):
        """A daemon of this host's own: hosts are told apart by theirs. It needs neither watchdog nor privileges."""
        if not shutil.which("sanlock", path=os.environ.get("PATH", "") + ":/usr/sbin"):
            skip_all("needs sanlock")
        self.env = {"SANLOCK_RUN_DIR": self.path("sl"), "SANLOCK_PRIVILEGED": "0"}
        os.makedirs(self.path("sl"), exist_ok=True)
        with open(self.path("sanlock.log"), "ab") as log:
            self.sanlock = subprocess.Popen("sanlock daemon -D -w 0 -l 0 -h 0 -U root -G root -e".split() + [self.name], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=dict(os.environ, PATH=os.environ.get("PATH", "") + ":/usr/sbin", **self.env))
        if not wait_until(lambda: os.path.exists(self.path("sl", "sanlock.sock")), 20):
            raise SystemExit("sanlock does not start; see " + self.path("sanlock.log"))

    def start(self):
        with open(self.path("agent.conf"), "w") as f:
            f.write(self.config % self.port)
        notify = self.path("notify")
        if os.path.exists(notify):
            os.unlink(notify)
        ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        ready.bind(notify)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([AGENT, "--config", self.path("agent.conf")], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=dict(os.environ, NOTIFY_SOCKET=notify, **self.env))
        pidfd = os.pidfd_open(self.process.pid)
        got = select.select([ready, pidfd], [], [], 30 * PATIENCE)[0]
        os.close(pidfd)
        ready.close()
        if ready not in got:
            raise SystemExit("the agent did not start: " + self.text()[-3000:])
        with open(self.path("run", "port")) as f:
            self.port = int(f.read())
        return self

    def text(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def kill(self, how=signal.SIGKILL):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(30 * PATIENCE)

    def stop(self):
        self.kill(signal.SIGTERM)

    def directory(self, name, mode=0o755):
        path = self.path(name)
        os.makedirs(path, exist_ok=True)
        os.chmod(path, mode)
        return path

    def call(self, namespace, verb, *arguments):
        """`berth host`, with a certificate of its own. (status, output)"""
        cert, key = self.stack.path("tester.pem"), self.stack.path("tester.key")
        if not os.path.exists(cert):
            self.stack.issue("tester", "ca", "127.0.0.1", None)
        done = subprocess.run([BERTH, "host", "--host", self.address, "--port", str(self.port), "--ca", self.stack.path("ca", "ca.pem"), "--cert", cert,
                               "--key", key, namespace, verb] + list(arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        return done.returncode, done.stdout


class Stack:
    def __init__(self, config="", engine=True, uri=None):
        """uri: of a libvirt that is there; None: one of the stack's own"""
        self.dir = tempfile.mkdtemp(prefix="be-", dir="/tmp")
        os.chmod(self.dir, 0o755)
        self.agents, self.engines = [], []
        atexit.register(self.end)
        signal.signal(signal.SIGTERM, lambda *a: sys.exit(1))
        self.make_ca("ca")
        self.libvirtd = None if uri else self.path("v")
        self.uri = uri or run(os.path.join(LABDIR, "libvirtd.sh"), "start", self.libvirtd).splitlines()[-1]
        self.e = self.engine(config) if engine else None

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def make_ca(self, name):
        run(BERTH, "pki", "init", "--dir", self.path(name))

    def issue(self, name, ca, address, days):
        cert, key = self.path(name + ".pem"), self.path(name + ".key")
        run(BERTH, "pki", "issue", "--dir", self.path(ca), "--name", name, "--address", address, "--both", "--cert", cert, "--key", key,
            *(["--days", str(days)] if days else []))
        return cert, key

    def engine(self, config="", ca="ca"):
        cert, key = self.issue("engine%d" % len(self.engines), ca, "127.0.0.1", None)
        e = Engine("agent.ca=%s\nagent.cert=%s\nagent.key=%s\n%s" % (self.path("ca", "ca.pem"), cert, key, config))
        self.engines.append(e)
        return e

    def agent(self, name, **kw):
        agent = Agent(self, name, 2 + len(self.agents), **kw)
        self.agents.append(agent)
        return agent

    def end(self):
        for e in self.engines:
            log = open(e.log, errors="replace").read() if os.path.exists(e.log) else ""
            if "Sanitizer" in log or "runtime error:" in log:
                at = max(log.find("Sanitizer"), log.find("runtime error:"))
                print("not ok - a sanitizer's report\n# " + log[max(at - 500, 0):at + 5000].replace("\n", "\n# "))
            if os.environ.get("KEEP"):
                print("# engine's log: " + e.log)
            if e.process and e.process.poll() is None:
                e.kill()
            if not os.environ.get("KEEP"):
                shutil.rmtree(e.dir, ignore_errors=True)
        for agent in self.agents:
            agent.stop()
            if agent.sanlock:
                agent.sanlock.kill()
                agent.sanlock.wait()
        if self.libvirtd:
            subprocess.run([os.path.join(LABDIR, "libvirtd.sh"), "stop", self.libvirtd], stdout=subprocess.DEVNULL, check=False)
        if not os.environ.get("KEEP"):
            with open("/proc/mounts") as f:
                for where in [line.split()[1] for line in f]:
                    if where.startswith(self.dir + "/"):
                        subprocess.run(["umount", "-l", where], check=False)
            shutil.rmtree(self.dir, ignore_errors=True)
        else:
            print("# kept: " + self.dir)

    # ---- what tests do again and again ----

    def add_host(self, agent, name, cluster="Default", path="/api/hosts", e=None):
        return (e or self.e).call("POST", path, "<host><name>%s</name><address>%s</address><port>%d</port><root_password>x</root_password>"
                                  "<cluster><name>%s</name></cluster></host>" % (name, agent.address, agent.port, cluster))

    def host(self, name, e=None):
        for item in (e or self.e).get("/api/hosts").xml():
            if item.findtext("name") == name:
                return item
        return None

    def wait_host(self, name, state, seconds=30):
        def there():
            host = self.host(name)
            return host is not None and state_of(host) == state
        return wait_until(there, seconds)

    def local_data_center(self, name):
        """A data center with local storage and a cluster of the same name. Its id."""
        a = self.e.call("POST", "/api/datacenters", "<data_center><name>%s</name><local>true</local></data_center>" % name)
        self.e.call("POST", "/api/clusters", '<cluster><name>%s</name><cpu id="Intel Penryn Family"/><data_center><name>%s</name></data_center></cluster>'
                    % (name, name))
        return a.xml().get("id")

    def add_domain(self, name, host, path, extra=""):
        return self.e.call("POST", "/api/storagedomains", "<storage_domain><name>%s</name><type>data</type><storage><type>localfs</type><path>%s</path></storage>"
                           "<host><name>%s</name></host>%s</storage_domain>" % (name, path, host, extra))

    def ready_domain(self, name, host, path, data_center):
        """A new domain, attached and active. Its id."""
        domain = self.add_domain(name, host, path).xml().get("id")
        base = "/api/datacenters/%s/storagedomains" % data_center
        self.e.call("POST", base, '<storage_domain id="%s"/>' % domain)
        self.e.call("POST", "%s/%s/activate" % (base, domain), "<action/>")
        return domain

    def events(self, e=None):
        return [(int(x.findtext("code")), x.findtext("description")) for x in (e or self.e).get("/api/events").xml()]


def wait_log(engine, pattern, where, seconds=20):
    """Reads the engine's log from offset `where` until a line fits; True when it came. Tight: for kills between two steps."""
    end = time.monotonic() + seconds * PATIENCE
    text = ""
    with open(engine.log, errors="replace") as f:
        f.seek(where)
        while time.monotonic() < end:
            more = f.read()
            if more:
                text += more
                if re.search(pattern, text):
                    return True
    return False
