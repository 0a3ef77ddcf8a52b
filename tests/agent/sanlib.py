# SPDX-License-Identifier: Apache-2.0
"""Hosts that share storage: each an agent, a libvirtd with sanlock for its lock manager, and a sanlock daemon of its own, which can be cut off the storage.

    san = San(lab, "host name")        starts libvirtd, daemon and agent; san.cut(), san.mend()
    hosts = Hosts(2, io_timeout=1)     two of them on one shared domain (hosts.pool, hosts.domain), each with its number: hosts.clients, .labs, .sans
The daemons need neither watchdog nor capabilities. Their storage is cut by a library preloaded into them: while a file is there, nothing is read or written.
"""
import atexit
import os
import signal
import subprocess

from poollib import *  # noqa: F401,F403
from poollib import POSIX, Failed, Lab, bail, connect_pool, create_pool, new_id, requires, run, skip_all, wait_until

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
        lab.within = inside + ["env", "SANLOCK_RUN_DIR=" + run_dir]
        for name in more:
            del os.environ[name]
        lab.stop_agent = self.stop_agent
        lab.start_agent()

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
        return self.lab.agent.wait(PATIENCE)

    def cut(self):
        with open(self.flag, "w"):
            pass

    def mend(self):
        os.unlink(self.flag)

    def agent_dies(self, act):
        """What it does until the agent, which was started to die on its way (BERTH_FAULT), is dead; true: it was answered."""
        try:
            act()
            answered = True
        except (Failed, OSError):
            answered = False
        self.lab.agent.wait(60)
        return answered


class Hosts:
    def __init__(self, n, io_timeout):
        requires("libvirtd", "virsh", "qemu-system-x86_64", "sanlock", "cc")
        if not os.path.exists("/usr/lib/x86_64-linux-gnu/libvirt/lock-driver/sanlock.so"):
            skip_all("needs libvirt-sanlock")
        self.labs = [Lab() for _ in range(n)]
        self.sans = [San(lab, "host%d" % i) for i, lab in enumerate(self.labs)]
        self.clients = [lab.client() for lab in self.labs]
        self.pool, self.domain, self.shared = new_id(), new_id(), self.labs[0].path("shared")
        os.mkdir(self.shared)
        for c in self.clients:
            c.call_when_ready("Host.ping2")
            [answer] = c.call("StoragePool.connectStorageServer", storagepoolID="00000000-0000-0000-0000-000000000000", domainType=POSIX,
                              connectionParams=[{"id": new_id(), "connection": self.shared, "vfs_type": "none", "mnt_options": "bind"}])
            assert answer["status"] == 0, answer
        first = self.clients[0]
        first.call("StorageDomain.create", storagedomainID=self.domain, domainType=POSIX, typeArgs=self.shared, name="sd", domainClass=1, version=5)
        create_pool(first, self.pool, self.domain, [self.domain], io_timeout=io_timeout)
        for number, c in enumerate(self.clients, 1):
            connect_pool(c, self.pool, self.domain, {self.domain: "active"}, host=number)

    def acquired(self, c):
        """Has it its number in the domain?"""
        return c.call("Host.getStorageRepoStats", domains=[self.domain]).get(self.domain, {}).get("acquired")

    def wait_acquired(self, *clients, seconds=60):
        return all(wait_until(lambda: self.acquired(c), seconds) for c in clients or self.clients)
