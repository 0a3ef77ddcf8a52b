# SPDX-License-Identifier: Apache-2.0
"""What the tests of volumes that no VM uses share: domains in directories, volumes with known data, jobs and tasks.

    a = Domain(lab, c)                   a local storage domain, active; Domain(lab, c, pool=a.pool): another one of the same pool
    v = a.volume(format=COW)             a volume in a new image; v.child(): one based on it, in the same image; a.volume(..., parent=v)
    v.write(7, 0, 1 << 20)               bytes of one value, by qemu-io; v.sum(): checksum of what a guest would read
    sdm(c, "SDM.copy_data", source=v.end(), ...)     a job with a new id; its end as Host.getJobs has it
"""
import fcntl
import hashlib
from snaplib import *  # noqa: F401,F403
from snaplib import BLANK, Failed, Lab, diag, json, new_id, ok, os, run, select, subprocess, tempfile, wait_job, wait_until

COW, RAW = 4, 5
MIB = 1 << 20


class Volume:
    def __init__(self, domain, image, volume, format, size, parent=None):
        self.domain, self.image, self.id, self.format, self.size, self.parent = domain, image, volume, format, size, parent

    @property
    def c(self):
        return self.domain.c

    def ids(self):
        return {"storagepoolID": self.domain.pool, "storagedomainID": self.domain.id, "imageID": self.image, "volumeID": self.id}

    def end(self, **more):
        return dict({"endpoint_type": "div", "sd_id": self.domain.id, "img_id": self.image, "vol_id": self.id}, **more)

    def path(self, suffix=""):
        return os.path.join(self.domain.path(), "images", self.image, self.id + suffix)

    def name(self):
        return "qcow2" if self.format == COW else "raw"

    def child(self, **kw):
        return self.domain.volume(image=self.image, parent=self, size=kw.pop("size", self.size), **kw)

    def info(self):
        return self.c.call("Volume.getInfo", **self.ids())

    def write(self, value, at, length):
        run("qemu-io", "-f", self.name(), "-c", "write -P %d %d %d" % (value, at, length), self.path())

    def fill(self, mib, at=0):
        """Random bytes."""
        path = self.domain.lab.path("random")
        with open(path, "wb") as f:
            f.write(os.urandom(mib * MIB))
        run("qemu-io", "-f", self.name(), "-c", "write -s %s %d %d" % (path, at, mib * MIB), self.path())
        return self

    def sum(self):
        return sum_of(self.path(), self.name())

    def check(self):
        """true when QEMU finds nothing wrong with the file."""
        return self.format == RAW or subprocess.run(["qemu-img", "check", "-q", "-f", "qcow2", self.path()]).returncode == 0

    def bitmaps(self):
        """Their names."""
        info = json.loads(run("qemu-img", "info", "-U", "-f", "qcow2", "--output=json", self.path()))
        return sorted(b["name"] for b in info["format-specific"]["data"].get("bitmaps", []))

    def meta(self):
        with open(self.path(".meta")) as f:
            return dict(line.rstrip("\n").split("=", 1) for line in f if "=" in line)

    def set_meta(self, **changes):
        values = dict(self.meta(), **changes)
        with open(self.path(".meta"), "w") as f:
            f.write("".join("%s=%s\n" % v for v in sorted(values.items())) + "EOF\n")

    def blocks(self):
        return os.stat(self.path()).st_blocks * 512


class Domain:
    def __init__(self, lab, c, name="sd", pool=None, directory=None, kind=4, **connection):
        """kind 6: a file system that the agent mounts, as `connection` says."""
        self.lab, self.c, self.pool, self.id, self.kind = lab, c, pool or new_id(), new_id(), kind
        self.directory = lab.path("state/storage/mnt", name) if kind == 6 else directory or lab.path(name)
        self.connection = dict({"id": new_id(), "connection": name if kind == 6 else self.directory}, **connection)
        if kind == 4:
            os.makedirs(self.directory, exist_ok=True)
        self.server("connect")
        c.call("StorageDomain.create", storagedomainID=self.id, domainType=kind, typeArgs=self.connection["connection"], name=name, domainClass=1, version=5)
        c.call("StorageDomain.attach", storagedomainID=self.id, storagepoolID=self.pool)
        c.call("StorageDomain.activate", storagedomainID=self.id, storagepoolID=self.pool)

    def server(self, verb):
        """Connects or disconnects it: its status."""
        [answer] = self.c.call("StoragePool.%sStorageServer" % verb, domainType=self.kind, storagepoolID=self.pool, connectionParams=[self.connection])
        return answer["status"]

    def path(self):
        return os.path.join(self.directory, self.id)

    def volume(self, format=COW, size=64 * MIB, image=None, parent=None, preallocate=2, volume=None):
        v = Volume(self, image or new_id(), volume or new_id(), format, size, parent)
        task(self.c, "Volume.create", size=str(size), volFormat=format, preallocate=preallocate, diskType="DATA", desc="test",
             srcImgUUID=parent.image if parent else BLANK, srcVolUUID=parent.id if parent else BLANK, **v.ids())
        return v

    def leftovers(self):
        """Names in images/ that are no images."""
        return [n for n in os.listdir(os.path.join(self.path(), "images")) if n.startswith(".")]


