"""The `bench` command. Verbs are built without heavy imports; each imports what it needs when it runs."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache as remember
from types import FrameType
from typing import NoReturn

from ..core import environment
from ..core.display import escape_line, make_streams_lenient, say
from ..core.errors import BenchError, did_you_mean
from ..core.storage import WriteError
from . import (
    cache,
    check,
    compare,
    completion,
    data,
    evaluate,
    fairness,
    info,
    leaderboard,
    listing,
    predict,
    probe,
    published,
    reproduce,
    run,
    score,
    show,
    speed,
    submit,
    train,
)

VERBS = (
    run,
    evaluate,
    data,
    train,
    predict,
    score,
    compare,
    fairness,
    probe,
    speed,
    check,
    leaderboard,
    show,
    reproduce,
    submit,
    listing,
    info,
    published,
    cache,
    completion,
)

EPILOG = """\
examples:
  bench run --detector caddm --train ff++ --test celebdf
  bench run --detector caddm,xception --train ff++ --test ff++,celebdf,dfd,dfdc --data /datasets
  bench list detectors
"""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, with the nearest choice."""

    def error(self, message: str) -> NoReturn:
        """Say what was wrong and end with exit code 2."""
        hint = ""
        if "invalid choice: '" in message:
            wrong = message.split("invalid choice: '")[1].split("'")[0]
            choices = [c.strip(" '\"") for c in message.rpartition("(choose from ")[2].rstrip(")").split(",")]
            hint = did_you_mean(wrong, choices)
        elif "unrecognized arguments: " in message:
            wrong = message.split("unrecognized arguments: ")[1].split()[0]
            hint = did_you_mean(wrong, [o for a in self._actions for o in a.option_strings])
        raise BenchError(f"{message}.{hint} See: {self.prog} --help")


@remember
def build_parser() -> Parser:
    """Build the whole command line, once in a process: it takes 8 ms."""
    top = Parser(
        prog="bench",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Train deepfake detectors on one dataset, test them on others, and write a leaderboard "
        "where every number has an interval and a sample size.",
    )
    top.add_argument("--version", action=_Version, nargs=0, help="print the version and stop")
    top.set_defaults(action=lambda _: top.print_help(), quiet=False, verbose=False)
    verbs = top.add_subparsers(dest="verb", metavar="VERB")
    for verb in VERBS:
        verb.add_parser(verbs)
    return top


class _Version(argparse.Action):
    """Prints the installed version, looked up only on request."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version

        print(f"crossfake {version('crossfake')}")
        parser.exit()


class _Stopped(KeyboardInterrupt):
    """A signal that ends the work as Ctrl-C does."""

    code = 128 + signal.SIGINT


@contextmanager
def _stop_on_signals() -> Iterator[None]:
    """Let SIGTERM (from schedulers) and SIGHUP (a closed terminal; not after nohup) do what Ctrl-C does."""

    def stop(number: int, _: FrameType | None) -> NoReturn:
        error = _Stopped()
        error.code = 128 + number
        raise error

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    known = {number: handler for number, handler in before.items() if handler is signal.SIG_DFL}
    try:
        for number in known if threading.current_thread() is threading.main_thread() else ():
            signal.signal(number, stop)
        yield
    finally:
        for number, handler in known.items():
            signal.signal(number, handler)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code (2: a user's mistake, explained in one line)."""
    make_streams_lenient()
    arguments = argparse.Namespace(verbose=False)
    try:
        with _stop_on_signals():
            arguments = _parse(argv)
            arguments.command = _quote_command(sys.argv[1:] if argv is None else argv)
            return int(arguments.action(arguments) or 0)
    except BenchError as error:
        if arguments.verbose:
            say(traceback.format_exc(), aside=True)
        say(f"bench: error: {escape_line(error)}", aside=True)
        return 2
    except BrokenPipeError:  # The reader of our output (such as `head`) has exited.
        sys.stderr.close()
        return 141
    except OSError as error:
        named = error.filename is not None and not isinstance(error, WriteError)
        told = f"{error.strerror or error}: {error.filename}" if named else str(error)
        say(f"bench: error: {escape_line(told)}", aside=True)
        return 2
    except KeyboardInterrupt as stopped:
        say("bench: stopped; finished work is kept, and the same command continues from there", aside=True)
        return stopped.code if isinstance(stopped, _Stopped) else _Stopped.code


def _quote_command(argv: Sequence[str]) -> str:
    """Return the command that repeats this one, with --data if the environment names the data."""
    data = environment.read(environment.DATA)
    return (f"{environment.DATA}={shlex.quote(data)} " if data else "") + shlex.join(["bench", *argv])


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse, reporting an unknown option under the verb that it was given to."""
    top = build_parser()
    arguments, unknown = top.parse_known_args(argv)
    if unknown:
        getattr(arguments, "parser", top).error(f"unrecognized arguments: {' '.join(unknown)}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
