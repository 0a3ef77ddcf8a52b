#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A small engine for tests of the command line: engine.py LOG [CERT KEY [PORT]]

Speaks as much REST as `berth` needs, and breaks on request: VMs named after what shall go wrong. Each request is written to LOG as one JSON
line {method, path, headers, body}. Says READY=1 to NOTIFY_SOCKET and writes its port to LOG.port.

LOG.expired: while it is there, no session is known. LOG.states: how things go on, one answer a line, the last one stays: the state of web1
(or "gone") for `berth ... --wait`; LOG.task: the same for actions and creations that were answered with 202.
"""
import base64
import http.server
import json
import os
import re
import socket
import ssl
import sys
import threading
import urllib.parse

PASSWORD = "s3cret"
BASE = "/ovirt-engine/api"
VM1 = "11111111-1111-4111-8111-111111111111"
VM2 = "22222222-2222-4222-8222-222222222222"
DC = "33333333-3333-4333-8333-333333333333"
SD = "44444444-4444-4444-8444-444444444444"
HOST = "55555555-5555-4555-8555-555555555555"


def parameter(name, kind="xs:string", required="false", inner="", value=None, doc=None):
    more = ("<value>%s</value>" % value if value else "") + ("<description>%s</description>" % doc if doc else "")
    return '<parameter required="%s" type="%s"><name>%s</name>%s%s</parameter>' % (required, kind, name, more, inner)


def collection(name, *items, **more):
    return parameter(name, "collection", inner="<parameters_set>%s</parameters_set>" % "".join(items), **more)


def link(path, rel, method, type_=None, parameters="", answer=None):
    body = "<body><type>%s</type><parameters_set>%s</parameters_set></body>" % (type_, parameters) if type_ else ""
    response = "<response><type>%s</type></response>" % answer if answer else ""
    return ('<link href="%s/%s" rel="%s"><description>%s of %s</description><request><http_method>%s</http_method>%s</request>%s</link>'
            % (BASE, path, rel, rel, path, method, body, response))


VM_PARAMETERS = "".join([
    parameter("vm.name", required="true", doc="unique name"), parameter("vm.cluster.id|name", required="true", doc="cluster it belongs to"),
    parameter("vm.type", value="desktop|server", doc="what it is optimised for"), parameter("vm.memory", "xs:long", value="bytes", doc="guest memory"),
    parameter("vm.cpu.topology.sockets", "xs:int", doc="virtual sockets (default 1)"), parameter("vm.stateless", "xs:boolean", value="true|false"),
    parameter("vm.downtime", "xs:int", value="ms"), parameter("vm.usb.enabled", "xs:boolean"), parameter("vm.console.enabled", "xs:boolean"),
    collection("vm.os.boot", parameter("boot.dev", required="true", value="hd|cdrom|network", doc="boot device"), doc="boot devices"),
    collection("vm.usages.usage", parameter("usage", value="a|b"), doc="uses"),
    collection("vm.hosts.host", parameter("host.id"), parameter("host.name"), doc="preferred hosts"),
    collection("vm.properties.property", parameter("property.name"), collection("property.part", parameter("part.x")))])
ACTION = parameter("action.async", "xs:boolean", value="true|false")
RSDL = ('<rsdl href="%s?rsdl" rel="rsdl"><description>test</description><links>' % BASE
        + link("vms", "get", "GET", answer="vms") + link("vms", "add", "POST", "vm", VM_PARAMETERS) + link("vms/{vm:id}", "get", "GET", answer="vm")
        + link("vms/{vm:id}", "update", "PUT", "vm", VM_PARAMETERS) + link("vms/{vm:id}", "delete", "DELETE")
        + "".join(link("vms/{vm:id}/" + a, a, "POST", "action", ACTION) for a in ("stop", "shutdown", "reboot"))
        + link("vms/{vm:id}/start", "start", "POST", "action", ACTION + parameter("action.pause", "xs:boolean"))
        + link("vms/{vm:id}/ticket", "ticket", "POST", "action", parameter("action.ticket.expiry", "xs:int"))
        + link("vms/{vm:id}/nics", "get", "GET") + link("vms/{vm:id}/nics/{nic:id}", "get", "GET", answer="nic") + link("vms/{vm:id}/nics", "add", "POST", "nic", parameter("nic.name", required="true"))
        + "".join(link(c, "get", "GET") + link("%s/{%s:id}" % (c, c[:-1]), "get", "GET", answer=c[:-1]) for c in ("hosts", "clusters", "events"))
        + link("storagedomains", "get", "GET") + link("storagedomains/{storagedomain:id}", "get", "GET", answer="storage_domain")
        + link("datacenters", "get", "GET") + "</links></rsdl>")
SCHEMA = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" version="1.0">
<xs:element name="vm" type="Vm"/>
<xs:complexType name="Vm"><xs:choice minOccurs="0" maxOccurs="unbounded">
  <xs:element name="memory" type="xs:long"><xs:annotation><xs:appinfo source="unit">bytes</xs:appinfo></xs:annotation></xs:element>
  <xs:element name="start_time" type="xs:dateTime"/>
  <xs:element name="memory_policy"><xs:complexType><xs:choice>
    <xs:element name="guaranteed" type="xs:long"><xs:annotation><xs:appinfo source="unit">bytes</xs:appinfo></xs:annotation></xs:element>
  </xs:choice></xs:complexType></xs:element>
  <xs:element name="downtime"><xs:complexType><xs:choice/>
    <xs:attribute name="longest" type="xs:int"><xs:annotation><xs:appinfo source="unit">ms</xs:appinfo></xs:annotation></xs:attribute>
  </xs:complexType></xs:element>
</xs:choice></xs:complexType></xs:schema>"""


