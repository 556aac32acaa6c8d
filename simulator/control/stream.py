"""The page's event stream, and files for it to show."""

from __future__ import annotations

import asyncio
import json

from aiohttp import web

from simulator.control.http import Route, world_of
from simulator.errors import ControlError

KEEP_ALIVE = 15.0


async def events(request: web.Request) -> web.StreamResponse:
    bus = world_of(request).bus
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
    )
    queue = bus.subscribe()
    try:
        await response.prepare(request)
        await response.write(f"event: hello\ndata: {bus.last_id}\n\n".encode())
        while True:
            try:
                event = await asyncio.wait_for(queue.get(), KEEP_ALIVE)
            except TimeoutError:
                await response.write(b": still here\n\n")
                continue
            if event is None:
                break
            data = json.dumps(event["data"])
            await response.write(
                f"id: {event['id']}\nevent: {event['type']}\ndata: {data}\n\n".encode()
            )
    except ConnectionResetError:
        pass
    finally:
        bus.unsubscribe(queue)
    return response


async def show_file(request: web.Request) -> web.Response:
    stored = world_of(request).files.by_id.get(request.match_info["file_id"])
    if stored is None:
        raise ControlError(404, "There is no such file.")
    safe = stored.kind == "photo"
    headers = {"Cache-Control": "max-age=3600", "X-Content-Type-Options": "nosniff"}
    if not safe:
        # What people upload is never shown as a page of this site.
        headers["Content-Disposition"] = "attachment"
    kind = stored.mime if safe and stored.mime.startswith("image/") else "application/octet-stream"
    return web.Response(body=stored.data, content_type=kind, headers=headers)


ROUTES = [
    Route("GET", "/sim/events", events, "server-sent events: all that happens"),
    Route("GET", "/sim/files/{file_id}", show_file, "a file's content"),
]
