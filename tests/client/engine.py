#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A small engine for tests of the command line: engine.py LOG [CERT KEY]

Speaks as much REST as `berth` needs, and breaks on request: VMs named after what shall go wrong. Each request is written to LOG as one JSON
line {method, path, headers, body}. Says READY=1 to NOTIFY_SOCKET and writes its port to LOG.port.
"""
import base64
import http.server
import json
import os
import re
import socket
import ssl
import sys
import urllib.parse

PASSWORD = "s3cret"
BASE = "/ovirt-engine/api"
VM1 = "11111111-1111-4111-8111-111111111111"
VM2 = "22222222-2222-4222-8222-222222222222"
DC = "33333333-3333-4333-8333-333333333333"
SD = "44444444-4444-4444-8444-444444444444"


def parameter(name, kind="xs:string", required="false", inner=""):
    return '<parameter required="%s" type="%s"><name>%s</name>%s</parameter>' % (required, kind, name, inner)


def link(path, rel, method, type_=None, parameters=""):
    body = "<body><type>%s</type><parameters_set>%s</parameters_set></body>" % (type_, parameters) if type_ else ""
    return ('<link href="%s/%s" rel="%s"><description>%s of %s</description><request><http_method>%s</http_method>%s</request></link>'
            % (BASE, path, rel, rel, path, method, body))


VM_PARAMETERS = (parameter("vm.name", required="true") + parameter("vm.cluster.id|name", required="true") + parameter("vm.memory", "xs:long")
                 + parameter("vm.cpu.topology.sockets", "xs:int") + parameter("vm.os.boot", "collection", "false",
                     "<parameters_set>%s</parameters_set>" % parameter("boot.dev")) + parameter("vm.usages.usage", "collection", "false",
                     "<parameters_set>%s</parameters_set>" % parameter("usage")))
RSDL = ('<rsdl href="%s?rsdl" rel="rsdl"><description>test</description><links>' % BASE
        + link("vms", "get", "GET") + link("vms", "add", "POST", "vm", VM_PARAMETERS) + link("vms/{vm:id}", "get", "GET")
        + link("vms/{vm:id}", "update", "PUT", "vm", VM_PARAMETERS) + link("vms/{vm:id}", "delete", "DELETE")
        + link("vms/{vm:id}/start", "start", "POST", "action", parameter("action.async", "xs:boolean") + parameter("action.pause", "xs:boolean"))
        + link("vms/{vm:id}/ticket", "ticket", "POST", "action", parameter("action.ticket.expiry", "xs:int"))
        + link("vms/{vm:id}/nics", "get", "GET") + link("vms/{vm:id}/nics", "add", "POST", "nic", parameter("nic.name"))
        + link("storagedomains", "get", "GET") + link("datacenters", "get", "GET") + "</links></rsdl>")


def reference(collection, ident):
    return {"id": ident, "href": "%s/%s/%s" % (BASE, collection, ident)}


VMS = [
    {"id": VM1, "href": BASE + "/vms/" + VM1, "name": "web1", "status": {"state": "up"}, "memory": 1073741824, "cluster": reference("clusters", DC),
     "actions": {"link": [{"href": "x", "rel": "start"}]}, "link": [{"href": "y", "rel": "nics"}],
     "os": {"type": "other", "boot": [{"dev": "hd"}, {"dev": "network"}]}, "guest_info": {"ips": {"ip": [{"address": "10.0.0.1"}]}}},
    {"id": VM2, "href": BASE + "/vms/" + VM2, "name": "d\u00e9j\u00e0\u001b[31m", "status": {"state": "down"}, "memory": 1610612736,
     "cluster": reference("clusters", DC)},
]


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
        elif path == "":
            self.answer(200, {"product_info": {"name": "Berth"}}, extra)
        elif self.command == "GET":
            self.get(path, query)
        elif self.command == "POST":
            self.post(path, json.loads(body or "{}"))
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
            self.answer(200, VMS[0])
        elif path == "/vms/%s/nics" % VM1:
            self.answer(200, {"nic": [{"id": VM2, "name": "nic1", "mac": {"address": "00:1a:4a:00:00:01"}, "plugged": "true"}]})
        elif path == "/clusters":
            self.answer(200, {"cluster": [{"id": DC, "name": "Default"}]})
        elif path == "/storagedomains":
            self.answer(200, {"storage_domain": [{"id": SD, "name": "data1"}]})
        elif path == "/datacenters":
            self.answer(200, {"data_center": [{"id": DC, "name": "dc1"}]})
        else:
            self.fault(404, "Not found", path)

    def post(self, path, body):
        if path == "/vms":
            if "nam" in body:
                self.fault(400, "Unknown member", "vm: nam")
            elif body.get("name") == "taken":
                self.fault(409, "Conflict", "VM 'taken' exists")
            elif "name" not in body:
                self.fault(400, "Incomplete parameters", "Vm [name] required for add")
            else:
                self.answer(201, dict(body, id=VM2))
        elif path == "/vms/%s/start" % VM1 and body.get("async") == "true":
            self.answer(202, {"id": "7", "status": {"state": "pending"}})
        elif path == "/vms/%s/start" % VM1:
            self.fault(409, "Operation Failed", "VM web1 is up")
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
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
if len(sys.argv) > 2:
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
