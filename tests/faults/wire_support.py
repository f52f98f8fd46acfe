"""A line between a reader and its source that can be cut, go silent, or be slow."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

Fault = Literal["reset", "end", "silent", "slow"]
_CHUNK = 16_384


@dataclass
class Wire:
    """A TCP proxy on loopback. Each connection has the fault once `after` bytes of answers have passed."""

    target: int
    port: int = 0
    fault: Fault | None = None
    after: int = 0
    connections: int = 0
    _open: list[socket.socket] = field(default_factory=list)

    def disturb(self, fault: Fault, after: int) -> None:
        self.fault, self.after = fault, after

    def heal(self) -> None:
        self.fault = None

    def serve(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                self.connections += 1
                server = socket.create_connection(("127.0.0.1", self.target))
                self._open += [client, server]
                silent = threading.Event()
                for pump in (self._ask, self._answer):
                    threading.Thread(target=pump, args=(client, server, silent), daemon=True).start()

    def _ask(self, client: socket.socket, server: socket.socket, silent: threading.Event) -> None:
        with suppress(OSError):
            while sent := client.recv(_CHUNK):
                if not silent.is_set():
                    server.sendall(sent)
            server.shutdown(socket.SHUT_WR)

    def _answer(self, client: socket.socket, server: socket.socket, silent: threading.Event) -> None:
        passed = 0
        with suppress(OSError):
            while came := server.recv(_CHUNK):
                if self.fault and self.fault != "slow" and passed + len(came) > self.after:
                    client.sendall(came[: max(0, self.after - passed)])
                    self._break(client, server, silent)
                    return
                if self.fault == "slow":
                    time.sleep(0.1)
                client.sendall(came)
                passed += len(came)
            client.shutdown(socket.SHUT_WR)

    def _break(self, client: socket.socket, server: socket.socket, silent: threading.Event) -> None:
        if self.fault == "silent":
            # the connection stays open, and nothing comes any more
            silent.set()
            return
        if self.fault == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for end in (client, server):
            # wakes the other thread, without which the connection would stay
            end.shutdown(socket.SHUT_RD if self.fault == "reset" else socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        for end in self._open:
            end.close()


@contextmanager
def wire_to(port: int) -> Iterator[Wire]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wire = Wire(port, listener.getsockname()[1])
        threading.Thread(target=wire.serve, args=(listener,), daemon=True).start()
        try:
            yield wire
        finally:
            wire.close()
