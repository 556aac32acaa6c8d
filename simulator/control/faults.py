"""Making trouble, switching settings, starting over."""

from __future__ import annotations

from aiohttp import web

from simulator.control.http import Route, answer, find_bot, number, read_body, seconds, world_of
from simulator.errors import ControlError
from simulator.faults import CALL_FAULTS, UPDATE_FAULTS
from simulator.keys import KEEPER
from simulator.model import Json
from simulator.updates import GARBAGE

DAY = 86_400.0


async def list_faults(request: web.Request) -> web.Response:
    active = [fault.json() for fault in world_of(request).faults.active]
    return answer({"active": active, "kinds": CALL_FAULTS | UPDATE_FAULTS})


async def add_fault(request: web.Request) -> web.Response:
    world, body = world_of(request), await read_body(request)
    kind = str(body.get("kind", ""))
    if kind in UPDATE_FAULTS:
        trouble = _trouble_updates(request, kind, body)
        world.bus.wake()
        return answer(trouble, 201)
    if kind not in CALL_FAULTS:
        raise ControlError(400, f"kind must be one of: {', '.join(CALL_FAULTS | UPDATE_FAULTS)}.")
    fault = world.faults.add(kind, body)
    world.bus.wake()
    return answer(fault.json(), 201)


def _trouble_updates(request: web.Request, kind: str, body: Json) -> Json:
    queue = find_bot(request, body).updates
    times = number(body, "times", 1)
    if kind == "duplicate_update":
        queue.duplicates += times
    elif kind == "out_of_order":
        queue.reorders += times
        queue.reorder_hold = seconds(body, "seconds", 2.0)
    elif kind == "garbage_update":
        update = body.get("update", GARBAGE)
        if not isinstance(update, dict):
            raise ControlError(400, "update must be an object.")
        return {"kind": kind, "update_id": queue.inject(update)}
    else:
        queue.next_id = number(body, "next", max(1, queue.next_id - 50_000_000))
        return {"kind": kind, "next": queue.next_id}
    return {"kind": kind, "times": times}


async def clear_faults(request: web.Request) -> web.Response:
    world = world_of(request)
    world.faults.clear()
    for bot in world.bots:
        bot.updates.duplicates = bot.updates.reorders = 0
    world.bus.wake()
    return answer({"active": []})


async def show_settings(request: web.Request) -> web.Response:
    return answer(world_of(request).settings.json())


async def change_settings(request: web.Request) -> web.Response:
    world, body = world_of(request), await read_body(request)
    unknown = set(body) - {"limits", "callback_timeout", "callback_lifetime", "webhook_backoff"}
    if unknown:
        raise ControlError(400, f"There is no setting {', '.join(sorted(unknown))}.")
    settings = world.settings
    settings.callback_timeout = seconds(body, "callback_timeout", settings.callback_timeout)
    settings.callback_lifetime = seconds(
        body, "callback_lifetime", settings.callback_lifetime, most=DAY
    )
    settings.webhook_backoff = seconds(body, "webhook_backoff", settings.webhook_backoff)
    if "limits" in body:
        settings.limits = world.limits.enabled = body["limits"] is True
        world.limits.clear()
    world.bus.wake()
    return answer(settings.json())


async def reset(request: web.Request) -> web.Response:
    world_of(request).reset()
    if (keeper := request.app.get(KEEPER)) is not None:
        await keeper.save()
    return answer({"ok": True})


ROUTES = [
    Route("GET", "/sim/faults", list_faults, "active faults, and the kinds there are"),
    Route(
        "POST",
        "/sim/faults",
        add_fault,
        "make the next calls or updates go wrong",
        "{kind, method?, chat_id?, times?, retry_after?, seconds?, status?, description?, "
        "parameters?, update?, next?, bot?}",
    ),
    Route("DELETE", "/sim/faults", clear_faults, "clear all faults"),
    Route("GET", "/sim/settings", show_settings, "settings"),
    Route(
        "PATCH",
        "/sim/settings",
        change_settings,
        "switch settings",
        "{limits?, callback_timeout?, callback_lifetime?, webhook_backoff?}",
    ),
    Route("POST", "/sim/reset", reset, "start over"),
]
