"""Messages between a race and its lanes: pickles with their length in front, over a lane's standard streams.

Only a process that this program started reads and writes them; nothing that comes from a file or a network does.
"""

from __future__ import annotations

import pickle
import struct
from typing import IO, Any

import cloudpickle

_LENGTH = struct.Struct(">Q")


def packed(message: Any) -> bytes:
    """A message as it is sent. cloudpickle carries functions of a notebook or a script's main module by value."""
    body = cloudpickle.dumps(message)
    return _LENGTH.pack(len(body)) + body


def send(stream: IO[bytes], message: Any) -> None:
    """Write one message, which may be ``packed`` already."""
    stream.write(message if isinstance(message, bytes) else packed(message))
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """Read one message.

    Raises:
        EOFError: the other side is gone, perhaps in the middle of a message.
    """
    body = _exactly(stream, _LENGTH.unpack(_exactly(stream, _LENGTH.size))[0])
    return pickle.loads(body)  # noqa: S301 - the other end is a process that we started


def _exactly(stream: IO[bytes], count: int) -> bytes:
    body = stream.read(count)
    if len(body) < count:
        raise EOFError("the other end of the pipe was closed")
    return body
