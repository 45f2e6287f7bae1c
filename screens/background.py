"""Long calls beside the app's loop: the screen stays alive, and what goes wrong comes back as a sentence."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Thread
from typing import Any, ParamSpec, TypeVar

from textual.screen import Screen
from textual.widget import Widget

from ftui.errors import FtuiError

Given = ParamSpec("Given")
Found = TypeVar("Found")

LEAVE_SECONDS, SETTLE_SECONDS = 1.0, 10.0
_calls: set[Thread] = set()


@dataclass(frozen=True)
class Problem:
    """What went wrong, and what to do about it: shown in place."""

    what: str
    hint: str = ""


async def attempt(function: Callable[Given, Found], *args: Given.args, **kwargs: Given.kwargs) -> Found | Problem:
    """What `function` returns when called in a thread of its own, or the problem that it ran into.

    The thread is a daemon: a call that hangs (a driver, a network home) can't keep the app from being left.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[Found | Problem] = loop.create_future()

    def settle(result: Found | Problem) -> None:
        if not outcome.done():
            outcome.set_result(result)

    def body() -> None:
        result = _called(function, *args, **kwargs)
        # The loop is closed once the app has been left; nobody waits for the answer then.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result)

    thread = Thread(target=body, daemon=True, name=f"ftui-{getattr(function, '__name__', 'call')}")
    _calls.difference_update([call for call in _calls if call.ident and not call.is_alive()])
    _calls.add(thread)
    thread.start()
    return await outcome


def settled(seconds: float = LEAVE_SECONDS) -> bool:
    """Whether every call has come back within `seconds`.

    Python ends a daemon thread where it stands when the interpreter goes.  A thread that stands in compiled code which
    doesn't bear that (pydantic's Rust, pyarrow's C++) takes the process down with SIGABRT or SIGSEGV; so whoever leaves
    waits for the calls, and where one hangs leaves without winding the interpreter up.
    """
    until = time.monotonic() + seconds
    for call in list(_calls):
        if call.ident:
            call.join(max(until - time.monotonic(), 0))
    return not any(call.is_alive() for call in _calls)


atexit.register(settled, SETTLE_SECONDS)


async def attempt_for(
    node: Widget, function: Callable[Given, Found], *args: Given.args, **kwargs: Given.kwargs
) -> Found | Problem:
    """As `attempt`, for a worker that draws on `node`: where that has been taken away meanwhile, the worker ends here.

    Textual ends a widget's workers only after its children, on which there is nothing to draw any more.
    """
    result = await attempt(function, *args, **kwargs)
    if _taken_away(node):
        raise asyncio.CancelledError
    return result


class OneAtATime:
    """Calls of one kind, never two at once: of those asked for while one runs, only the last is made.

    A thread can't be stopped.  Without this, each key of an edit would leave one behind that computes what nobody waits
    for any more, and takes the core from the one that is waited for.  Its callers are workers of one exclusive group,
    of which Textual cancels those that are superseded.
    """

    def __init__(self) -> None:
        self._running: asyncio.Task[Any] | None = None

    async def attempt_for(
        self, node: Widget, function: Callable[Given, Found], *args: Given.args, **kwargs: Given.kwargs
    ) -> Found | Problem:
        """As `attempt_for`, once the call before has come back, which who is cancelled does not take with it."""
        while self._running is not None and not self._running.done():
            await asyncio.wait([self._running])
        if _taken_away(node):
            raise asyncio.CancelledError
        self._running = asyncio.ensure_future(attempt(function, *args, **kwargs))
        result: Found | Problem = await asyncio.shield(self._running)
        if _taken_away(node):
            raise asyncio.CancelledError
        return result


def _taken_away(node: Widget) -> bool:
    screen = next((each for each in node.ancestors_with_self if isinstance(each, Screen)), None)
    if screen is None or not node.app.is_running or screen not in node.app.screen_stack:
        return True
    if not node.is_attached or (node.styles.display != "none" and not node.display):
        # The app is being left, or the node is on its way out: its children go before it.
        return True
    return node is not screen and (node.parent is None or node not in node.parent.children)


def _called(function: Callable[..., Found], *args: Any, **kwargs: Any) -> Found | Problem:
    try:
        return function(*args, **kwargs)
    except FtuiError as error:
        return Problem(error.what, error.hint or "")
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        return Problem(f"{error.strerror or error}{where}.", "Check the path, its permissions and the free space.")
    except Exception as error:  # noqa: BLE001  # a defect in one look-up must not take down the app and the draft with it
        return Problem(
            f"ftui has a defect here: {type(error).__name__}: {error}.",
            "The command in the line below shows the whole trace with --debug.",
        )
