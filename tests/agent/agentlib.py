# SPDX-License-Identifier: Apache-2.0
"""What the agent's tests share: a private libvirtd, an agent on it, a small client of the channel, and TAP.

    lab = Lab(); lab.start()                    libvirtd and agent in a scratch directory; both end with the test
    c = lab.client()                            c.call("VM.create", vmID=..., vmParams=...) -> result, or raises Failed(code, message)
    c.wait_event(vm, lambda e: ...)             the next event of that VM that fits; waits for it, never for a while
    vnc_login(c.stats(vm), "password")          as a console's client
    ok(condition, "name"), is_(got, expected, "name"), fails(code, "name", c, "VM.destroy", vmID=...), done()
"""
import atexit
import base64
import json
import os
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.realpath(os.path.join(HERE, "../.."))
BUILD = os.path.join(ROOT, os.environ.get("BUILD", "build"))
LABDIR = os.path.join(ROOT, "tests/lab")
AGENT = os.path.join(BUILD, "berth-agent")
LAB = os.environ.get("LAB", os.path.join(ROOT, "build/lab"))
PAUSE = 0.02            # s between two looks
PATIENCE = 90           # s: a guest boots in three, but not on a machine that has ten other things to do. No wait gives up sooner, whatever it asks for

_count = _failed = 0
_labs = []


# ---- TAP ----

def diag(text):
    for line in str(text).splitlines():
        print("# " + line, flush=True)


def ok(condition, name):
    global _count, _failed
    _count += 1
    if not condition:
        _failed += 1
    print("%sok %d - %s" % ("" if condition else "not ", _count, name), flush=True)
    return bool(condition)


def is_(got, expected, name):
    if not ok(got == expected, name):
        diag("got:      %r" % (got,))
        diag("expected: %r" % (expected,))


def has(mapping, names, name):
    missing = [n for n in names if n not in mapping]
    if not ok(not missing, name):
        diag("missing: " + ", ".join(missing))


def skip_all(reason):
    print("1..0 # SKIP " + reason, flush=True)
    sys.exit(0)


def bail(reason):
    print("Bail out! " + reason, flush=True)
    sys.exit(1)


def done():
    for lab in _labs:
        if lab.agent and lab.agent.poll() is None and lab.stop_agent() != 0:
            ok(False, "the agent ends with status 0")
        log = lab.agent_log()
        if "Sanitizer" in log or "runtime error:" in log:
            ok(False, "no report of a sanitizer")
            diag(log[max(log.find("Sanitizer"), log.find("runtime error:")) - 500:][:6000])
    print("1..%d" % _count, flush=True)
    sys.exit(1 if _failed else 0)


def _crashed(kind, error, trace):
    """A test that dies leaves what its agents said last: the reason is more often there than in the traceback."""
    sys.__excepthook__(kind, error, trace)
    for lab in _labs:
        for name in ("agent.log", "libvirtd.log"):
            if os.path.exists(lab.path(name)):
                with open(lab.path(name), errors="replace") as f:
                    diag("last of %s:\n%s" % (lab.path(name), f.read()[-6000:]))


sys.excepthook = _crashed