def task(c, verb, good=True, **params):
    """The end of a task; raises when it is not the one expected."""
    end = wait_job(c, c.call(verb, **params))
    if good and end["status"] != "done":
        raise Failed(end.get("error", {}).get("code", -5), "%s: %r" % (verb, end))
    return end


def sdm(c, verb, job=None, **params):
    job = job or new_id()
    c.call(verb, job_id=job, **params)
    return wait_job(c, job)


def ended(end, code, name):
    """One point: the job failed with that code."""
    if not ok(end["status"] in ("failed", "aborted") and end.get("error", {}).get("code") == code, name):
        diag(repr(end))
    return end.get("error", {}).get("message", "")


def done_ok(end, name):
    if not ok(end["status"] == "done", name):
        diag(repr(end))


def sum_of(path, format):
    """Of what a guest would read."""
    raw = tempfile.mktemp(prefix="ba-sum-", dir="/tmp")
    run("qemu-img", "convert", "-U", "-f", format, "-O", "raw", path, raw)
    digest = hashlib.sha256()
    with open(raw, "rb") as f:
        while True:
            piece = f.read(4 * MIB)
            if not piece:
                break
            digest.update(piece)
    os.unlink(raw)
    return digest.hexdigest()


def hash_of(volume, length):
    """Of the first bytes that a guest would read."""
    raw = tempfile.mktemp(prefix="ba-sum-", dir="/tmp")
    run("qemu-img", "convert", "-f", volume.name(), "-O", "raw", volume.path(), raw)
    with open(raw, "rb") as f:
        digest = hashlib.sha256(f.read(length)).hexdigest()
    os.unlink(raw)
    return digest


def file_names(volume):
    """The chain as the files have it, from the top."""
    infos = json.loads(run("qemu-img", "info", "-U", "-f", volume.name(), "--backing-chain", "--output=json", volume.path()))
    return [os.path.basename(i["filename"]) for i in infos]


class Faults:
    """Two domains, a and b, and an agent that dies where it is told."""

    def __init__(self):
        self.lab = Lab()
        self.lab.start()
        self.c = self.lab.client()
        self.c.call_when_ready("Host.ping2")
        self.a = Domain(self.lab, self.c)
        self.b = Domain(self.lab, self.c, "other", self.a.pool)

    def is_free(self):
        """A process the dead agent was just about to start has its lock until it has begun."""
        with open(self.lab.path("run/lock")) as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except OSError:
                return False

    def start(self, **environment):
        wait_until(self.is_free, 20)
        os.environ.update(environment)
        self.lab.start_agent()
        for name in environment:
            del os.environ[name]
        self.c = self.a.c = self.b.c = self.lab.client()
        self.c.call_when_ready("Host.ping2")

    def stop(self):
        self.c.close()
        self.lab.stop_agent()

    def task(self, verb, **params):
        return wait_job(self.c, self.c.call(verb, **params))

    def points(self, prepare, act):
        """The fault points one undisturbed run passes: "NAME#1", ..."""
        it, path = prepare(), self.lab.path("points")
        if os.path.exists(path):
            os.unlink(path)
        self.stop()
        self.start(BERTH_FAULT_TRACE=path)
        act(it, new_id())
        self.stop()
        with open(path) as f:
            names = f.read().split("\n")[:-1]
        self.start()
        return ["%s#%d" % (n, names[:i].count(n) + 1) for i, n in enumerate(names)]

    def die_at(self, point, act):
        self.stop()
        self.start(BERTH_FAULT=point)
        try:
            act()
        except Failed:
            pass                        # the connection ended, with the agent
        self.c.close()
        pidfd = os.pidfd_open(self.lab.agent.pid)
        died = bool(select.select([pidfd], [], [], 20)[0])
        os.close(pidfd)
        if not died:
            self.lab.stop_agent()
        self.lab.agent.wait()
        self.start()
        return died

    def each(self, name, least, prepare, act, check, by_id=True, at=None):
        """
        prepare() makes what act(it, job) works with and, after the job is over, check(it) looks at: true, or what is wrong. The agent is killed at each
        point, or only at that one. by_id: the caller names the job, so that it can ask again when it did not hear the answer; else the job is over, and
        may not have begun.
        """
        points = [at] if at else self.points(prepare, act)
        at or ok(len(points) >= least, "%s passes %d points" % (name, len(points)))
        for point in points:
            if not by_id and point.startswith("job begun"):
                continue
            it, job = prepare(), new_id()
            died = self.die_at(point, lambda: act(it, job))
            for other in self.c.call("Host.getJobs", job_type="storage"):
                wait_job(self.c, other)
            if by_id:
                act(it, job)
            good, left = check(it), self.a.leftovers() + self.b.leftovers()
            ok(died and good is True and not left, "%s, killed at '%s'" % (name, point)) or diag("%r %r %r" % (died, good, left))

    def chain(self):
        """Three volumes with data, and the checksum of all."""
        one = self.a.volume(size=16 * MIB)
        two = one.child()
        three = two.child()
        for i, v in enumerate((one, two, three)):
            v.write(i + 1, i * MIB, 2 * MIB)
        return one, two, three, three.sum()

    def pair(self):
        one, two, three, data = self.chain()
        task(self.c, "Volume.delete", postZero=False, force=False, **three.ids())
        return one, two, two.sum()

    def subchain(self, it):
        return {"sd_id": self.a.id, "img_id": it[0].image, "base_id": it[0].id, "top_id": it[1].id}