def reference(collection, ident):
    return {"id": ident, "href": "%s/%s/%s" % (BASE, collection, ident)}


VMS = [
    {"id": VM1, "href": BASE + "/vms/" + VM1, "name": "web1", "status": {"state": "up"}, "memory": 1073741824, "cluster": reference("clusters", DC),
     "actions": {"link": [{"href": "x", "rel": "start"}]}, "link": [{"href": "y", "rel": "nics"}],
     "start_time": 1700000000123, "memory_policy": {"guaranteed": 1610612737}, "downtime": {"longest": "50"}, "empty": "",
     "storage_domains": {"storage_domain": [{"id": SD}]}, "host": dict(reference("hosts", HOST), name="node1"), "template": reference("templates", DC),
     "os": {"type": "other", "boot": [{"dev": "hd"}, {"dev": "network"}]}, "guest_info": {"ips": {"ip": [{"address": "10.0.0.1"}]}}},
    {"id": VM2, "href": BASE + "/vms/" + VM2, "name": "d\u00e9j\u00e0\u001b[31m", "status": {"state": "down"}, "memory": 1610612736,
     "cluster": reference("clusters", DC)},
    {"id": DC, "name": "twin", "status": {"state": "down"}}, {"id": SD, "name": "twin", "status": {"state": "down"}},
]
NEXT = threading.Lock()