def requires(*commands):
    if os.geteuid() != 0:
        skip_all("needs root")
    for command in commands:
        if not shutil.which(command, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"):
            skip_all("needs " + command)
    if not os.access(AGENT, os.X_OK):
        skip_all("no %s: build it first" % AGENT)


def in_host_vm(**environment):
    """The rest of the test runs in a machine of its own, with a full kernel (tests/lab/hostvm.sh, whose environment this is)."""
    global PAUSE
    if os.path.isdir("/lab/.hostvm"):
        PAUSE = 0.3         # its processors are slow: looking costs more than waiting
        return
    hostvm = os.path.join(LABDIR, "hostvm.sh")
    check = subprocess.run([hostvm, "--check"], stderr=subprocess.PIPE, text=True)
    if check.returncode:
        skip_all(check.stderr.strip())
    command = "BUILD=%s exec /usr/bin/python3 %s" % (shlex.quote(BUILD), shlex.quote(os.path.realpath(sys.argv[0])))
    sys.stdout.flush()
    os.execve(hostvm, [hostvm, "-c", command], dict(os.environ, LAB=LAB, **{k: str(v) for k, v in environment.items()}))


# ---- the channel ----

class Failed(Exception):
    def __init__(self, code, message):
        super().__init__("%d: %s" % (code, message))
        self.code = code
        self.message = message


class Client:
    """JSON-RPC over STOMP. A thread reads; calls and events wait on one condition."""
    patience = 60                       # seconds that call() waits for its answer

    def __init__(self, port, address="127.0.0.1", events=True, tls=None):
        self.socket = socket.create_connection((address, port), PATIENCE)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname=address)
        self.socket.settimeout(None)
        self.changed = threading.Condition()
        self.answers = {}
        self.events = []
        self.taken = {}
        self.closed = False
        self.lock = threading.Lock()
        self.frame("CONNECT", {"accept-version": "1.2", "heart-beat": "0,0", "host": "test"})
        self.frame("SUBSCRIBE", {"id": "answers", "destination": "jms.topic.test", "ack": "auto"})
        if events:
            self.frame("SUBSCRIBE", {"id": "events", "destination": "jms.queue.events", "ack": "auto"})
        threading.Thread(target=self.read, daemon=True).start()
        self.call("Host.setLogLevel", level="DEBUG")

    def frame(self, command, headers, body=""):
        body = body.encode()
        if body:
            headers = dict(headers, **{"content-length": str(len(body))})
        head = command + "\n" + "".join("%s:%s\n" % h for h in headers.items()) + "\n"
        with self.lock:
            self.socket.sendall(head.encode() + body + b"\0")

    def read(self):
        data = b""
        while True:
            try:
                more = self.socket.recv(65536)
            except OSError:
                more = b""
            if not more:
                with self.changed:
                    self.closed = True
                    self.changed.notify_all()
                return
            data += more
            while True:
                data = data.lstrip(b"\n")
                end = data.find(b"\n\n")
                if end < 0:
                    break
                headers = dict(line.split(":", 1) for line in data[:end].decode().split("\n")[1:] if ":" in line)
                length = int(headers.get("content-length", -1))
                stop = end + 2 + length if length >= 0 else data.find(b"\0", end + 2)
                if stop < 0 or len(data) <= stop:
                    break
                body, data = data[end + 2:stop], data[stop + 1:]
                if body:
                    self.take(json.loads(body))

    def take(self, message):
        with self.changed:
            for m in message if isinstance(message, list) else [message]:
                if "method" in m:
                    self.events.append((time.monotonic(), m["method"], m.get("params", {})))
                else:
                    self.answers[m.get("id")] = m
            self.changed.notify_all()

    def send(self, method, params):
        number = str(uuid.uuid4())
        body = json.dumps({"jsonrpc": "2.0", "method": method, "params": params, "id": number})
        self.frame("SEND", {"destination": "jms.topic.vdsm_requests", "reply-to": "jms.topic.test", "ovirtCorrelationId": "test-flow"}, body)
        return number

    def answer(self, number, timeout=60):
        with self.changed:
            if not self.changed.wait_for(lambda: number in self.answers or self.closed, timeout):
                raise Failed(-1, "no answer within %g s" % timeout)
            if number not in self.answers:
                raise Failed(-2, "connection closed")
            m = self.answers.pop(number)
        if "error" in m:
            raise Failed(m["error"]["code"], m["error"]["message"])
        return m["result"]

    def call(self, method, *positional, **params):
        return self.answer(self.send(method, list(positional) if positional else params), self.patience)

    def call_when_ready(self, method, timeout=PATIENCE, **params):
        """Until recovery is over (error 99) and libvirt is connected (40); nothing tells a client that."""
        end = time.monotonic() + max(timeout, PATIENCE)
        while True:
            try:
                return self.call(method, **params)
            except Failed as e:
                if e.code not in (40, 99) or time.monotonic() > end:
                    raise
            time.sleep(0.01)

    # events

    def mark(self):
        """Events from here on count for wait_event()."""
        with self.changed:
            return len(self.events)

    def wait_event(self, vm, fits, timeout=PATIENCE, since=0):
        """(index, status object) of the first event of that VM from index `since` on that fits."""
        name, timeout = "|virt|VM_status|" + vm, max(timeout, PATIENCE)
        at, found = since, False

        def over():
            nonlocal at, found
            while not found and at < len(self.events):
                _, method, params = self.events[at]
                at += 1
                found = method == name and fits(params[vm])
            return found or self.closed

        with self.changed:
            self.changed.wait_for(over, timeout)
            if not found:
                seen = [{k: p[vm][k] for k in ("status", "exitMessage") if p[vm].get(k)} for _, m, p in self.events[since:] if m == name]
                raise Failed(-3, "no such event within %g s; seen: %s" % (timeout, seen))
            return at, self.events[at - 1][2][vm]

    def wait_status(self, vm, status, timeout=PATIENCE, since=0):
        return self.wait_event(vm, lambda e: e.get("status") == status, timeout, since)

    def statuses(self, vm, since=0):
        """The sequence of states in the events of a VM, without repetitions."""
        out = []
        for _, method, params in self.events[since:]:
            if method == "|virt|VM_status|" + vm and (not out or out[-1] != params[vm]["status"]):
                out.append(params[vm]["status"])
        return out

    def stats(self, vm):
        return self.call("VM.getStats", vmID=vm)[0]

    def close(self):
        self.socket.close()


