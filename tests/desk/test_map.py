"""The page that leads a newcomer through the use cases leaves none out."""

from __future__ import annotations

from pathlib import Path

from desk import flow


def test_each_module_of_the_flow_stands_in_its_map() -> None:
    assert flow.__doc__ is not None
    assert flow.__file__ is not None
    modules = {path.stem for path in Path(flow.__file__).parent.glob("*.py")} - {"__init__"}
    assert {name for name in modules if f"`{name}`" not in flow.__doc__} == set()
