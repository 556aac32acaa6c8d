"""Hosts with addresses of their own on one switch: network namespaces, made and removed here.

A host is a thread with a network namespace of its own: what it starts or connects lives there. The
namespaces are joined to each other and to nothing else, have no names, and end with their last
process: nothing of the machine's own network is touched, and nothing of ours can stay behind.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_CLONE_NEWUTS, _CLONE_NEWNET = 0x04000000, 0x40000000


class NoNamespacesError(Exception):
    """No network namespaces can be made here; the text says why."""


class Host:
    """One host: its name, its address, and a way to do things there."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address
        self._inside = ThreadPoolExecutor(1, f"host {name}")
        self._inside.submit(_become_host, name).result()
        self.thread = self.call(threading.get_native_id)

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function on this host and return its result; one at a time."""
        return self._inside.submit(function, *args, **kwargs).result()

    def close(self) -> None:
        self._inside.shutdown()


class Network:
    """A switch with the hosts plugged into it."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._numbers = count(1)
        self._ports: dict[str, str] = {}
        self._switch = Host("switch", "")
        stack.callback(self._switch.close)
        self._switch.call(_ip, "link add br0 type bridge")
        self._switch.call(_ip, "link set br0 up")

    def add(self, name: str) -> Host:
        """A new host, plugged in."""
        number = next(self._numbers)
        host = Host(name, f"10.77.0.{number}")
        self._stack.callback(host.close)
        self._ports[name] = port = f"port{number}"
        self._switch.call(_ip, f"link add {port} type veth peer name eth0 netns {host.thread}")
        self._switch.call(_ip, f"link set {port} master br0 up")
        host.call(_ip, f"address add {host.address}/24 dev eth0")
        host.call(_ip, "link set lo up")
        host.call(_ip, "link set eth0 up")
        return host

    @contextmanager
    def cut(self, host: Host) -> Iterator[None]:
        """Pull the host's plug for the length of a block: what is under way is lost silently."""
        port = self._ports[host.name]
        self._switch.call(_ip, f"link set {port} down")
        try:
            yield
        finally:
            self._switch.call(_ip, f"link set {port} up")


@contextmanager
def network() -> Iterator[Network]:
    """A network for the length of a block. Raises `NoNamespacesError` where none can be made."""
    with ExitStack() as stack:
        try:
            made = Network(stack)
            made.add("probe")
        except (OSError, subprocess.CalledProcessError) as error:
            said = str(getattr(error, "stderr", "") or error).strip()
            raise NoNamespacesError(
                f"no network namespaces can be made here ({said}): they need Linux, the command "
                "`ip` (Debian: apt-get install iproute2) and root with CAP_NET_ADMIN"
            ) from None
        yield made


def _ip(arguments: str) -> None:
    subprocess.run(["ip", *arguments.split()], check=True, capture_output=True, text=True)


def _become_host(name: str) -> None:
    """Give the calling thread, and so what it starts, a network and a host name of its own."""
    unshare: Any = ctypes.CDLL(None, use_errno=True).unshare
    if unshare(_CLONE_NEWNET | _CLONE_NEWUTS) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"unshare: {os.strerror(number)}")
    socket.sethostname(name)
