"""The environment variables that crossfake reads, and what each is for: docs are made of this table."""

from __future__ import annotations

import os
from typing import Final

DATA: Final = "BENCH_DATA"
CACHE: Final = "BENCH_CACHE"
MODELS: Final = "BENCH_MODELS"
OFFLINE: Final = "BENCH_OFFLINE"
CACHE_HOME: Final = "XDG_CACHE_HOME"
JAX_CACHE: Final = "JAX_COMPILATION_CACHE_DIR"
RAY_ADDRESS: Final = "RAY_ADDRESS"

VARIABLES: Final = {
    DATA: "data root used if `--data` isn't given; the command in a row records it",
    CACHE: "folder for prepared faces, demo worlds and models; default: `XDG_CACHE_HOME/crossfake`, else "
    "`~/.cache/crossfake`",
    MODELS: "folder searched first for the face finder's model files and for published weights",
    OFFLINE: "if set, nothing is downloaded: no face model, published weights or model from the Hub; the error for a "
    "missing file says where to get it and where to put it",
    CACHE_HOME: "location of the default cache, as defined by the XDG base directory specification",
    JAX_CACHE: "folder for JAX's compiled programs; default: `xla/` in the cache",
    RAY_ADDRESS: "the cluster of `--engine ray` if `--address` isn't given; `ray job submit` sets it",
}
"""What each variable does, by its name."""


def read(name: str) -> str:
    """Return a variable's value, or an empty string if it isn't set."""
    return os.environ.get(name, "")
