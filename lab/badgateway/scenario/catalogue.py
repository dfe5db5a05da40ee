"""The scenarios that come with badgateway, and how the command line finds one: by code, by id, by name or by path.

The id of `scenarios/502/app-crashed.yaml` is `502/app-crashed`. Files are read leniently here: a catalogue is still a
catalogue while one of its files is being edited. `badgateway validate` and `run` are strict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from badgateway.chain.errors import InvalidRequest
from badgateway.inputs.problems import InvalidInput, did_you_mean
from badgateway.inputs.yamltext import read_yaml

SUFFIXES = frozenset((".yaml", ".yml"))


@dataclass(frozen=True)
class ScenarioEntry:
    """What the catalogue knows of one scenario; `content` is the file's document as read."""

    id: str
    path: Path
    title: str
    code: int | None
    causes: tuple[str, ...]
    content: Mapping[str, Any]


def root() -> Path:
    """The directory of the scenarios: inside the installed package, or beside the source roots in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "scenarios"
    return installed if installed.is_dir() else package.parents[1] / "scenarios"


def files(directory: Path) -> list[Path]:
    """Every scenario file under `directory`, sorted."""
    found = (path for path in directory.rglob("*") if path.suffix in SUFFIXES and path.is_file())
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(directory).parts))


def id_of(path: Path) -> str:
    """The id of a file of the catalogue; for any other file its path."""
    base = root()
    return (
        path.resolve().relative_to(base).with_suffix("").as_posix()
        if path.resolve().is_relative_to(base)
        else str(path)
    )


def entries() -> list[ScenarioEntry]:
    """The catalogue, by code and name. A file that is no YAML is left out."""
    return [entry for entry in map(entry_of, files(root())) if entry is not None]


def entry_of(path: Path) -> ScenarioEntry | None:
    """What one file says of itself, or None if it is no YAML mapping."""
    try:
        content = read_yaml(path).value
    except InvalidInput:
        return None
    if not isinstance(content, Mapping):
        return None
    code, causes = content.get("code"), content.get("causes")
    return ScenarioEntry(
        id=id_of(path),
        path=path,
        title=str(content.get("title") or path.stem),
        code=code if isinstance(code, int) else None,
        causes=tuple(map(str, causes)) if isinstance(causes, list) else (),
        content=content,
    )


def select(words: Sequence[str]) -> list[Path]:
    """The files that `words` name, in their order, each once.

    A word is a path of a file or directory, a code (`502`), an id (`502/app-crashed`), or a name (`app-crashed`).

    Raises:
        InvalidRequest: a word names nothing, or several scenarios; the message says what was perhaps meant.
    """
    known = {id_of(path): path for path in files(root())}
    return list(dict.fromkeys(path for word in words for path in _named(word, known)))


def _named(word: str, known: Mapping[str, Path]) -> Iterable[Path]:
    wanted = word.rstrip("/").removesuffix(".yaml")
    if wanted in known:
        return [known[wanted]]
    group = [path for id_, path in known.items() if id_.startswith(f"{wanted}/")]
    path = Path(word)
    if path.is_file():
        return [path]
    if path.is_dir() and not (group and "/" not in word):
        return _directory(path)
    if group:
        return group
    same_name = [id_ for id_ in known if id_.rpartition("/")[2] == wanted]
    if len(same_name) == 1:
        return [known[same_name[0]]]
    if same_name:
        raise InvalidRequest(f"{word!r} names several scenarios: {', '.join(same_name)}")
    names = [*known, *(id_.rpartition("/")[2] for id_ in known)]
    hint = did_you_mean(wanted, names) if names else ""
    raise InvalidRequest(f"no scenario or file {word!r}; {hint or '`badgateway list` lists what there is'}")


def _directory(path: Path) -> list[Path]:
    found = files(path)
    if not found:
        raise InvalidRequest(f"no scenario files (*.yaml) under {path}")
    return found
