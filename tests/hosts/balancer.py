"""A small load balancer before the bots' webhooks: in turn, and to the next one on any failure.

`python -m tests.hosts.balancer PORT URL URL…`; GET /counts says what each has taken, and how often
one answered that it can't. An update may reach two bots when an answer is late: it is stored under
its own key, once.
"""

from __future__ import annotations

import sys
from itertools import count

import aiohttp
from aiohttp import web

# Longer than a bot takes to find that the database does not answer: it is to say so itself.
TIMEOUT = aiohttp.ClientTimeout(total=8.0, connect=0.5)
REFUSED = "refused"
HOP_BY_HOP = {"host", "connection", "content-length", "transfer-encoding"}


def make_app(backends: list[str]) -> web.Application:
    taken = dict.fromkeys([*backends, REFUSED], 0)
    calls = count()

    async def pass_on(request: web.Request) -> web.Response:
        body = await request.read()
        headers = {k: v for k, v in request.headers.items() if k.lower() not in HOP_BY_HOP}
        first = next(calls)
        # A connection each: one that was open when its host was cut off would be found dead late.
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(connector=connector, timeout=TIMEOUT) as session:
            for number in range(len(backends)):
                backend = backends[(first + number) % len(backends)]
                try:
                    async with session.post(
                        backend + request.path, data=body, headers=headers
                    ) as response:
                        answer = web.Response(status=response.status, body=await response.read())
                except (aiohttp.ClientError, TimeoutError, OSError):
                    continue
                if answer.status < 500:
                    taken[backend] += 1
                    return answer
                taken[REFUSED] += 1
        return web.Response(status=502)

    async def counts(_: web.Request) -> web.Response:
        return web.json_response(taken)

    app = web.Application()
    app.router.add_get("/counts", counts)
    app.router.add_post("/telegram", pass_on)
    return app


if __name__ == "__main__":
    web.run_app(
        make_app(sys.argv[2:]), host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None
    )
