"""Connections that are not waited for: too many, too slow to ask, or too slow to read."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS = 128
ASK_SECONDS = 10.0
"""A request that has not come whole by then does not come."""
READ_SECONDS = 20.0
"""A reader whose connection has taken nothing for so long is gone, or means harm."""


class Impatient(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it, with an end to waiting."""

    _asking: asyncio.TimerHandle | None = None
    _reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """A browser connects."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
            return
        self._asking = self.loop.call_later(ASK_SECONDS, transport.abort)

    def data_received(self, data: bytes) -> None:
        """A part of a request, or a whole one."""
        super().data_received(data)
        answering = self.cycle is not None and not self.cycle.response_complete
        if answering:
            self._asking = _cancelled(self._asking)
        elif self._asking is None:
            self._asking = self.loop.call_later(ASK_SECONDS, self.transport.abort)

    def pause_writing(self) -> None:
        """What is sent is not taken."""
        super().pause_writing()
        self._reading = self._reading or self.loop.call_later(READ_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """It is."""
        super().resume_writing()
        self._reading = _cancelled(self._reading)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._asking, self._reading = _cancelled(self._asking), _cancelled(self._reading)
        super().connection_lost(exc)


def _cancelled(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
