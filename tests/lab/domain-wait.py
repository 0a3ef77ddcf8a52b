#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Wait for something a domain does, by libvirt's events.

  domain-wait.py URI DOMAIN agent|shutoff|running [--start] [--timeout S]

agent: the guest agent is connected and answers. --start: start the (defined) domain once the events are
subscribed to. Ends with 0 when it is so, with 1 and one line on stderr when the time is over or the domain ended.
"""
import argparse
import json
import sys
import threading
import time

import libvirt
import libvirt_qemu


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("uri")
    parser.add_argument("domain")
    parser.add_argument("what", choices=("agent", "shutoff", "running"))
    parser.add_argument("--start", action="store_true")
    parser.add_argument("--timeout", type=float, default=60)
    args = parser.parse_args()

    libvirt.registerErrorHandler(lambda context, error: None, None)
    libvirt.virEventRegisterDefaultImpl()
    threading.Thread(target=lambda: [libvirt.virEventRunDefaultImpl() for _ in iter(int, 1)], daemon=True).start()
    connection = libvirt.open(args.uri)
    domain = connection.lookupByName(args.domain)
    changed = threading.Condition()
    seen = {"count": 0, "agent": False}

    def notice(what):
        with changed:
            seen["count"] += 1
            if what is not None:
                seen["agent"] = what
            changed.notify_all()

    connection.domainEventRegisterAny(domain, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, lambda *a: notice(None), None)
    connection.domainEventRegisterAny(
        domain, libvirt.VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE,
        lambda c, d, state, reason, o: notice(state == libvirt.VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED), None)
    if args.start:
        domain.create()

    def so():
        active = domain.isActive()
        if args.what == "shutoff":
            return not active
        if args.what == "running":
            return active and domain.state()[0] == libvirt.VIR_DOMAIN_RUNNING
        if not active:
            sys.exit("domain-wait.py: %s: ended before its agent answered" % args.domain)
        # the event may have passed before we listened; the XML tells
        if not seen["agent"] and "name='org.qemu.guest_agent.0' state='connected'" not in domain.XMLDesc():
            return False
        try:
            json.loads(libvirt_qemu.qemuAgentCommand(domain, '{"execute":"guest-ping"}', 20, 0))
            return True
        except libvirt.libvirtError as e:
            sys.exit("domain-wait.py: %s: agent connected, but: %s" % (args.domain, e))

    deadline = time.monotonic() + args.timeout
    while True:
        with changed:
            count = seen["count"]
        if so():
            return 0
        with changed:
            if not changed.wait_for(lambda: seen["count"] != count, deadline - time.monotonic()):
                sys.exit("domain-wait.py: %s: not '%s' after %g s" % (args.domain, args.what, args.timeout))


if __name__ == "__main__":
    sys.exit(main())
