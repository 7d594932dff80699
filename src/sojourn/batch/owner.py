"""Which process owns a job, and whether it still lives.

A process is known by host, boot, process namespace, number and start: a number alone is given to another process later,
and in a container it counts differently. Where the system does not tell these (all but Linux), a process that is there
counts as unknown and not as alive, and the heartbeat decides.
"""

from __future__ import annotations

import os
import platform
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

import msgspec

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Owner:
    """One process, and in it one run of a job."""

    host: str
    boot: str
    namespace: str
    process: int
    start: str
    run: str

    @property
    def text(self) -> str:
        """As it stands in the ledger."""
        return msgspec.json.encode(self).decode()

    def __str__(self) -> str:
        return f"{self.host}, process {self.process}"


def this_process() -> Owner:
    """The owner that this process is, for a run that begins now."""
    process = os.getpid()
    return Owner(platform.node(), *_system(), process, _start(process) or "", str(uuid.uuid4()))


def owner_of(text: str) -> Owner:
    """The owner that the ledger names. Raises ValueError where the text is no owner's."""
    return msgspec.json.decode(text, type=Owner)


def is_gone(owner: Owner) -> bool:
    """Whether this machine knows that the owner's process has ended. False for a process of elsewhere: nobody knows."""
    if (owner.host, owner.boot, owner.namespace) != (platform.node(), *_system()):
        return False
    if owner.start:
        return _start(owner.process) != owner.start
    if sys.platform == "win32":  # where os.kill ends a process
        return False
    try:
        os.kill(owner.process, 0)  # signal 0 only asks
    except ProcessLookupError:
        return True
    except PermissionError:  # another user's process
        return False
    return False


def _system() -> tuple[str, str]:
    """This boot and this process namespace; empty where the system does not tell."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return boot, os.readlink(_PROC / "self/ns/pid")
    except OSError:
        return "", ""


def _start(process: int) -> str | None:
    """When a process started, in clock ticks since the boot; None for one that has ended, also where its parent has not
    asked for its exit code yet."""
    try:
        status = (_PROC / str(process) / "stat").read_text()
    except OSError:
        return None
    # The name in parentheses may hold anything; the state comes behind it, and the start is the 22nd field.
    fields = status.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]
