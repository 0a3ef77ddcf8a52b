# SPDX-License-Identifier: Apache-2.0
"""glusterd for tests: real ones, that touch nothing of the machine.

    gluster.isolate()                   first: the test goes on in network and mount namespaces of its own
    g = gluster.Server("/tmp/x/g2", 2)  a glusterd on 127.0.0.2, its state below that directory; ends with the test
    g.socket, g.address                 for [gluster] socket; for bricks
    g.brick("a")                        "127.0.0.2:/tmp/x/g2/bricks/a": on a tmpfs, which keeps trusted.* attributes
    g.stop(), g.go_on(), g.kill()       SIGSTOP, SIGCONT; its end and that of all it started
    g.signal(pid, signal)               to a process that Gluster names
    gluster.by_default(g)               before its bricks: healers, which know only the default socket, find this one

Each glusterd is in a pid namespace of its own, whose end is the end of its bricks and healers.
"""
import atexit
import os
import shutil
import signal
import subprocess
import sys
import time

PROGRAMS = ("glusterd", "gluster", "mount.glusterfs", "unshare", "nsenter", "ip")
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
# Directories that every process of Gluster writes to, whatever it is told
SHARED = ("/var/lib/glusterd", "/var/log/glusterfs", "/run/gluster")
# pid 1 of the namespace: the shell reaps what glusterd leaves behind
INIT = 'glusterd "$@" || exit; while :; do sleep 1000 & wait $!; done'
_mounted = []


def why_not():
    """A reason to skip the test; None."""
    if os.geteuid() != 0:
        return "needs root"
    missing = [p for p in PROGRAMS if not shutil.which(p, path=PATH)]
    return "needs " + missing[0] if missing else None


def isolate():
    if os.environ.get("BERTH_TEST_NETNS") != "1":
        os.environ["BERTH_TEST_NETNS"] = "1"
        os.execvp("unshare", ["unshare", "-n", "-m", sys.executable] + sys.argv)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def _cover():
    while len(_mounted) < len(SHARED):
        path = SHARED[len(_mounted)]
        os.makedirs(path, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "none", path], check=True)
        _mounted.append(path)


def by_default(server):
    """Gluster's programs that know only the default socket find this one, too: a link in an overlay over /run."""
    upper = os.path.join(server.dir, "over")
    os.makedirs(os.path.join(upper, "work"))
    os.makedirs(os.path.join(upper, "new"))
    subprocess.run(["mount", "-t", "overlay", "-o", "lowerdir=/run,upperdir=%s/new,workdir=%s/work" % (upper, upper), "none", "/run"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", "/run/gluster"], check=True)
    os.symlink(server.socket, "/run/glusterd.socket")


class Server:
    def __init__(self, directory, number):
        _cover()
        self.dir, self.address = directory, "127.0.0.%d" % number
        self.socket = os.path.join(directory, "sock")
        self.init = None
        for name in ("lib", "run", "bricks"):
            os.makedirs(os.path.join(directory, name))
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", os.path.join(directory, "bricks")], check=True)
        with open(os.path.join(directory, "vol"), "w") as f:
            f.write("volume management\n    type mgmt/glusterd\n    option working-directory %s/lib\n    option run-directory %s/run\n"
                    "    option glusterd-sockfile %s\n    option transport-type socket\n    option transport.socket.bind-address %s\n"
                    "    option transport.socket.keepalive-time 10\n    option transport.socket.keepalive-interval 2\n    option ping-timeout 0\n"
                    "    option transport.socket.listen-port 24007\nend-volume\n"
                    % (directory, directory, self.socket, self.address))
        atexit.register(self.end)
        self.start()

    def start(self):
        self.init = subprocess.Popen(["unshare", "-p", "-f", "-m", "--mount-proc", "--kill-child", "sh", "-c", INIT, "init",
                                      "-f", os.path.join(self.dir, "vol"), "--pid-file", os.path.join(self.dir, "pid"),
                                      "--log-file", os.path.join(self.dir, "log")],
                                     stdin=subprocess.DEVNULL, env=dict(os.environ, PATH=PATH))
        end = time.monotonic() + 60
        while self.run("peer", "status").returncode:
            if self.init.poll() is not None or time.monotonic() > end:
                raise SystemExit("glusterd does not start: " + self.text()[-3000:])
            time.sleep(0.1)

    def text(self):
        path = os.path.join(self.dir, "log")
        if not os.path.exists(path):
            return ""
        with open(path, errors="replace") as f:
            return f.read()

    def run(self, *words):
        """Gluster's own command, to look from another side."""
        return subprocess.run(["gluster", "--mode=script", "--glusterd-sock=" + self.socket] + list(words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False, env=dict(os.environ, PATH=PATH))

    def brick(self, name):
        return "%s:%s" % (self.address, self.path(name))

    def path(self, name):
        return os.path.join(self.dir, "bricks", name)

    def signal(self, pid, number):
        child = open("/proc/%d/task/%d/children" % (self.init.pid, self.init.pid)).read().split()[0]
        subprocess.run(["nsenter", "-t", child, "-p", "-m", "kill", "-%d" % number, str(pid)], check=True)

    def daemon(self):
        with open(os.path.join(self.dir, "pid")) as f:
            return int(f.read())

    def stop(self):
        self.signal(self.daemon(), signal.SIGSTOP)

    def go_on(self):
        self.signal(self.daemon(), signal.SIGCONT)

    def kill(self):
        if self.init and self.init.poll() is None:
            self.init.kill()
            self.init.wait()

    def end(self):
        self.kill()
        subprocess.run(["umount", "-l", os.path.join(self.dir, "bricks")], check=False)
