"""Takes the address a process listens on, with the patience that a restart after a crash needs."""

import asyncio
import errno
import socket

from kernel import clock

# A process killed while it was starting a child leaves its open sockets to that child until the child's own program runs.
PATIENCE_SECONDS = 3.0


async def bound(host: str, port: int) -> socket.socket:
    """A socket bound to the address, not listening yet. Tries for PATIENCE_SECONDS; raises OSError when somebody keeps it."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    until = clock.monotonic() + PATIENCE_SECONDS
    while True:
        mine = socket.socket(family, kind, protocol)
        try:
            mine.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            mine.bind(address)
        except OSError as error:
            mine.close()
            if error.errno != errno.EADDRINUSE or clock.monotonic() > until:
                raise
            await asyncio.sleep(0.1)
        else:
            return mine
