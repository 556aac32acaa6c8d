"""A console that writes no more than text and its own colours to a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console as RichConsole
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment

from cli.screen import harmless


class Console(RichConsole):
    """What is printed may hold strings of files, models and databases: all of it, in a table too,
    passes here, so that no verb can forget to make them harmless."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=harmless(segment.text))
