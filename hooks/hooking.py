# SPDX-License-Identifier: Apache-2.0
"""What hook scripts in Python need. Scripts written for vdsm's module of this name run unchanged.

The agent puts the directory of this file on PYTHONPATH of each script:

    import hooking
    domain = hooking.read_domxml()                  # xml.dom.minidom document
    ...
    hooking.write_domxml(domain)

See berth-hooks(7) for the points, the environment and the exit codes.
"""
import json
import os
import subprocess
import sys
from xml.dom import minidom

SUDO = "/usr/bin/sudo"


def _read(variable):
    with open(os.environ[variable], encoding="utf-8") as f:
        return f.read()


def _write(variable, text):
    # In place: the agent and the scripts after this one have the same file.
    with open(os.environ[variable], "w", encoding="utf-8") as f:
        f.write(text)


def read_domxml():
    """The XML of the VM, or of the device at device points, as a minidom document."""
    return minidom.parseString(_read("_hook_domxml"))


def write_domxml(domxml):
    """Leaves the document for the next script and the agent."""
    _write("_hook_domxml", domxml.toxml())


def read_json():
    """The data of points that have JSON."""
    return json.loads(_read("_hook_json"))


def write_json(data):
    """Leaves them for the next script and the agent."""
    _write("_hook_json", json.dumps(data))


def log(message):
    """A line in the agent's log, with the name of the script."""
    sys.stderr.write(str(message) + "\n")


def exit_hook(message, return_code=2):
    """Ends the script with a message. 2: the action fails and the scripts that follow are skipped; 1: they still run."""
    sys.stderr.write(str(message) + "\n")
    sys.exit(return_code)


def execCmd(command, sudo=False, cwd=None, data=None, raw=False, env=None):  # noqa: N802 (the name is vdsm's)
    """Runs a command (a list). Returns (exit code, output, standard error): bytes when raw, else lists of lines."""
    if sudo and os.geteuid() != 0:
        command = [SUDO, "-n"] + list(command)
    if isinstance(data, str):
        data = data.encode()
    done = subprocess.run(command, cwd=cwd, env=env, input=data, stdin=None if data is not None else subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if raw:
        return done.returncode, done.stdout, done.stderr
    return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()


def tobool(value):
    """Truth of what properties say: "true", "yes", "1", True ..."""
    if isinstance(value, bool) or value is None:
        return bool(value)
    text = str(value).strip().lower()
    if text in ("true", "yes", "on", "y", "t"):
        return True
    return text.lstrip("+-").isdigit() and int(text) != 0


def _flags_file(vm_id):
    path = os.environ.get("_hook_launchflags")
    if not path or vm_id != os.environ.get("vmId"):
        raise RuntimeError("launch flags can be set at before_vm_start, for the VM that starts")
    return path


def load_vm_launch_flags_from_file(vm_id):
    """The flags of virDomainCreateXML() that scripts before this one asked for; 0: none."""
    try:
        with open(_flags_file(vm_id), encoding="ascii") as f:
            return int(f.read())
    except FileNotFoundError:
        return 0


def dump_vm_launch_flags_to_file(vm_id, flags):
    """Asks the agent to start the VM with these flags."""
    with open(_flags_file(vm_id), "w", encoding="ascii") as f:
        f.write(str(int(flags)))
