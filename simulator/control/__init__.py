"""The control API under /sim/: acting as people, watching bots, making trouble."""

from simulator.control import chats, faults, observe, people, stream
from simulator.control.http import index_of, routes_of

MODULES = (people, chats, observe, faults, stream)
ROUTES = [route for module in MODULES for route in routes_of(module.ROUTES)]
INDEX = index_of([entry for module in MODULES for entry in module.ROUTES])

__all__ = ["INDEX", "ROUTES"]
