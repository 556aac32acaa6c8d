"""Forum topics: what both bots and people do to them."""

from __future__ import annotations

from simulator.model import TOPIC_COLORS, Chat, Json, Message, Topic, User
from simulator.view import sim_topic
from simulator.world import World


def _publish(world: World, chat: Chat, topic: Topic, act: str) -> None:
    world.bus.publish("topic", {"chat_id": chat.id, "act": act, "topic": sim_topic(topic)})


def create(
    world: World, chat: Chat, actor: User, name: str, color: int = 0, emoji: str = ""
) -> Topic:
    """Create a topic; its service message starts the thread."""
    color = color or TOPIC_COLORS[len(chat.topics) % len(TOPIC_COLORS)]
    service: Json = {"name": name, "icon_color": color}
    if emoji:
        service["icon_custom_emoji_id"] = emoji
    topic = Topic(chat.last_message_id + 1, name, color, emoji, creator_id=actor.id)
    chat.topics[topic.thread_id] = topic
    _publish(world, chat, topic, "created")
    notice = {"forum_topic_created": service}
    world.post(chat, actor, service=notice, thread_id=topic.thread_id)
    return topic


def edit(
    world: World, chat: Chat, actor: User, topic: Topic, name: str | None, emoji: str | None
) -> None:
    """Change the name or the icon; None leaves it."""
    service: Json = {}
    if name is not None and name != topic.name:
        topic.name = service["name"] = name
    if emoji is not None and emoji != topic.icon_custom_emoji_id:
        topic.icon_custom_emoji_id = service["icon_custom_emoji_id"] = emoji
    _publish(world, chat, topic, "edited")
    notice(world, chat, actor, topic, {"forum_topic_edited": service})


def set_closed(world: World, chat: Chat, actor: User, topic: Topic, closed: bool) -> None:
    """Close or reopen."""
    topic.closed = closed
    _publish(world, chat, topic, "closed" if closed else "reopened")
    kind = "forum_topic_closed" if closed else "forum_topic_reopened"
    notice(world, chat, actor, topic, {kind: {}})


def delete(world: World, chat: Chat, topic: Topic) -> None:
    """Remove the topic and all its messages."""
    del chat.topics[topic.thread_id]
    for message in chat.messages.values():
        if message.thread_id == topic.thread_id and not message.deleted:
            world.delete(message)
    _publish(world, chat, topic, "deleted")


def notice(world: World, chat: Chat, actor: User, topic: Topic, service: Json) -> Message:
    """Post a service message into the topic."""
    return world.post(
        chat, actor, service=service, thread_id=topic.thread_id, reply_to=topic.thread_id
    )
