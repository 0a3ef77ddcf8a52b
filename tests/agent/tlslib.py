# SPDX-License-Identifier: Apache-2.0
"""On top of agentlib: an agent with TLS, its certificates, and clients at the level of bytes and TLS records.

    lab = TlsLab(); lab.start()         as Lab, but the agent demands client certificates; lab.client() has one
    lab.context("client")               an SSLContext with that certificate; lab.issue("other", ca="foreign", days=-1) makes more
    w = Wire(lab.port, lab.context("client"))   w.send(bytes), w.record(seconds) -> one TLS record, w.message(seconds) -> one frame
"""
import os
import select
import socket
import ssl
import subprocess
import threading
import time

from agentlib import BUILD, Client, Lab

BERTH = os.path.join(BUILD, "berth")


def frame(command, body="", **headers):
    """One STOMP frame; '_' of a keyword is '-' in the header."""
    body = body.encode()
    lines = [command] + ["%s:%s" % (name.replace("_", "-"), value) for name, value in headers.items()]
    if body:
        lines.append("content-length:%d" % len(body))
    return ("\n".join(lines) + "\n\n").encode() + body + b"\0"


class TlsSocket:
    """What Client needs of a socket, for one thread that reads and others that write. ssl.SSLSocket is not that: OpenSSL's SSL must not be used by two
    threads at a time, and closing the descriptor while another thread reads from it lets that one read from whoever gets the number next."""

    def __init__(self, context, sock):
        self.socket = sock
        self.lock = threading.Lock()
        self.input, self.output = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.input, self.output)
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.flush()
                data = sock.recv(65536)
                if not data:
                    raise ConnectionResetError("closed in the handshake") from None
                self.input.write(data)
        self.flush()

    def flush(self):
        data = self.output.read()
        if data:
            self.socket.sendall(data)

    def sendall(self, data):
        with self.lock:
            self.tls.write(data)
            self.flush()

    def recv(self, size):
        while True:
            with self.lock:
                try:
                    return self.tls.read(size)
                except ssl.SSLWantReadError:
                    self.flush()
                except ssl.SSLError:
                    return b""
            data = self.socket.recv(65536)
            if not data:
                return b""
            with self.lock:
                self.input.write(data)

    def settimeout(self, seconds):
        self.socket.settimeout(seconds)

    def close(self):
        """The reading thread sees the end; the descriptor goes with the last reference."""
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


class TlsContext:
    def __init__(self, context):
        self.context = context

    def wrap_socket(self, sock, **kw):
        return TlsSocket(self.context, sock)


class TlsLab(Lab):
    def __init__(self):
        super().__init__()
        self.contexts = {}
        self.make_ca("ca")
        cert, key = self.issue("agent", kind="--both")
        self.config["rpc"]["plain"] = "false"
        self.config["tls"] = {"cert": cert, "key": key, "ca": self.path("ca", "ca.pem")}
        self.issue("client", kind="--client")

    def make_ca(self, name):
        subprocess.run([BERTH, "pki", "init", "--dir", self.path(name)], check=True, stdout=subprocess.DEVNULL)

    def issue(self, name, ca="ca", kind="--client", days=None):
        cert, key = self.path(name + ".pem"), self.path(name + ".key")
        subprocess.run([BERTH, "pki", "issue", "--dir", self.path(ca), "--name", name, "--address", "127.0.0.1", kind, "--cert", cert, "--key", key] +
                       (["--days", str(days)] if days else []), check=True, stdout=subprocess.DEVNULL)
        return cert, key

    def context(self, name=None, version=None):
        """A client's; name: whose certificate it shows, None: none."""
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        c.check_hostname = False
        c.load_verify_locations(self.path("ca", "ca.pem"))
        if name:
            c.load_cert_chain(self.path(name + ".pem"), self.path(name + ".key"))
        if version:
            c.minimum_version = c.maximum_version = version
        return c

    def client(self, **kw):
        return Client(self.port, **dict({"tls": TlsContext(self.context("client"))}, **kw))

    def agent_fds(self):
        return len(os.listdir("/proc/%d/fd" % self.agent.pid))


class Wire:
    """Sends bytes, and reads TLS records one by one: the socket is read here, TLS is done in memory."""

    def __init__(self, port, context, timeout=10):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.input, self.output = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.input, self.output)
        self.raw = b""
        self.text = b""
        self.records = []               # (time, plain text) of each that came
        end = time.monotonic() + timeout
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.flush()
                self.fill(end)
                self.feed(self.raw)
                self.raw = b""
        self.flush()

    def feed(self, data):
        self.input.write(data)

    def flush(self):
        data = self.output.read()
        if data:
            self.socket.sendall(data)

    def fill(self, end):
        """More bytes from the network; EOFError at its end, TimeoutError when it is time."""
        if not select.select([self.socket], [], [], max(end - time.monotonic(), 0))[0]:
            raise TimeoutError
        data = self.socket.recv(65536)
        if not data:
            raise EOFError
        self.raw += data

    def send(self, data):
        self.tls.write(data)
        self.flush()

    def record(self, timeout=10):
        """The plain text of the next record that has any (TLS 1.3 sends tickets as well)."""
        end = time.monotonic() + timeout
        while True:
            while len(self.raw) < 5 or len(self.raw) < 5 + int.from_bytes(self.raw[3:5], "big"):
                self.fill(end)
            at = time.monotonic()
            size = 5 + int.from_bytes(self.raw[3:5], "big")
            self.feed(self.raw[:size])
            self.raw = self.raw[size:]
            try:
                plain = self.tls.read(65536)
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLZeroReturnError:
                raise EOFError from None
            if plain:
                self.records.append((at, plain))
                return plain

    def message(self, timeout=10):
        """(command, headers, body) of the next frame; heart-beats between frames are passed over."""
        end = time.monotonic() + timeout
        while True:
            self.text = self.text.lstrip(b"\n")
            stop = self.text.find(b"\n\n")
            if stop >= 0:
                lines = self.text[:stop].decode().split("\n")
                headers = dict(line.split(":", 1) for line in lines[1:])
                size = int(headers.get("content-length", -1))
                last = stop + 2 + size if size >= 0 else self.text.find(b"\0", stop + 2)
                if stop < last < len(self.text):
                    body = self.text[stop + 2:last]
                    self.text = self.text[last + 1:]
                    return lines[0], headers, body
            self.text += self.record(end - time.monotonic())

    def close(self):
        self.socket.close()