def fails(code, name, client, method, **params):
    """One point: the call fails with that code. Returns the message."""
    try:
        result = client.call(method, **params)
    except Failed as e:
        is_(e.code, code, name)
        return e.message
    ok(False, name)
    diag("it answered %r" % (result,))
    return ""


# ---- daemons ----

def run(*command, **kw):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kw).stdout.strip()


def wait_until(condition, seconds=PATIENCE):
    """For what no event tells: true when the condition came true in time."""
    end = time.monotonic() + max(seconds, PATIENCE)
    while not condition():
        if time.monotonic() > end:
            caller = sys._getframe(1)
            diag("%s:%d: waited in vain" % (os.path.basename(caller.f_code.co_filename), caller.f_lineno))
            return False
        time.sleep(PAUSE)
    return True


# what a guest's kernel said last, and what those wait for that cannot be interrupted
LAST_WORDS = "dmesg | tail -n 20; for p in /proc/[0-9]*; do grep -q '^State:.D' $p/status && head -n 1 $p/status $p/stack; done"


class Lab:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="ba-", dir="/tmp")
        os.chmod(self.dir, 0o755)
        self.agent = None
        self.within = []                # command that runs the agent: in another network
        self.libvirtd = os.path.join(self.dir, "v")
        self.uri = None
        self.config = {"rpc": {"address": "127.0.0.1", "port": "0", "plain": "true"}, "vm": {"stats_period": "1", "display_address": "127.0.0.1"},
                       "agent": {"state_dir": self.path("state"), "run_dir": self.path("run"), "hooks_dir": self.path("hooks"),
                                 "hook_timeout": "5", "log_level": "debug"}, "libvirt": {}}
        os.mkdir(self.path("hooks"))
        _labs.append(self)
        atexit.register(self.end)
        signal.signal(signal.SIGTERM, lambda *a: sys.exit(1))

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def start(self):
        self.guest = run(os.path.join(LABDIR, "mkguest.sh"), env=dict(os.environ, LAB=LAB))
        self.start_libvirtd()
        self.start_agent()

    def start_libvirtd(self):
        self.uri = run(os.path.join(LABDIR, "libvirtd.sh"), "start", self.libvirtd).splitlines()[-1]
        self.config["libvirt"]["uri"] = self.uri
        self.config["libvirt"]["swtpm_dir"] = os.path.join(self.libvirtd, "lib/swtpm")
        self.pidns = os.readlink("/proc/%s/ns/pid" % self.libvirtd_do("pid"))

    def qemus(self):
        """name -> pid of the machines of our libvirtd, and of no other."""
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/cmdline" % pid) as f:
                    words = f.read().split("\0")
                if "qemu" in words[0] and os.readlink("/proc/%s/ns/pid" % pid) == self.pidns and "-name" in words:
                    found[words[words.index("-name") + 1].split(",")[0][len("guest="):]] = int(pid)
            except (OSError, ValueError):
                pass
        return found

    def libvirtd_do(self, what):
        return run(os.path.join(LABDIR, "libvirtd.sh"), what, self.libvirtd)

    def virsh(self, *arguments):
        return run("virsh", "-q", "-c", self.uri, *arguments)

    def inside(self, command, name="guest", timeout=PATIENCE):
        """What a shell command prints inside a guest. One that has to wait for something waits there."""
        def agent(**query):
            """qemu-ga dies when it is asked for its disks as one is taken out; the guest starts it again within a second."""
            end = time.monotonic() + PATIENCE
            while True:
                try:
                    return json.loads(self.virsh("qemu-agent-command", name, json.dumps(query)))["return"]
                except subprocess.CalledProcessError as problem:
                    if "is not connected" not in problem.stderr or time.monotonic() > end:
                        raise
                    time.sleep(PAUSE)
        pid = agent(execute="guest-exec", arguments={"path": "/bin/sh", "arg": ["-c", command], "capture-output": True})["pid"]
        end = time.monotonic() + max(timeout, PATIENCE)
        while True:
            status = agent(execute="guest-exec-status", arguments={"pid": pid})
            if status["exited"]:
                return base64.b64decode(status.get("out-data", "")).decode(errors="replace").strip()
            if time.monotonic() > end:
                if command != LAST_WORDS:
                    diag(self.inside(LAST_WORDS, name))
                raise Failed(-4, "inside the guest, '%s' does not end within %g s" % (command, timeout))
            time.sleep(0.02)

    def inside_until(self, condition, name="guest", timeout=PATIENCE):
        """true when the condition comes true inside the guest."""
        turns = int(timeout * 20)
        return self.inside("n=0; until %s; do n=$((n+1)); [ $n -gt %d ] && exit; usleep 50000; done; echo yes" % (condition, turns), name,
                           2 * timeout + 5) == "yes"

    def write_config(self):
        with open(self.path("agent.conf"), "w") as f:
            for section, keys in self.config.items():
                f.write("[%s]\n%s" % (section, "".join("%s=%s\n" % k for k in keys.items())))

    def start_agent(self):
        self.write_config()
        ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = self.path("notify")
        if os.path.exists(path):
            os.unlink(path)
        ready.bind(path)
        self.log = open(self.path("agent.log"), "ab")
        self.agent = subprocess.Popen(self.within + [AGENT, "--config", self.path("agent.conf")], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                      env=dict(os.environ, NOTIFY_SOCKET=path, TSAN_OPTIONS="suppressions=" + os.path.join(HERE, "tsan.supp")))
        pidfd = os.pidfd_open(self.agent.pid)
        end = time.monotonic() + max(PATIENCE, Client.patience)
        while True:
            got = select.select([ready, pidfd], [], [], max(end - time.monotonic(), 0))[0]
            if ready in got and b"READY=1" in ready.recv(4096):
                break
            if pidfd in got or not got:
                diag(self.agent_log()[-3000:])
                bail("the agent did not start")
        os.close(pidfd)
        ready.close()
        with open(self.path("run/port")) as f:
            self.port = int(f.read())

    def agent_log(self):
        with open(self.path("agent.log"), errors="replace") as f:
            return f.read()

    def kill_agent(self):
        self.agent.kill()
        self.agent.wait()

    def stop_agent(self):
        self.agent.terminate()
        return self.agent.wait(PATIENCE)

    def client(self, **kw):
        return Client(self.port, **kw)

    def end(self):
        if self.agent and self.agent.poll() is None:
            self.agent.terminate()
            try:
                self.agent.wait(10)
            except subprocess.TimeoutExpired:
                self.agent.kill()
        if self.uri:
            subprocess.run([os.path.join(LABDIR, "libvirtd.sh"), "stop", self.libvirtd], stdout=subprocess.DEVNULL)
        if _failed and os.path.exists(self.path("agent.log")):
            diag("agent's log:\n" + self.agent_log()[-6000:])
        if not os.environ.get("KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)

    # VMs

    def disk(self, name="disk.qcow2"):
        path = self.path(name)
        shutil.copy(os.path.join(self.guest, "data.qcow2"), path)
        shutil.chown(path, "libvirt-qemu", "kvm")
        return path

    def cmdline(self, words=""):
        """The lab guest's kernel command line."""
        with open(os.path.join(self.guest, "cmdline")) as f:
            return (f.read().strip() + " " + words).strip()

    def params(self, name="guest", disk=True, **more):
        """VM.create in the parameter form, for the lab's guest."""
        p = {"vmName": name, "memSize": 128, "smp": 1, "kernel": os.path.join(self.guest, "vmlinuz"), "initrd": os.path.join(self.guest, "initrd.img"),
             "kernelArgs": self.cmdline("lab.ip=10.99.0.5/24"), "console": self.path(name + ".serial"), "emulatedMachine": "q35",
             "devices": [{"type": "interface", "device": "bridge", "macAddr": "52:54:00:00:00:05", "nicModel": "virtio"}]}
        if disk:
            p["devices"].append({"type": "disk", "device": "disk", "iface": "virtio", "format": "cow", "path": self.disk(name + ".qcow2"),
                                 "deviceId": "11111111-2222-4333-8444-555555555555"})
        p.update(more)
        return p

    def hook(self, point, name, text):
        os.makedirs(self.path("hooks", point), exist_ok=True)
        path = self.path("hooks", point, name)
        with open(path, "w") as f:
            f.write("#!/bin/sh\n" + text + "\n")
        os.chmod(path, 0o755)
        return path

    def slow_hook(self, point, status=0):
        """A script that waits until the function that this returns is called: true if it was at it. (hook_timeout must be long enough.) Then it ends with status."""
        gate, begun = self.path("gate"), self.path("gate.begun")
        for path in (gate, begun):
            if os.path.exists(path):
                os.unlink(path)
        os.mkfifo(gate)
        atexit.register(lambda: os.path.exists(gate) and os.close(os.open(gate, os.O_RDWR | os.O_NONBLOCK)))     # none is left waiting
        self.hook(point, "10_slow", "touch %s; read x < %s; rm %s; exit %d" % (begun, gate, begun, status))

        def let_go():
            waits = wait_until(lambda: os.path.exists(begun), 20)
            with open(os.open(gate, os.O_RDWR | os.O_NONBLOCK), "w") as f:
                f.write("go\n")
                f.flush()
                return wait_until(lambda: not os.path.exists(begun), 20) and waits
        return let_go

    def unhook(self):
        shutil.rmtree(self.path("hooks"))
        os.mkdir(self.path("hooks"))


def vnc_login(stats, password):
    """(socket, stream) of an authenticated connection (RFC 6143) to the console that VM.getStats names; None when it is refused. Needs openssl."""
    display = stats["displayInfo"][0]
    s = socket.create_connection((display["ipAddress"], int(display["port"])), PATIENCE)
    stream = s.makefile("rwb")

    def say(data):
        stream.write(data)
        stream.flush()
    stream.read(12)
    say(b"RFB 003.008\n")
    if 2 not in stream.read(stream.read(1)[0]):
        raise Failed(-5, "VNC authentication is not offered")
    say(b"\x02")
    key = bytes(int("{:08b}".format(b)[::-1], 2) for b in password.encode().ljust(8, b"\0")[:8])
    say(subprocess.run(["openssl", "enc", "-des-ecb", "-nopad", "-K", key.hex(), "-provider", "legacy", "-provider", "default"], input=stream.read(16),
                       stdout=subprocess.PIPE, check=True).stdout)
    if stream.read(4) != b"\0\0\0\0":
        s.close()
        return None
    say(b"\x01")
    stream.read(24)
    return s, stream


def new_id():
    return str(uuid.uuid4())
