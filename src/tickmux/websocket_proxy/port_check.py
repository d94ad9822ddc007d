"""Is a port free, and who has it: one line for the user instead of a traceback."""

import socket
from pathlib import Path


class PortTaken(OSError):
    """A port that we need is taken; the message names the setting, the port and, where known, the process."""

    def __init__(self, setting: str, host: str, port: int, owner: str | None) -> None:
        who = f" by {owner}" if owner else ""
        super().__init__(f"port {port} on {host} is taken{who}: stop that, or set {setting} to another port (0: any)")
        self.setting = setting
        self.port = port
        self.owner = owner


def check_port(setting: str, host: str, port: int) -> None:
    """Raises PortTaken when something listens on the port; port 0 is always free."""
    if port == 0:
        return
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise PortTaken(setting, host, port, describe_taken(host, port)) from error


def describe_taken(host: str, port: int) -> str | None:
    """`name (pid N)` of the process that listens on the port, where the system tells (Linux), else None."""
    inodes = _listening_inodes(port)
    if not inodes:
        return None
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            owns = any(str(link.readlink()) in wanted for link in (process / "fd").iterdir())
            if owns:
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
        except OSError:
            continue  # another user's process, or one that has just ended
    return None


def _listening_inodes(port: int) -> set[str]:
    """Inodes of sockets that listen on the port, read from the kernel's tables."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            columns = line.split()
            if columns[3] == "0A" and int(columns[1].rpartition(":")[2], 16) == port:
                found.add(columns[9])
    return found
