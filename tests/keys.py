"""Keys for tests: real ones of OpenSSH, made in a folder of the test's own, and lists of signers."""

import subprocess
from pathlib import Path

BOTH = 'namespaces="runbook-approval,runbook-seal"'


def make_key(folder, name, *, kind="ed25519", passphrase="", options=()):
    """Make a key pair `name`, `name`.pub in `folder` and return the private half's path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    command = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", name, "-f", str(path), *options]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    return path


def public(path):
    """Return the public half of a key as a list of signers has it: type and key, no comment."""
    return " ".join(path.with_name(f"{path.name}.pub").read_text().split()[:2])


def listed(path, principal, options=BOTH):
    """Return a line of a list of signers."""
    return f"{principal} {options} {public(path)}\n".replace("  ", " ")


def allow(path, *lines):
    """Write a list of signers and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("# who signs\n\n" + "".join(lines))
    return path


class Agent:
    """An ssh-agent of a test's own; use it as a context manager, with what it gives as the environment."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "agent.sock"

    def __enter__(self):
        command = ["ssh-agent", "-D", "-a", str(self.socket)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.process.stdout.readline()  # it says where its socket is, once it is there
        return self

    def add(self, path):
        environment = {"SSH_AUTH_SOCK": str(self.socket), "PATH": "/usr/bin:/bin"}
        subprocess.run(["ssh-add", "-q", str(path)], env=environment, check=True, stdin=subprocess.DEVNULL)

    def __exit__(self, *_error):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()
