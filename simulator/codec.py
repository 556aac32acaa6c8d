"""Dataclasses to JSON values and back: driven by their annotations, and strict on the way back."""

from __future__ import annotations

import base64
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from simulator.model import Json

T = TypeVar("T")
Pack = Callable[[Any], Any]
_NO_DEFAULT = object()


class DamagedError(ValueError):
    """A value that is not what the annotation promises."""


@dataclass
class Context:
    """What reading needs: how to find what a key stands for, and values that are not stored."""

    find: dict[type, Callable[[Any], Any]] = field(default_factory=dict)
    given: dict[type, Json] = field(default_factory=dict)


class Codec:
    """Packs dataclasses; fields in `left_out` are skipped, objects in `keys` become keys.

    Dictionaries keep their shape under string keys and become lists of pairs under others. Fields
    with their default value are not stored.
    """

    def __init__(self, left_out: Mapping[type, frozenset[str]], keys: Mapping[type, Pack]) -> None:
        self._left_out = left_out
        self._keys = keys
        self._plans: dict[type, list[tuple[str, Pack | None, Any]]] = {}
        self._hints: dict[type, dict[str, Any]] = {}

    def pack(self, cls: type, values: Mapping[str, Any]) -> Json:
        """The JSON object of an instance, out of its `vars()`."""
        if cls not in self._plans:
            kinds = self._kinds(cls)
            self._plans[cls] = [
                (item.name, self._packer(kinds[item.name]), _default(item))
                for item in fields(cls)
                if item.name in kinds
            ]
        row: Json = {}
        for name, pack, default in self._plans[cls]:
            value = values[name]
            if value != default:
                row[name] = value if pack is None else pack(value)
        return row

    def unpack(self, cls: type[T], row: object, context: Context) -> T:
        """The instance that was packed; raises `DamagedError`."""
        kinds = self._kinds(cls)
        if not isinstance(row, dict) or not row.keys() <= kinds.keys():
            raise DamagedError(f"there is something that is no {cls.__name__}")
        found = dict(context.given.get(cls, {}))
        for name, value in row.items():
            found[name] = self._read(kinds[name], value, context, f"{cls.__name__}.{name}")
        try:
            return cls(**found)
        except TypeError:
            raise DamagedError(f"a {cls.__name__} is not complete") from None

    def _kinds(self, cls: type) -> dict[str, Any]:
        if cls not in self._hints:
            hints, skipped = get_type_hints(cls), self._left_out.get(cls, frozenset())
            names = [item.name for item in fields(cls) if item.name not in skipped]
            self._hints[cls] = {name: hints[name] for name in names}
        return self._hints[cls]

    def _packer(self, kind: Any) -> Pack | None:
        """How a value of the kind is packed; None when it is JSON already."""
        if kind in self._keys:
            return self._keys[kind]
        if is_dataclass(kind):
            cls = kind if isinstance(kind, type) else type(kind)
            return lambda value: self.pack(cls, vars(value))
        if kind is bytes:
            return lambda value: base64.b64encode(value).decode()
        origin, arguments = get_origin(kind), get_args(kind)
        if origin is tuple:
            return list
        parts = [self._packer(argument) for argument in arguments]
        if origin is dict and arguments[0] is not str:
            key, part = (item or _same for item in parts)
            return lambda value: [[key(k), part(v)] for k, v in list(value.items())]
        inner = next((part for part in parts if part is not None), None)
        if inner is None:
            return None
        if origin is dict:
            return lambda value: {k: inner(v) for k, v in list(value.items())}
        if origin is list:
            return lambda value: [inner(item) for item in list(value)]
        return lambda value: None if value is None else inner(value)

    def _read(self, kind: Any, value: Any, context: Context, at: str) -> Any:
        if kind is Any:
            return value
        if kind in self._keys:
            try:
                return context.find[kind](value)
            except (LookupError, TypeError):
                raise DamagedError(f"{at} names what does not exist") from None
        origin, arguments = get_origin(kind), get_args(kind)
        if origin in (Union, types.UnionType):
            chosen = next(item for item in arguments if item is not types.NoneType)
            return None if value is None else self._read(chosen, value, context, at)
        if origin is not None:
            return self._read_many(origin, arguments, value, context, at)
        if is_dataclass(kind):
            return self.unpack(kind if isinstance(kind, type) else type(kind), value, context)
        if kind is bytes and isinstance(value, str):
            try:
                return base64.b64decode(value, validate=True)
            except ValueError:
                raise DamagedError(f"{at} is no base64") from None
        accepted = (int, float) if kind is float else (kind,)
        if type(value) not in accepted:
            raise DamagedError(f"{at} is no {kind.__name__}")
        return value

    def _read_many(
        self, origin: Any, arguments: tuple[Any, ...], value: Any, context: Context, at: str
    ) -> Any:
        pairs = origin is dict and arguments[0] is not str
        if not isinstance(value, dict if origin is dict and not pairs else list):
            raise DamagedError(f"{at} is no {origin.__name__}")
        if origin is list:
            return [self._read(arguments[0], item, context, at) for item in value]
        if origin is tuple:
            if len(value) != len(arguments):
                raise DamagedError(f"{at} has a wrong length")
            return tuple(
                self._read(kind, item, context, at)
                for kind, item in zip(arguments, value, strict=True)
            )
        if pairs and not all(isinstance(pair, list) and len(pair) == 2 for pair in value):
            raise DamagedError(f"{at} is no list of pairs")
        key, part = arguments
        return {
            self._read(key, k, context, at): self._read(part, v, context, at)
            for k, v in (value if isinstance(value, list) else value.items())
        }


def _same(value: Any) -> Any:
    return value


def _default(item: Field[Any]) -> Any:
    if item.default is not MISSING:
        return item.default
    return _NO_DEFAULT if item.default_factory is MISSING else item.default_factory()
