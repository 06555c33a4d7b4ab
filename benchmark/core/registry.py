"""A generic registry of plugins, whose names and cards are known without importing them.

In-tree plugins are found by reading the source for a decorator such as

    @detectors.register("caddm", backend="torch", paper="...")
    class Caddm: ...

whose arguments are literals; out-of-tree ones come from entry points (group `crossfake.detectors`), whose source is
read in the same way, or are named directly as `file.py:Name` or `package.module:Name`. Code is imported only when a
plugin is first used.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Protocol, TypedDict, TypeVar, runtime_checkable

from .contracts import CAPABILITIES, find_capabilities
from .errors import BenchError, did_you_mean, make_unknown_error, require_known
from .signals import defer_signals

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
EXTRAS = {"torch": "torch", "torchvision": "torch", "timm": "torch", "jax": "jax", "flax": "jax", "optax": "jax"}


class PluginCard(TypedDict, total=False):
    """The arguments of `register` that the harness itself reads; a card may hold others, which are only shown."""

    aliases: tuple[str, ...]
    backend: str
    can: tuple[str, ...]
    compressions: tuple[str, ...]
    default_compression: str
    defaults: dict[str, object]
    frozen: bool
    input_size: int
    learns_groups: bool
    mark: str
    options: dict[str, object]
    parts: dict[str, str]
    splits: tuple[str, ...]
    takes: str
    title: str


@runtime_checkable
class Registered(Protocol):
    """A registered class: `cards` holds the arguments of `register`, by name."""

    cards: dict[str, PluginCard]


@dataclass(frozen=True)
class Entry:
    """A plugin's name and card, and where its code is: `target` is `module:attribute` or `file.py:attribute`."""

    name: str
    target: str
    location: str
    aliases: tuple[str, ...] = ()
    backend: str = ""
    card: PluginCard = field(default_factory=PluginCard)

    def load(self) -> Callable[..., object]:
        """Import and return the registered object.

        Raises:
            BenchError: there is no such file, module or attribute, or a backend that it needs isn't installed.
        """
        try:
            return import_target(self.target)
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            if package not in EXTRAS:
                raise
            raise BenchError(f'{self.name} needs {package}: pip install "crossfake[{EXTRAS[package]}]"') from None

    @property
    def capabilities(self) -> frozenset[str]:
        """What a detector can do besides scoring, in the words of `CAPABILITIES`.

        The card's `can` is trusted, and nothing imported; without it the class is inspected. A function that makes
        detectors can't be inspected before it is called, so its detectors are assumed to have all capabilities.

        Raises:
            BenchError: `can` holds an unknown word, or the class can't be imported.
        """
        if "can" not in self.card:
            made = self.load()
            return find_capabilities(made) if isinstance(made, type) else frozenset(CAPABILITIES)
        for word in self.card["can"]:
            require_known("capability", word, CAPABILITIES)
        return frozenset(self.card["can"])

    def drop_defaults(self, options: Mapping[str, object]) -> dict[str, object]:
        """Return the options that differ from the card's `defaults`: giving a default explicitly changes nothing."""
        defaults = self.card.get("defaults", {})
        return {k: v for k, v in options.items() if k not in defaults or v != defaults[k]}

    @property
    def is_made(self) -> bool:
        """Whether the detector was given as an object, to be tested as it is."""
        return False

    @property
    def is_trainable(self) -> bool:
        """Whether it can be trained."""
        return not self.is_made and "train" in self.capabilities

    @property
    def file(self) -> Path | None:
        """The user's own file of a `file.py:Name` plugin; None for any other."""
        where = self.target.rpartition(":")[0]
        return Path(where) if where.endswith(".py") else None

    @property
    def plugin(self) -> str:
        """The module that worker processes must import before unpickling this plugin's classes; usually none."""
        return self.target if self.file else ""


@dataclass(frozen=True)
class MemoryEntry(Entry):
    """A class or an object given in memory; in keys, `code` stands for everything it scores with."""

    given: object = None
    code: str = ""

    def load(self) -> Callable[..., object]:
        """Return the class, or what returns the object."""
        return self.given if isinstance(self.given, type) else lambda: self.given

    @property
    def is_made(self) -> bool:
        """Whether it is an object, to be tested as it is."""
        return not isinstance(self.given, type)

    @property
    def capabilities(self) -> frozenset[str]:
        """What it can do besides scoring; an existing object isn't trained."""
        return find_capabilities(self.given) - ({"train"} if self.is_made else set())