def following(name):
    """The first line of LOG.name, which goes when another one follows."""
    with NEXT:
        try:
            with open(LOG + "." + name) as f:
                lines = f.read().split()
        except FileNotFoundError:
            return None
        if len(lines) > 1:
            with open(LOG + "." + name, "w") as f:
                f.write("\n".join(lines[1:]))
        return lines[0]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body=None, headers=(), content_type="application/json"):
        data = b"" if body is None else (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        if data:
            self.send_header("Content-Type", content_type)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def fault(self, status, reason, detail):
        self.answer(status, {"reason": reason, "detail": detail})

    def allowed(self):
        """Session or password; returns the headers for the answer, or None."""
        prefer = self.headers.get("Prefer", "")
        cookie = self.headers.get("Cookie", "")
        if cookie == "JSESSIONID=open+1" and not os.path.exists(LOG + ".expired"):
            return []
        want = "Basic " + base64.b64encode(("admin@internal:" + PASSWORD).encode()).decode()
        if self.headers.get("Authorization") == want:
            return [("Set-Cookie", "JSESSIONID=open+1; Path=/ovirt-engine/api; Secure; HttpOnly")] if "persistent-auth" in prefer else []
        return None

    def serve(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode() if length else None
        with open(LOG, "a") as f:
            f.write(json.dumps({"method": self.command, "path": self.path, "headers": dict(self.headers), "body": json.loads(body) if body else None}) + "\n")
        if not self.path.startswith(BASE):
            self.fault(404, "Not found", self.path)
            return
        extra = self.allowed()
        if extra is None:
            self.answer(401, None, [("WWW-Authenticate", 'Basic realm="x"')])
            return
        path, _, query = self.path[len(BASE):].partition("?")
        path, query = path.split(";")[0], urllib.parse.unquote(query)
        if query == "rsdl":
            if self.headers.get("If-None-Match") == '"1"':
                self.answer(304)
            else:
                self.answer(200, RSDL, [("ETag", '"1"')], "application/xml")
        elif query == "schema":
            self.answer(200, SCHEMA, [("ETag", '"1"')], "application/xml")
        elif path == "":
            self.answer(200, {"product_info": {"name": "Berth"}}, extra)
        elif self.command == "GET":
            self.get(path, query)
        elif self.command == "POST":
            self.post(path, json.loads(body or "{}"))
        elif self.command == "DELETE" and path == "/vms/" + VM2:
            self.fault(409, "Operation Failed", "[VM runs]")
        elif self.command == "DELETE" and path.startswith("/vms/"):
            self.answer(204)
        elif self.command == "PUT":
            self.answer(200, VMS[0], [("Warning", '299 berth "ignored: vm.x"')])
        else:
            self.fault(405, "Method not allowed", self.command)

    def get(self, path, query):
        name = re.match(r'search=name="(.*)"$', query)
        if path == "/vms":
            self.answer(200, {"vm": [v for v in VMS if not name or v["name"] == name.group(1)]})
        elif path == "/vms/" + VM1:
            state = following("states")
            if state == "gone":
                self.fault(404, "Not found", path)
            else:
                self.answer(200, dict(VMS[0], status={"state": state, "detail": "so it is"}) if state else VMS[0])
        elif path == "/vms/" + VM2:
            self.answer(200, dict(VMS[1], status={"state": following("states") or "down"}))
        elif re.match(r"/vms/[-0-9a-f]+/(start|stop|shutdown|reboot|creation_status)/7$", path):
            state = following("task")
            if state == "gone":
                self.answer(301, None, [("Location", path)])
            else:
                fault = {"fault": {"reason": "Operation Failed", "detail": "[no host has room]"}} if state == "failed" else {}
                self.answer(200, dict(fault, id="7", status={"state": state}))
        elif path == "/vms/%s/nics" % VM1:
            self.answer(200, {"nic": [{"id": VM2, "name": "nic1", "mac": {"address": "00:1a:4a:00:00:01"}, "plugged": "true"}]})
        elif path == "/clusters":
            self.answer(200, {"cluster": [{"id": DC, "href": BASE + "/clusters/" + DC, "name": "Default"}]})
        elif path == "/clusters/" + DC:
            self.answer(200, {"id": DC, "name": "Default"})
        elif path == "/storagedomains":
            self.answer(200, {"storage_domain": [{"id": SD, "name": "data1"}]})
        elif path == "/storagedomains/" + SD:
            self.answer(200, {"id": SD, "name": "data1"})
        elif path == "/events":
            self.answer(200, {"event": [{"id": "12", "time": 1700000000123, "severity": "normal", "description": "x"}]})
        elif path == "/datacenters":
            self.answer(200, {"data_center": [{"id": DC, "name": "dc1"}]})
        else:
            self.fault(404, "Not found", path)

    def post(self, path, body):
        if path == "/vms":
            if "nam" in body:
                self.fault(400, "Unknown member", "vm: nam")
            elif body.get("type", "server") not in ("desktop", "server"):
                self.fault(400, "Invalid value", "vm: type: '%s' is not a member of [desktop, server]" % body["type"])
            elif body.get("cluster", {}).get("name") == "Defualt":
                self.fault(404, "Not found", "cluster: cluster named 'Defualt'")
            elif body.get("name") == "slow" and self.headers.get("Expect") != "201-created":
                self.answer(202, {"id": VM1, "link": [{"rel": "creation_status", "href": BASE + "/vms/%s/creation_status/7" % VM1}]})
            elif body.get("name") == "taken":
                self.fault(409, "Conflict", "VM 'taken' exists")
            elif "name" not in body:
                self.fault(400, "Incomplete parameters", "Vm [name] required for add")
            else:
                self.answer(201, dict(body, id=VM2))
        elif re.match(r"/vms/[-0-9a-f]+/(start|stop|shutdown|reboot)$", path) and body.get("async") == "true":
            self.answer(202, {"id": "7", "href": BASE + path + "/7", "status": {"state": "pending"}})
        elif path == "/vms/%s/start" % VM1:
            self.fault(409, "Operation Failed", "[cannot start VM 'web1': it is up]")
        elif path == "/vms/%s/start" % VM2:
            self.answer(200, {"status": {"state": "complete"}})
        elif path.endswith("/ticket"):
            self.answer(200, {"status": {"state": "complete"}, "ticket": {"value": "abc", "expiry": "120"}})
        elif path == "/datacenters/%s/storagedomains" % DC:
            self.answer(201, {"id": SD})
        else:
            self.fault(404, "Not found", path)

    do_GET = do_POST = do_PUT = do_DELETE = serve


LOG = sys.argv[1]
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[4]) if len(sys.argv) > 4 else 0), Handler)
if len(sys.argv) > 2 and sys.argv[2]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2], sys.argv[3])
    server.socket = context.wrap_socket(server.socket, server_side=True)
with open(LOG + ".port", "w") as f:
    f.write(str(server.server_address[1]))
notify = os.environ.get("NOTIFY_SOCKET")
if notify:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.sendto(b"READY=1", notify.replace("@", "\0", 1))
server.serve_forever()
