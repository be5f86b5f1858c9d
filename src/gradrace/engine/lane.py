"""A lane: one single-threaded process that runs tasks until its race goes away.

Started by ``lanes.py`` as a process of its own, or forked by ``server.py``.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
import traceback
from typing import Any, BinaryIO

PROGRESS_SECONDS = 0.2


def main(began: float) -> None:
    """Read tasks from standard input, write results to standard output, until the input ends.

    ``began``: when the lane was asked for, by ``time.time``.
    """
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a user's model prints goes to standard error, not between the messages
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the race's to handle
    from gradrace.engine.wire import receive, send

    send(replies, ("began", "", os.getpid()))
    try:
        sys.path[:] = receive(sys.stdin.buffer)  # before the listener starts: what it unpickles imports from there
    except EOFError:
        return
    inbox: queue.Queue[Any] = queue.Queue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, inbox), daemon=True).start()

    import torch

    torch.set_num_threads(1)
    # Averages of vanishing gradients become denormal numbers, on which processors are up to a hundred times slower.
    torch.set_flush_denormal(True)
    _serve(inbox, replies, began)


def _listen(stream: BinaryIO, inbox: queue.Queue[Any]) -> None:
    """Take messages as they come. When the race is gone, even by ``kill -9``, so is the lane, at once."""
    from gradrace.engine.wire import receive

    while True:
        try:
            inbox.put(receive(stream))
        except EOFError:
            os._exit(0)
        except Exception:
            # A task that cannot be unpickled is answered like one that raised.
            inbox.put(traceback.format_exc())


def _serve(inbox: queue.Queue[Any], replies: BinaryIO, began: float) -> None:
    from gradrace.engine.clock import Clock
    from gradrace.engine.wire import send
    from gradrace.errors import GradraceError

    clock = Clock()
    clock.add("import", time.time() - began)
    send(replies, ("ready", "", None))
    state: dict[str, Any] = {"clock": clock}
    pending, last = 0, time.monotonic()

    def progress(trial_steps: int) -> None:
        nonlocal pending, last
        pending += trial_steps
        if time.monotonic() - last >= PROGRESS_SECONDS:
            send(replies, ("progress", "", pending))
            pending, last = 0, time.monotonic()

    while True:
        message = inbox.get()
        if isinstance(message, str):
            send(replies, ("unreadable", "", message))
            continue
        key, function, arguments = message
        try:
            with clock.spending("other"):
                result = ("result", key, function(state, progress, *arguments))
        except GradraceError as error:
            result = ("error", key, error)
        except Exception:
            result = ("error", key, GradraceError(traceback.format_exc()))
        send(replies, ("progress", key, pending))
        send(replies, ("seconds", key, clock.taken()))
        pending = 0
        send(replies, result)


if __name__ == "__main__":
    main(float(sys.argv[1]))
