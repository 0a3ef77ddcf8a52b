# SPDX-License-Identifier: Apache-2.0
"""Debian's slapd with a directory of its own on loopback ports: for tests of LDAP domains."""
import atexit
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lab"))
from ports import free_port  # noqa: E402

BASE = "dc=example,dc=org"
ADMIN, ADMIN_PASSWORD = "cn=admin," + BASE, "pw of the directory"
SERVICE, SERVICE_PASSWORD = "cn=berth,ou=services," + BASE, "pw of the service"

CONF = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload ppolicy
# What Active Directory and 389 Directory Server have, as far as it counts here.
attributetype ( 1.2.840.113556.1.4.2 NAME 'objectGUID' EQUALITY octetStringMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.221 NAME 'sAMAccountName' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.8 NAME 'userAccountControl' EQUALITY integerMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.159 NAME 'accountExpires' EQUALITY integerMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.782 NAME 'objectCategory' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 2.16.840.1.113730.3.1.610 NAME 'nsAccountLock' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
objectclass ( 1.2.840.113556.1.5.9 NAME 'user' SUP inetOrgPerson STRUCTURAL MAY
  ( objectGUID $ sAMAccountName $ userAccountControl $ accountExpires $ objectCategory ) )
objectclass ( 1.2.840.113556.1.5.8 NAME 'group' SUP top STRUCTURAL MUST cn MAY ( member $ objectGUID ) )
objectclass ( 2.16.840.1.113730.3.2.999 NAME 'lockable' SUP top AUXILIARY MAY nsAccountLock )
pidfile {dir}/pid
{tls}
sizelimit size.soft=100 size.hard=100 size.prtotal=unlimited
disallow bind_anon
database mdb
suffix "dc=example,dc=org"
directory {dir}/db
maxsize 16777216
rootdn "{admin}"
rootpw "{admin_password}"
overlay ppolicy
ppolicy_default "cn=policy,dc=example,dc=org"
ppolicy_use_lockout
access to attrs=userPassword by anonymous auth
access to * by dn.exact="{service}" read by dn.exact="cn=small,ou=services,dc=example,dc=org" read
limits dn.exact="cn=small,ou=services,dc=example,dc=org" size.prtotal=hard
"""

HEAD = """dn: dc=example,dc=org
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: cn=policy,dc=example,dc=org
objectClass: device
objectClass: pwdPolicy
pwdAttribute: userPassword
pwdLockout: TRUE
pwdMustChange: TRUE

dn: ou=services,dc=example,dc=org
objectClass: organizationalUnit

dn: {service}
objectClass: person
sn: Berth
userPassword: {service_password}

dn: cn=small,ou=services,dc=example,dc=org
objectClass: person
sn: Berth, who may not have much
userPassword: {service_password}

"""


class Slapd:
    def __init__(self, ldif, pki=None):
        """pki: a directory with ca.pem, engine.pem, engine.key; None: a server without TLS."""
        self.dir = tempfile.mkdtemp(prefix="berth-slapd-")
        os.mkdir(self.dir + "/db")
        tls = "TLSCACertificateFile {0}/ca.pem\nTLSCertificateFile {0}/engine.pem\nTLSCertificateKeyFile {0}/engine.key".format(pki) if pki else ""
        names = {"dir": self.dir, "tls": tls, "admin": ADMIN, "admin_password": ADMIN_PASSWORD, "service": SERVICE, "service_password": SERVICE_PASSWORD}
        text = CONF
        for name, value in names.items():
            text = text.replace("{%s}" % name, value)
        with open(self.dir + "/slapd.conf", "w") as f:
            f.write(text)
        ldif = HEAD.replace("{service}", SERVICE).replace("{service_password}", SERVICE_PASSWORD) + ldif
        subprocess.run(["slapadd", "-q", "-f", self.dir + "/slapd.conf"], input=ldif, text=True, check=True)
        self.port, self.tls_port = free_port(), free_port()
        self.process = None
        atexit.register(self.stop)
        self.start(pki is not None)

    def start(self, tls=True):
        urls = "ldap://127.0.0.1:%d" % self.port + (" ldaps://127.0.0.1:%d ldaps://[::1]:%d" % (self.tls_port, self.tls_port) if tls else "")
        self.process = subprocess.Popen(["/usr/sbin/slapd", "-d", "0", "-h", urls, "-f", self.dir + "/slapd.conf"], stderr=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), 5).close()
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit("slapd does not start")

    def change(self, ldif):
        """An LDIF with changetype lines, as the directory's administrator."""
        subprocess.run(["ldapmodify", "-x", "-H", "ldap://127.0.0.1:%d" % self.port, "-D", ADMIN, "-w", ADMIN_PASSWORD], input=ldif, text=True, check=True,
                       stdout=subprocess.DEVNULL)

    def halt(self):
        if self.process:
            self.process.terminate()
            self.process.wait(30)
            self.process = None

    def stop(self):
        self.halt()
        shutil.rmtree(self.dir, ignore_errors=True)


def person(uid, password=None, ou="people", extra="", classes="inetOrgPerson", cn=None):
    """LDIF of a user. The DN has the cn, so that two may have one uid."""
    return ("dn: cn=%s,ou=%s,dc=example,dc=org\nobjectClass: %s\nuid: %s\nsn: Of %s\n%s%s\n" %
            (cn or uid, ou, "\nobjectClass: ".join(classes.split()), uid, uid, "userPassword: %s\n" % password if password else "",
             extra + "\n" if extra else ""))


def unit(name):
    return "dn: ou=%s,dc=example,dc=org\nobjectClass: organizationalUnit\n\n" % name


def group(cn, *members, ou="teams", kind="groupOfNames", attribute="member"):
    """LDIF of a group; members are DNs below the base, without it."""
    return ("dn: cn=%s,ou=%s,dc=example,dc=org\nobjectClass: %s\n%s\n" %
            (cn, ou, kind, "".join("%s: %s,dc=example,dc=org\n" % (attribute, m) for m in members)))
