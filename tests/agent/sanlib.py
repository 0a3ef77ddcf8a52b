# SPDX-License-Identifier: Apache-2.0
"""Hosts that share storage: each an agent, a libvirtd with sanlock for its lock manager, and a sanlock daemon of its own, which can be cut off the storage.

    san = San(lab, "host name")        starts libvirtd, daemon and agent; san.cut(), san.mend()
The daemons need neither watchdog nor capabilities. Their storage is cut by a library preloaded into them: while a file is there, nothing is read or written.
"""
import atexit
import os
import signal
import subprocess

from agentlib import *  # noqa: F401,F403
from agentlib import bail, run, wait_until

CUT = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
typedef void *io_context_t;
struct iocb;
#include <stdlib.h>
#include <unistd.h>
int io_submit(io_context_t context, long n, struct iocb **list)
{
	static int (*real)(io_context_t, long, struct iocb **);
	if (!access(getenv("CUT"), F_OK))
		return -EIO;
	if (!real)
		real = (int (*)(io_context_t, long, struct iocb **))dlsym(RTLD_NEXT, "io_submit");
	return real(context, n, list);
}
"""


class San:
    def __init__(self, lab, name):
        """Starts all of the host. Everything is in the namespaces of its libvirtd: sanlock, libvirt and agent must see each other's processes."""
        self.lab, self.flag = lab, lab.path("cut")
        run_dir, source, shim, log = lab.path("sl"), lab.path("cut.c"), lab.path("cut.so"), lab.path("sanlock.log")
        os.mkdir(run_dir)
        with open(source, "w") as f:
            f.write(CUT)
        run("cc", "-shared", "-fPIC", "-o", shim, source)
        os.makedirs(os.path.join(lab.libvirtd, "etc"))
        with open(os.path.join(lab.libvirtd, "etc/qemu-sanlock.conf"), "w") as f:
            f.write('auto_disk_leases = 0\nrequire_lease_for_disks = 0\nhost_id = 1\nuser = "root"\ngroup = "root"\n')
        lab.config["libvirt"]["qemu_conf"] = os.path.join(lab.libvirtd, "etc/qemu.conf")
        more = {"SANLOCK_RUN_DIR": run_dir, "QEMUCONF": 'lock_manager = "sanlock"'}
        os.environ.update(more)
        lab.start_libvirtd()
        with open(os.path.join(lab.libvirtd, "pid")) as f:
            outer = f.read().strip()
        with open("/proc/%s/task/%s/children" % (outer, outer)) as f:
            inside = ["nsenter", "-t", f.read().split()[0], "-m", "-p"]
        with open(log, "w") as out:
            self.daemon = subprocess.Popen(inside + ["env", "SANLOCK_PRIVILEGED=0", "LD_PRELOAD=" + shim, "CUT=" + self.flag] +
                                           "sanlock daemon -D -w 0 -l 0 -h 0 -U root -G root -e".split() + [name], stdout=out, stderr=out)
        atexit.register(self.end)
        if not wait_until(lambda: os.path.exists(os.path.join(run_dir, "sanlock.sock")), 20):
            bail("sanlock does not start; see " + log)
        lab.within = inside
        lab.stop_agent = self.stop_agent
        lab.start_agent()
        for name in more:
            del os.environ[name]

    def end(self):
        if self.lab.agent and self.lab.agent.poll() is None:
            self.stop_agent()
        self.lab.end()
        self.daemon.wait()              # it ended with the namespaces

    def stop_agent(self):
        """nsenter passes no signals on."""
        nsenter = self.lab.agent.pid
        with open("/proc/%d/task/%d/children" % (nsenter, nsenter)) as f:
            os.kill(int(f.read().split()[0]), signal.SIGTERM)
        return self.lab.agent.wait(20)

    def cut(self):
        with open(self.flag, "w"):
            pass

    def mend(self):
        os.unlink(self.flag)
