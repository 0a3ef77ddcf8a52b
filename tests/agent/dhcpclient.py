# SPDX-License-Identifier: Apache-2.0
"""A DHCP client of either family in a few lines, for tests: what it was offered and given, as the packets say (RFC 2131, RFC 8415). The namespace
it is called in has the interface."""
import select
import socket
import struct
import time

DISCOVER, REQUEST, ACK, NAK = 1, 3, 5, 6
SOLICIT, ADVERTISE, REQUEST6, REPLY = 1, 2, 3, 7


def until(s, fits, again, seconds=60):
    """The first packet that fits; again() is called now and each second. None: none came."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        again()
        last = time.monotonic() + 1
        while select.select([s], [], [], max(0, last - time.monotonic()))[0]:
            found = fits(s.recv(2048))
            if found:
                return found
    return None


def options4(data):
    found, at = {}, 240
    while at < len(data) and data[at] != 255:
        if data[at] == 0:
            at += 1
            continue
        found[data[at]] = data[at + 2:at + 2 + data[at + 1]]
        at += 2 + data[at + 1]
    return found


def ask4(link, mac, name=None, wanted=None, seconds=60):
    """(address, {option: bytes}); None: nobody answers. wanted: only this one is asked for, and a refusal is "refused"."""
    hardware = bytes.fromhex(mac.replace(":", ""))
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.encode())
    s.bind(("0.0.0.0", 68))
    number = struct.unpack(">I", hardware[2:])[0]

    def send(kind, more=b""):
        head = struct.pack(">BBBBIHH", 1, 1, 6, 0, number, 1, 0x8000) + bytes(16) + hardware.ljust(16, b"\0") + bytes(192) + b"\x63\x82\x53\x63"
        body = bytes([53, 1, kind]) + (bytes([12, len(name)]) + name.encode() if name else b"") + bytes([55, 5, 1, 3, 6, 15, 26]) + more + b"\xff"
        try:
            s.sendto(head + body, ("255.255.255.255", 67))
        except OSError:
            pass                                    # no carrier yet

    def answer(*kinds):
        def fits(data):
            options = options4(data)
            mine = len(data) > 240 and data[0] == 2 and data[4:8] == struct.pack(">I", number) and options.get(53, b"\0")[0] in kinds
            return (socket.inet_ntoa(data[16:20]), options) if mine else None
        return fits

    try:
        server = b""
        if not wanted:
            offer = until(s, answer(2), lambda: send(DISCOVER), seconds)
            if not offer:
                return None
            wanted, server = offer[0], bytes([54, 4]) + offer[1][54]
        got = until(s, answer(ACK, NAK), lambda: send(REQUEST, bytes([50, 4]) + socket.inet_aton(wanted) + server), seconds)
        return got if not got or got[1][53][0] == ACK else "refused"
    finally:
        s.close()


def options6(data):
    found, at = {}, 0
    while at + 4 <= len(data):
        kind, length = struct.unpack(">HH", data[at:at + 4])
        found[kind] = data[at + 4:at + 4 + length]
        at += 4 + length
    return found


def ask6(link, mac, seconds=60):
    """The address; None: nobody answers, or gives none."""
    duid = struct.pack(">HH", 3, 1) + bytes.fromhex(mac.replace(":", ""))
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.encode())
    s.bind(("::", 546))
    number = bytes.fromhex(mac.replace(":", ""))[3:]

    def option(kind, data):
        return struct.pack(">HH", kind, len(data)) + data

    def send(kind, *more):
        body = bytes([kind]) + number + option(1, duid) + b"".join(more)
        try:
            s.sendto(body, ("ff02::1:2", 547, 0, socket.if_nametoindex(link)))
        except OSError:
            pass                                    # the link-local address is not there yet

    def answer(kind):
        def fits(data):
            options = options6(data[4:])
            return options if data[0] == kind and data[1:4] == number and 3 in options else None
        return fits

    try:
        empty = option(3, bytes(4) + bytes(8)) + option(8, bytes(2))
        offer = until(s, answer(ADVERTISE), lambda: send(SOLICIT, empty), seconds)
        if not offer:
            return None
        reply = until(s, answer(REPLY), lambda: send(REQUEST6, option(2, offer[2]), option(3, offer[3]), option(8, bytes(2))), seconds)
        inner = options6(reply[3][12:]) if reply else {}
        return socket.inet_ntop(socket.AF_INET6, inner[5][:16]) if 5 in inner else None
    finally:
        s.close()


def lookup(server, name, kind=1, seconds=20):
    """The addresses of a name, as a server of names tells them (RFC 1035); None: it answers with an error, "silent": not at all."""
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.connect((server, 53))
    question = b"".join(bytes([len(x)]) + x.encode() for x in name.split(".")) + b"\0" + struct.pack(">HH", kind, 1)

    def send():
        try:
            s.send(struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + question)
        except OSError:
            pass

    def fits(data):
        if data[:2] != b"\0\7":
            return None
        found, at = [], 12 + len(question)
        for _ in range(struct.unpack(">H", data[6:8])[0]):
            at = at + 2 if data[at] >= 192 else data.index(b"\0", at) + 1
            found_kind, length = struct.unpack(">H6xH", data[at:at + 10])
            if found_kind == kind:
                found.append(socket.inet_ntop(socket.AF_INET if length == 4 else socket.AF_INET6, data[at + 10:at + 10 + length]))
            at += 10 + length
        return (data[3] & 15, found)
    try:
        while True:
            try:
                answer = until(s, fits, send, seconds)
                break
            except ConnectionRefusedError:
                return "silent"
        return "silent" if not answer else answer[1] if answer[0] == 0 else None
    finally:
        s.close()
