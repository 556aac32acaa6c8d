"""The keys under which the web application holds the world, and who keeps it in a file."""

from __future__ import annotations

from aiohttp import web

from simulator.state import Keeper
from simulator.world import World

WORLD = web.AppKey("world", World)
KEEPER = web.AppKey("keeper", Keeper)
