"""`bench completion`: the script with which a shell completes verbs and options."""

from __future__ import annotations

import argparse

from ..core.display import say
from . import common

SHELLS = ("bash", "zsh", "tcsh")
EPILOG = """\
examples:
  bench completion bash >> ~/.bash_completion
  bench completion zsh > ~/.zsh/completions/_bench     # a folder of $fpath
"""


def add_parser(verbs: common.Verbs) -> None:
    """Add the verb."""
    p = common.add_verb(verbs, "completion", show, "print the script that completes commands in a shell", EPILOG)
    p.add_argument("shell", choices=SHELLS, metavar="|".join(SHELLS), help="the shell")


def show(arguments: argparse.Namespace) -> int:
    """Print the script."""
    import shtab

    from .main import build_parser

    say(shtab.complete(build_parser(), shell=arguments.shell))  # a shell's name, nothing is started # nosec B604
    return 0
