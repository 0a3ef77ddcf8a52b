# SPDX-License-Identifier: Apache-2.0
"""What the tests of backups share, on top of snaplib.

    b = Backups(g)                                     of that guest
    info = b.start(disks, mode=..., to=..., ...)       VM.start_backup; b.id: of the last
    b.stop(); b.left()                                 what is left of any backup: nothing when they have ended
    read_backup(url, path); dirty_extents(url, target)
"""
import http.client
from snaplib import *
from transferlib import extents_of


class Backups:
    def __init__(self, guest):
        self.guest, self.id = guest, None

    def config(self, *disks, since=None, to=None, **more):
        """disks: Disk, or {"disk": Disk, member: value}"""
        entries = []
        for d in disks:
            own = d if isinstance(d, dict) else {"disk": d}
            disk = own["disk"]
            entry = {"domainID": disk.storage.domain, "imageID": disk.image, "volumeID": disk.volume, "checkpoint": to is not None}
            entry.update({k: v for k, v in own.items() if k != "disk"})
            entries.append(entry)
        self.id = new_id()
        config = {"backup_id": self.id, "disks": entries}
        config.update({k: v for k, v in (("from_checkpoint_id", since), ("to_checkpoint_id", to)) if v})
        config.update(more)
        return config

    def start(self, *disks, **more):
        return self.guest.c.call("VM.start_backup", vmID=self.guest.id, config=self.config(*disks, **more))

    def stop(self, backup=None):
        return self.guest.c.call("VM.stop_backup", vmID=self.guest.id, backup_id=backup or self.id)

    def info(self, **more):
        return self.guest.c.call("VM.backup_info", vmID=self.guest.id, backup_id=self.id, **more)

    def left(self):
        lab = self.guest.lab
        files = [f for d in ("run/backup", "state/scratch") for f in os.listdir(lab.path(d))]
        return files, self.jobs()

    def marks(self):
        """What QEMU has of joined marks: bitmaps, nodes, files."""
        nodes = self.guest.qmp("query-named-block-nodes", flat=True)
        return ([m["name"] for n in nodes for m in n.get("dirty-bitmaps", []) if m.get("name", "").startswith("berth-")],
                [n["node-name"] for n in nodes if n["node-name"].startswith("berth-")],
                [s["fdset-id"] for s in self.guest.qmp("query-fdsets") if s["fdset-id"] > 1000])      # libvirt has its own

    def jobs(self):
        return [i for i, j in self.guest.c.call("Host.getJobs", job_type="virt").items() if j["description"].startswith("VM.backup") and
                j["status"] in ("pending", "running")]


NOTHING_LEFT = ([], [])


def read_backup(url, path):
    """By an NBD client, into a raw file."""
    run("qemu-img", "convert", "-f", "raw", "-O", "raw", url, path)
    return path


def dirty_extents(url, name):
    """[(offset, length)] of what has changed, as the server's bitmap says."""
    return [(at, length) for at, length, dirty in extents_of(url, "backup-" + name) if dirty]


def catch_up(path, url, name):
    """What an incremental backup changes is written into the image of the one before. (bytes of it, are the two alike now)"""
    new, moved = read_backup(url, path + ".new"), 0
    with open(new, "rb") as source, open(path, "r+b") as to:
        to.truncate(os.path.getsize(new))
        for at, length in dirty_extents(url, name):
            source.seek(at)
            to.seek(at)
            to.write(source.read(length))
            moved += length
    return moved, subprocess.run(["cmp", "-s", path, new]).returncode == 0


def file_sum(path, name):
    """md5sum of a file in the ext4 file system in a raw image, without mounting it."""
    out = path + ".file"
    run("debugfs", "-R", "dump /%s %s" % (name, out), path)
    return run("md5sum", out).split()[0]


def names_in(path):
    """Of the root directory of such a file system."""
    return {line.split("/")[5] for line in run("debugfs", "-R", "ls -p /", path).splitlines() if line.count("/") > 5}


def is_clean(path):
    """Was the file system at rest? (a mounted one that was not frozen needs its journal)"""
    return "needs_recovery" not in run("dumpe2fs", "-h", path)


def image(lab, path, **headers):
    """What a client of image tickets gets, over the Unix socket."""
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(lab.path("run/images.sock"))
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if answer.status not in (200, 206):
        raise Failed(answer.status, body.decode())
    return body
