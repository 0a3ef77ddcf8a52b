#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A TCP port of 127.0.0.1 for a server that is still to be started, or that comes and goes; as a program, on standard output.

Not one of those that the kernel gives away (net.ipv4.ip_local_port_range): while nobody listens there, one of these may become anybody's, even of who
connects to it, whose connection then leads to itself. Each process begins its search elsewhere.
"""
import os
import socket

FIRST, COUNT = 10000, 20000
_given = set()


def free_port():
    for n in range(COUNT):
        port = FIRST + (os.getpid() * 37 + n) % COUNT
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in _given:
            _given.add(port)
            return port
    raise SystemExit("no port of %d to %d is free" % (FIRST, FIRST + COUNT - 1))


if __name__ == "__main__":
    print(free_port())
