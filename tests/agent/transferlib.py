# SPDX-License-Identifier: Apache-2.0
"""What the tests of data transfers share: NBD servers and their clients, processes that have an image open, a web server."""
import atexit
import contextlib
import http.server
import signal
import socket
import threading
from volumelib import *  # noqa: F401,F403
from volumelib import json, os, run, subprocess, task, wait_until


def server_config(volume, **more):
    return dict({"sd_id": volume.domain.id, "img_id": volume.image, "vol_id": volume.id}, **more)


def servers(lab):
    """pids of the NBD servers of this lab's agents."""
    found, mark = [], "--pid-file=%s/nbd/" % lab.path("run")
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % pid) as f:
                if any(word.startswith(mark) for word in f.read().split("\0")):
                    found.append(int(pid))
        except OSError:
            pass
    return sorted(found)


def end_servers_of(lab):
    """They outlive the agent, but not the test."""
    atexit.register(lambda: [os.kill(pid, signal.SIGKILL) for pid in servers(lab)])


def leftovers(lab):
    return sorted(os.listdir(lab.path("run/nbd")))


def io(url, command, format="raw"):
    """true when QEMU's client can do that."""
    done = subprocess.run(["qemu-io", "-f", format, "-c", command, url], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode == 0 and "failed" not in done.stdout


def extents_of(url, bitmap=None):
    """[(offset, length, data)], as base:allocation has it; with a bitmap: dirty instead of data."""
    options = "driver=nbd,server.type=unix,server.path=" + url[len("nbd:unix:"):].replace(":exportname=", ",export=")
    options += ",x-dirty-bitmap=qemu:dirty-bitmap:" + bitmap if bitmap else ""
    # QEMU shows the flag "dirty" as it shows "no data"
    return [(e["start"], e["length"], e["data"] != bool(bitmap)) for e in json.loads(run("qemu-img", "map", "--output=json", "--image-opts", options))]


def nbd_size(url, directory=None):
    """Over TCP, with these credentials; None: it does not let us in."""
    host, port = url[url.index("//") + 2:].split(":")
    options = "driver=nbd,host=%s,port=%s" % (host, port)
    command = ["qemu-img", "info", "--output=json"]
    if directory:
        command += ["--object", "tls-creds-x509,id=t,endpoint=client,dir=" + directory]
        options += ",tls-creds=t"
    done = subprocess.run(command + ["--image-opts", options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return json.loads(done.stdout)["virtual-size"] if done.returncode == 0 else None


def credentials(lab, directory, name):
    """A directory as QEMU and libnbd want it."""
    os.mkdir(lab.path(directory))
    for target, link in ((lab.path("ca", "ca.pem"), "ca-cert.pem"), (lab.path(name + ".pem"), "client-cert.pem"), (lab.path(name + ".key"), "client-key.pem")):
        os.symlink(target, lab.path(directory, link))


def machine_command(path, format):
    return ["qemu-system-x86_64", "-S", "-machine", "pc,accel=tcg", "-display", "none", "-nodefaults", "-m", "16",
            "-drive", "if=virtio,format=%s,file=%s" % (format, path)]


def open_machine(path, format):
    """A stopped VM that wants to write the image, and whether it has got it open."""
    process = subprocess.Popen(machine_command(path, format) + ["-qmp", "stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()               # the greeting comes before the images are opened, the first answer after it
    try:
        process.stdin.write(b'{"execute": "qmp_capabilities"}\n')
        process.stdin.flush()
    except BrokenPipeError:
        pass
    return process, b"return" in process.stdout.readline()


@contextlib.contextmanager
def machine(path, format):
    """A stopped VM that has the image open for writing."""
    process, good = open_machine(path, format)
    try:
        assert good, process.stderr.read()
        yield process
    finally:
        process.kill()
        process.wait()


def starts(path, format):
    """Does a VM start on it?"""
    process, good = open_machine(path, format)
    process.kill()
    process.wait()
    return good


class WebServer:
    """An HTTP server of images, on 127.0.0.1.

        w = WebServer(); w.images["/a"] = bytes; w.url("/a")          GET answers it, PUT replaces it; w.seen: (method, path, headers) of each request
        w.plan["/a"] = {...}            what goes wrong there: status=404; after=N: only so many bytes are sent, or read, then
                                        then="close" or "hang", until w.go.set(); length=None: no Content-Length (N: a false one); headers={...}
    """

    def __init__(self, tls=None):
        os.environ["no_proxy"] = "*"                   # also for agents that are started from now on
        self.images, self.plan, self.seen, self.go = {}, {}, [], threading.Event()
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *what):
                pass

            def begin(self):
                owner.seen.append((self.command, self.path, dict(self.headers)))
                self.close_connection = True
                return owner.plan.get(self.path.partition("?")[0], {})

            def answer(self, status, length, headers=()):
                self.send_response(status)
                for header in dict(headers).items():
                    self.send_header(*header)
                if length is not None:
                    self.send_header("Content-Length", str(length))
                self.send_header("Connection", "close")
                self.end_headers()

            def do_GET(self):
                plan, image = self.begin(), owner.images.get(self.path.partition("?")[0])
                if image is None or "status" in plan:
                    self.answer(plan.get("status", 404), 6, plan.get("headers", ()))
                    self.wfile.write(b"sorry\n")
                    return
                self.answer(200, plan.get("length", len(image)), plan.get("headers", ()))
                with contextlib.suppress(OSError):
                    self.wfile.write(image[:plan.get("after", len(image))])
                    self.wfile.flush()
                    if plan.get("then") == "hang":
                        owner.go.wait(60)

            def do_PUT(self):
                plan, left, body = self.begin(), int(self.headers["Content-Length"]), []
                if "status" in plan:
                    self.answer(plan["status"], 0)
                    with contextlib.suppress(OSError):             # RFC 9112, 9.6: what still comes is read, or a reset could overtake the answer
                        self.connection.shutdown(socket.SHUT_WR)
                        while self.rfile.read(1 << 16):
                            pass
                    return
                stop = left - plan.get("after", left)
                while left > stop:
                    body.append(self.rfile.read(min(left - stop, 1 << 20)))
                    left -= len(body[-1])
                if plan.get("then") == "hang":
                    owner.go.wait(60)
                if left:
                    return
                owner.images[self.path.partition("?")[0]] = b"".join(body)
                self.answer(201, 0)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.scheme = "https" if tls else "http"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, path):
        return "%s://127.0.0.1:%d%s" % (self.scheme, self.server.server_port, path)

    def share(self, verb, volume, path, good=True, named=True, method=(), **headers):
        """The end of an Image.download or Image.upload task."""
        ids = volume.ids()
        if not named:
            del ids["volumeID"]
        return task(volume.c, "Image." + verb, good=good, methodArgs=dict({"method": "http", "url": self.url(path), "headers": headers}, **dict(method)), **ids)