class Registry:
    """The plugins of one kind (`detectors`, `datasets`), by name and, for detectors, by backend."""

    def __init__(self, kind: str, folder: Path | None = None, package: str | None = None):
        self.kind = kind
        self.folder = folder or ROOT / kind
        self.package = package or f"crossfake.{kind}"
        self._entries: list[Entry] | None = None

    def register(self, name: str, **card: object) -> Callable[[T], T]:
        """Mark a class as a plugin. The scan reads these (literal) arguments; the class keeps them in `.cards`."""

        def mark(cls: T) -> T:
            own = cls.__dict__.get("cards", {})
            cls.cards = {**own, name: card}  # type: ignore[attr-defined]
            return cls

        return mark

    def entries(self) -> list[Entry]:
        """Return every known plugin, in-tree first, sorted by name."""
        if self._entries is None:
            found = sorted([*self._find_in_tree(), *self._find_installed()], key=lambda e: (e.name, e.backend))
            _refuse_duplicates(self.kind, found)
            self._entries = found
        return self._entries

    def names(self) -> list[str]:
        """Return the plugins' names, each once."""
        return list(dict.fromkeys(e.name for e in self.entries()))

    def find(self, name: str, backend: str = "") -> Entry:
        """Return the entry for a name, alias, or `where:attribute`; without `backend`, its first one.

        Imports the code that `where:attribute` points at, so the name must be what the user typed.

        Raises:
            BenchError: the name is unknown (with the nearest one), or has no such backend.
        """
        if not self._match(name) and _is_target(name):
            return _make_target_entry(name)
        return self.find_registered(name, backend)

    def is_registered(self, name: str) -> bool:
        """Return whether a name or alias belongs to a plugin, in-tree or of an installed package."""
        return bool(self._match(name))

    def find_registered(self, name: str, backend: str = "") -> Entry:
        """Return the entry for a name or alias; imports nothing, so that the name may come from a file.

        Raises:
            BenchError: see `find`.
        """
        matches = self._match(name)
        if not matches and name.endswith(".py"):
            raise BenchError(f"{name} is a file: name the class in it too, as {name}:ClassName")
        if not matches:
            known = [s for e in self.entries() for s in (e.name, *e.aliases)]
            problem = f"no {self.kind[:-1]} named '{name}'"
            raise make_unknown_error(problem, name, known, f"See: bench list {self.kind}")
        return _choose_backend(matches, name, backend)

    def _match(self, name: str) -> list[Entry]:
        return self._by_spelling.get(name.casefold()) or self._parametrise(name)

    @cached_property
    def _by_spelling(self) -> dict[str, list[Entry]]:
        found: dict[str, list[Entry]] = {}
        for entry in self.entries():
            for spelling in _list_spellings(entry):
                found.setdefault(spelling, []).append(entry)
        return found

    def _parametrise(self, name: str) -> list[Entry]:
        """`timm:resnet50` is the plugin `timm` with its card's `takes` option set to `resnet50`."""
        head, _, argument = name.partition(":")
        found = [e for e in self.entries() if e.name == head and argument and "takes" in e.card]
        return [
            Entry(name, e.target, e.location, (), e.backend, {**e.card, "options": {e.card["takes"]: argument}})
            for e in found
        ]

    def _find_in_tree(self) -> Iterator[Entry]:
        for path in sorted(self.folder.rglob("*.py")):
            source = path.read_text(encoding="utf-8")
            if f"@{self.kind}.register(" in source:
                yield from self._scan(path, source)

    def _scan(self, path: Path, source: str) -> Iterator[Entry]:
        module = ".".join([self.package, *path.relative_to(self.folder).with_suffix("").parts])
        for node, call in _find_registered(path, source, self.kind):
            yield _make_entry(call, f"{module}:{node.name}", f"{path}:{node.lineno}")

    def _find_installed(self) -> Iterator[Entry]:
        from importlib.metadata import entry_points

        for point in entry_points(group=f"crossfake.{self.kind}"):
            plain = Entry(point.name, point.value, f"entry point {point.value}")
            path = _source_file(point.module)
            source = path.read_text(encoding="utf-8") if path else ""
            calls = [call for node, call in _find_registered(path, source, self.kind) if node.name == point.attr]
            # Users know the name that the package declares.
            yield replace(_make_entry(calls[0], plain.target, plain.location), name=point.name) if calls else plain


def _find_registered(path: Path | None, source: str, kind: str) -> Iterator[tuple[ast.ClassDef, ast.Call]]:
    """Yield the classes of a source file that are registered, with the calls that register them."""
    try:
        tree = ast.parse(source)
    except SyntaxError as error:  # A broken plugin must not affect the others; using it reports the error.
        print(f"warning: {path} does not parse ({error.msg}, line {error.lineno}); skipped", file=sys.stderr)
        return
    for node in tree.body:
        for call in getattr(node, "decorator_list", []):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == f"{kind}.register":
                yield node, call  # type: ignore[misc]


