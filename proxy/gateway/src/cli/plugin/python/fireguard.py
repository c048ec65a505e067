"""What plugins in Python share: plans, verdicts, and JSON that keeps its numbers.

It stands between the plugin and `wit_world`, the bindings that the build makes of the contract. This copy belongs to
the project.
"""

import json
from collections.abc import Iterable
from typing import Any

from componentize_py_types import Err
from wit_world.exports import setup
from wit_world.imports.types import Direction, Exchange, Field, Refusal

try:
    from wit_world.exports import request as request_phase
except ImportError:  # The plugin has no such phase.
    request_phase = None
try:
    from wit_world.exports import resources as resources_phase
except ImportError:
    resources_phase = None
try:
    from wit_world.exports import written as written_phase
except ImportError:
    written_phase = None
try:
    from wit_world.exports import ingest as ingest_phase
except ImportError:
    ingest_phase = None

TO_SERVER = Direction.TO_SERVER
TO_CLIENT = Direction.TO_CLIENT


# Setup


def wants(
    phase: str,
    *,
    types: Iterable[str] = (),
    interactions: Iterable[str] = (),
    directions: Iterable[Direction] = (),
) -> setup.Interest:
    """When the host calls a phase. Without types: for each type; without interactions: in each."""
    return setup.Interest(phase, list(interactions), list(types), list(directions), [])


def plan(*interests: setup.Interest, needs: Iterable[str] = ()) -> setup.Plan:
    """What `configure` answers. `needs`: capabilities without which the plugin cannot work."""
    return setup.Plan(list(interests), list(needs), [])


def problem(message: str, pointer: str = "", file: str | None = None, line: int = 0) -> setup.Problem:
    """Something wrong with the settings (or with a file), at a JSON Pointer."""
    return setup.Problem(file, line, 0, pointer, message)


def refuse_settings(*problems: setup.Problem) -> Err:
    """To be raised by `configure`: everything that is wrong, not just the first of it."""
    return Err(list(problems))


def read_settings(settings: str, known: Iterable[str]) -> dict[str, Any]:
    """The settings. A name that the plugin does not know is refused: it may be a misspelt rule."""
    values = json.loads(settings)
    known = list(known)
    strangers = [name for name in values if name not in known]
    if strangers:
        told = f"unknown setting; there are: {', '.join(known)}" if known else "this plugin has no settings"
        raise refuse_settings(*(problem(told, pointer(name)) for name in strangers))
    return values


def pointer(*names: str | int) -> str:
    """A JSON Pointer (RFC 6901)."""
    return "".join("/" + str(name).replace("~", "~0").replace("/", "~1") for name in names)


# Verdicts of the phase `resources`


def keep() -> Any:
    """The resource passes as it is."""
    return resources_phase.Verdict_Keep()


def replace(resource: Any) -> Any:
    """This passes in its place."""
    return resources_phase.Verdict_Replace(dumps(resource))


def drop() -> Any:
    """It is left out of its Bundle; alone it is 404. What is written cannot be dropped."""
    return resources_phase.Verdict_Drop()


def refuse(code: str, message: str, status: int | None = None, outcome: Any = None) -> Any:
    """The exchange is refused (of a batch toward the server, the entry). Do not quote the resource."""
    return resources_phase.Verdict_Refuse(refusal(code, message, status, outcome))


def refusal(code: str, message: str, status: int | None = None, outcome: Any = None) -> Refusal:
    """A code of http://hl7.org/fhir/issue-type and a sentence; 422 without a status."""
    extras = [] if status is None else [Field("status", str(status))]
    return Refusal(code, message, None if outcome is None else dumps(outcome), extras)


# JSON


class Number(float):
    """A decimal that knows its digits: 1.50 stays 1.50."""

    text: str

    def __new__(cls, text: str) -> "Number":
        number = super().__new__(cls, text)
        number.text = text
        return number


def loads(content: bytes) -> Any:
    """Reads JSON. Decimals keep their digits until somebody computes with them."""
    return json.loads(content, parse_float=Number)


def dumps(value: Any) -> bytes:
    """Writes JSON: members in their order, decimals as they were read."""
    parts: list[str] = []
    _write(value, parts)
    return "".join(parts).encode()


def _write(value: Any, parts: list[str]) -> None:
    if isinstance(value, dict):
        separator = "{"
        for name, member in value.items():
            parts += (separator, json.dumps(name, ensure_ascii=False), ":")
            _write(member, parts)
            separator = ","
        parts.append("}" if value else "{}")
    elif isinstance(value, list):
        separator = "["
        for element in value:
            parts.append(separator)
            _write(element, parts)
            separator = ","
        parts.append("]" if value else "[]")
    elif isinstance(value, Number):
        parts.append(value.text)
    else:
        parts.append(json.dumps(value, ensure_ascii=False, allow_nan=False))
