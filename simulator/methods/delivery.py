"""How a bot gets its updates: getUpdates, or a webhook."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from simulator.errors import bad_request
from simulator.methods.registry import Call, method
from simulator.model import Json
from simulator.updates import Webhook

MAX_TIMEOUT = 50
_LOOPBACK = ("localhost", "127.0.0.1", "::1", "host.docker.internal")


@method("getUpdates")
async def get_updates(call: Call) -> list[Json]:
    queue = call.bot.updates
    limit = call.params.integer("limit", 100)
    limit = limit if 1 <= limit <= 100 else 100
    timeout = min(MAX_TIMEOUT, max(0, call.params.integer("timeout")))
    queue.allow(call.params.json("allowed_updates", "allowed updates"))
    return await queue.poll(call.params.integer("offset"), limit, timeout)


@method("setWebhook")
def set_webhook(call: Call) -> bool:
    url = call.params.text("url").strip()
    if not url:
        return _remove(call)
    try:
        parts = urlsplit(url)
        host, scheme, _ = parts.hostname or "", parts.scheme.lower(), parts.port
    except ValueError:
        raise bad_request("bad webhook: invalid webhook URL specified") from None
    if not host or scheme not in ("http", "https"):
        raise bad_request("bad webhook: An HTTPS URL must be provided for webhook")
    # Telegram wants HTTPS always; on one's own machine there is nothing to encrypt for, and a
    # name without a dot is a neighbour in a compose network.
    if scheme == "http" and host not in _LOOPBACK and "." in host:
        raise bad_request("bad webhook: An HTTPS URL must be provided for webhook")
    secret = call.params.text("secret_token")
    if len(secret) > 256:
        raise bad_request("secret token is too long")
    if re.search(r"[^A-Za-z0-9_-]", secret):
        raise bad_request("secret token contains unallowed characters")
    queue = call.bot.updates
    queue.allow(call.params.json("allowed_updates", "allowed updates"))
    if call.params.flag("drop_pending_updates"):
        queue.drop_pending()
    queue.webhook = Webhook(url, secret, call.params.integer("max_connections", 40))
    call.world.bus.wake()
    return True


@method("deleteWebhook")
def delete_webhook(call: Call) -> bool:
    return _remove(call)


def _remove(call: Call) -> bool:
    queue = call.bot.updates
    if call.params.flag("drop_pending_updates"):
        queue.drop_pending()
    queue.webhook = None
    call.world.bus.wake()
    return True


@method("getWebhookInfo")
def get_webhook_info(call: Call) -> Json:
    queue, hook = call.bot.updates, call.bot.updates.webhook
    found: Json = {
        "url": hook.url if hook else "",
        "has_custom_certificate": False,
        "pending_update_count": len(queue.waiting()),
    }
    if queue.allowed:
        found["allowed_updates"] = queue.allowed
    if hook is not None:
        found |= {"max_connections": hook.max_connections, "ip_address": "127.0.0.1"}
        if hook.last_error_date:
            found["last_error_date"] = hook.last_error_date
            found["last_error_message"] = hook.last_error_message
    return found