def _source_file(module: str) -> Path | None:
    """Return a module's source file without importing it or its packages; None if there is none."""
    top, *inner = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None:
        return None
    if not inner:
        return Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
    folders = [Path(folder, *inner) for folder in spec.submodule_search_locations or ()]
    files = [file for folder in folders for file in (folder.with_suffix(".py"), folder / "__init__.py")]
    return next((file for file in files if file.is_file()), None)


def _make_entry(call: ast.Call, target: str, location: str) -> Entry:
    name = ast.literal_eval(call.args[0])
    given = [k for k in call.keywords if k.arg]
    card: PluginCard = ast.literal_eval(ast.Dict([ast.Constant(k.arg) for k in given], [k.value for k in given]))
    return Entry(name, target, location, tuple(card.pop("aliases", ())), card.pop("backend", ""), card)


def _list_spellings(entry: Entry) -> set[str]:
    given = [s.casefold() for s in (entry.name, *entry.aliases)]
    return {*given, *(s.replace("_", "-") for s in given), *(s.replace("-", "_") for s in given)}


def _refuse_duplicates(kind: str, entries: list[Entry]) -> None:
    seen: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        for spelling in _list_spellings(entry):
            first = seen.setdefault((spelling, entry.backend), entry)
            if first is not entry:
                raise BenchError(
                    f"two {kind} are named '{spelling}': {first.location} and {entry.location}. Rename or remove one"
                )


def _choose_backend(matches: list[Entry], name: str, backend: str) -> Entry:
    if not backend:
        return matches[0] if len(matches) == 1 else next((e for e in matches if e.backend == "torch"), matches[0])
    for entry in matches:
        if entry.backend in (backend, ""):
            return entry
    have = [e.backend for e in matches]
    advice = did_you_mean(backend, have) or f" Use --backend {have[0]}"
    raise BenchError(f"'{name}' has no backend '{backend}'; it has: {', '.join(have)}.{advice}")


def _is_target(name: str) -> bool:
    where, _, attribute = name.rpartition(":")
    if not attribute.isidentifier():
        return False
    return where.endswith(".py") or "." in where or (where.isidentifier() and _source_file(where) is not None)


def _make_target_entry(target: str) -> Entry:
    obj = import_target(target)
    where, _, attribute = target.rpartition(":")
    card = next(iter(obj.cards.values())).copy() if isinstance(obj, Registered) else PluginCard()
    backend = card.pop("backend", "")
    card.pop("aliases", None)
    card.pop("can", None)  # It may be a base class's; then the class itself is inspected.
    module, name = Path(where).stem if where.endswith(".py") else where, attribute.lower()
    # With the file's name: otherwise the same class in another file would share settings and the name of rows.
    name = name if module.lower() == name else f"{module.lower()}.{name}"
    return Entry(f"local/{name}", target, where, (), backend, card)


def import_target(target: str) -> Callable[..., object]:
    """Import `module:attribute` or `file.py:attribute` and return the object.

    Raises:
        BenchError: there is no such file or attribute.
    """
    where, _, attribute = target.rpartition(":")
    with defer_signals():
        module = _import_file(Path(where)) if where.endswith(".py") else _import_module(where)
    try:
        found: Callable[..., object] = getattr(module, attribute)
    except AttributeError:
        raise BenchError(f"{where} has no '{attribute}'.{did_you_mean(attribute, dir(module))}") from None
    return found


def _import_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not name.startswith(error.name):
            raise  # A module that this module needs.
        raise BenchError(f"no module '{error.name}' for {name}: is its package installed here?") from None


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise BenchError(f"no file {path}. Give a detector or dataset of your own as path/to/file.py:ClassName")
    where = path.resolve()
    name = f"crossfake_local_{path.stem}_{hashlib.sha256(str(where).encode()).hexdigest()[:8]}"
    stamp = where.stat().st_mtime_ns
    known = sys.modules.get(name)
    if known is not None and known.__dict__.get("__stamp__") == stamp:
        return known  # If it were executed again, its classes would differ from those of existing objects.
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # Before execution, so that its classes can be pickled for workers.
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # Whatever goes wrong in a user's file on import.
        del sys.modules[name]
        raise BenchError(f"{path} can't be imported: {type(error).__name__}: {error}") from error
    module.__dict__["__stamp__"] = stamp
    return module


detectors = Registry("detectors")
datasets = Registry("datasets")
