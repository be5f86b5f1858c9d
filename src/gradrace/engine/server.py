"""The lane server: a process that imports once what lanes need, and forks them when they are wanted.

It is started as early as a race is known to come, and imports while the race's own process does. A fork is safe as long
as there is one thread: no thread is started here, torch computes nothing here, and where something imported has started
one all the same, nothing is forked and lanes start as processes of their own. On CUDA they do so always: a device
belongs to a process's environment. So they do on systems other than Linux; macOS's libraries do not bear a fork.

The server ends with its race, also by ``kill -9``: its socket is closed then, and it takes its lanes along.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path

MEMORY = {"MALLOC_MMAP_THRESHOLD_": 1 << 30, "MALLOC_TRIM_THRESHOLD_": 1 << 32, "MALLOC_TOP_PAD_": 1 << 26}
"""Settings of the GNU C library for lanes, which allocate the same large tensors at every step: freed memory is kept.

Given back to the system and taken again, it is filled with zeros page by page each time, which took up to half the time
of a block of convolutions or transformers. What the user has set stays.
"""
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
POSSIBLE = sys.platform == "linux"
STATUS_SECONDS = 2.0
"""So long, at most, the server is waited for to tell how a lane ended."""
LOOK_AGAIN = 0.2
"""While it imports, the server looks so often, in seconds, whether its race is still there."""

_REQUEST = struct.Struct(">qd")
"""0 and when a lane was wanted, with the lane's two pipes; or the id of a lane that was ended, and 0, to which the
answer is the same id and its exit status."""


def environment() -> dict[str, str]:
    """What lanes and their server have for an environment."""
    memory = {name: str(value) for name, value in MEMORY.items()}
    return {**memory, **os.environ, **ONE_THREAD, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


class Server:
    """The race's side of a lane server."""

    def __init__(self, modules: Sequence[str]) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gradrace.engine.server", str(theirs.fileno()), *modules],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=environment(),
                pass_fds=[theirs.fileno()],
            )
        self.usable = True
        """Whether it is worth asking for lanes: false once one that was asked for did not come."""
        self.ready = False
        """Whether a lane did come."""

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def fork(self, requests: int, replies: int) -> None:
        """Have a lane as soon as everything is imported, which reads from one pipe and writes to the other.

        If it cannot be had, the pipes are closed.
        """
        try:
            socket.send_fds(self._socket, [_REQUEST.pack(0, time.time())], [requests, replies])
        except OSError:
            self.usable = False

    def end(self, lane: int) -> int | None:
        """Kill a lane, if it is not dead already; its exit status as ``subprocess`` has it, None if nobody can tell.

        Its id stays its own until then: the server asks for the status of no other.
        """
        if self._process.poll() is None:
            with contextlib.suppress(OSError, struct.error):
                os.kill(lane, signal.SIGKILL)
                self._socket.sendall(_REQUEST.pack(lane, 0.0))
                if select.select([self._socket], [], [], STATUS_SECONDS)[0]:
                    told, status = _REQUEST.unpack(self._socket.recv(_REQUEST.size))
                    return int(status) if told == lane else None
        return None

    def close(self) -> None:
        """End the server and all its lanes."""
        self.usable = False
        self._socket.close()
        if self.ready:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=5)  # it asks for the status of its lanes before it ends
        self._process.kill()
        self._process.wait()


_ahead: ContextVar[Server | None] = ContextVar("ahead", default=None)


def current() -> Server | None:
    """The server that was started for the lanes to come, if there is one."""
    return _ahead.get()


@contextlib.contextmanager
def ahead(modules: Sequence[str]) -> Iterator[None]:
    """Have a server for lanes that are made in this context, unless there is one or cannot be one."""
    if not POSSIBLE or current() is not None:
        yield
        return
    server = Server(modules)
    token = _ahead.set(server)
    try:
        yield
    finally:
        _ahead.reset(token)
        server.close()


def main() -> None:
    """Import the modules named on the command line, then fork a lane for each request, until the race goes away."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the race's to handle
    os.dup2(2, 1)  # what an import prints goes to standard error
    control = socket.socket(fileno=int(sys.argv[1]))
    _import(sys.argv[2:], control)
    lanes: set[int] = set()
    while True:
        request, pipes, *_ = socket.recv_fds(control, _REQUEST.size, 2)
        if len(request) < _REQUEST.size:
            break
        ended, wanted = _REQUEST.unpack(request)
        if ended:
            _, status = os.waitpid(ended, 0)
            lanes.remove(ended)
            with contextlib.suppress(OSError):
                control.sendall(_REQUEST.pack(ended, os.waitstatus_to_exitcode(status)))
            continue
        if _threads() == 1:
            lane = os.fork()
            if lane == 0:
                control.close()
                _be_a_lane(*pipes, began=wanted)
            lanes.add(lane)
        for pipe in pipes:
            os.close(pipe)
    for lane in lanes:
        with contextlib.suppress(OSError):
            os.kill(lane, signal.SIGKILL)
            os.waitpid(lane, 0)


def _import(modules: Sequence[str], control: socket.socket) -> None:
    """Import, and exit if the race goes away meanwhile: a signal looks for that, as a thread would forbid to fork."""
    gone = select.poll()
    gone.register(control, 0)  # tells of nothing but its end
    signal.signal(signal.SIGALRM, lambda *_: os._exit(0) if gone.poll(0) else None)
    signal.setitimer(signal.ITIMER_REAL, LOOK_AGAIN, LOOK_AGAIN)
    gc.disable()
    for module in modules:
        importlib.import_module(module)
    gc.freeze()  # what was imported stays for good: not to be looked through, nor its memory to be copied for that
    gc.enable()
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)


def _threads() -> int:
    try:
        return len(list(Path("/proc/self/task").iterdir()))
    except OSError:
        return threading.active_count()


def _be_a_lane(requests: int, replies: int, began: float) -> None:
    """What a fork does instead of serving: it never returns."""
    try:
        os.dup2(requests, 0)
        os.dup2(replies, 1)
        os.close(requests)
        os.close(replies)
        if "numpy.random" in sys.modules:
            sys.modules["numpy.random"].seed()  # in processes of their own they would differ as well
        from gradrace.engine.lane import main as lane

        lane(began)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
