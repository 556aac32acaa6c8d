"""What customers forward: somebody else's words, which people see and the model does not."""

from __future__ import annotations

from collections.abc import Sequence

from desk.domain import ConversationState, Person
from desk.flow import besides
from desk.flow.bans import is_banned
from desk.flow.cards import post_message
from desk.flow.conversations import enter
from desk.flow.desk import Desk, who_answers
from desk.flow.handoff import call_person, left_alone, say_added
from desk.flow.intake import claim
from desk.flow.passing_on import held_back, say_nothing, show_undecided, store_message
from desk.policy import FORWARDED


def forwarded(
    desk: Desk,
    inbox_id: int,
    person: Person,
    telegram_id: int,
    text: str,
    origin: str,
    links: Sequence[str] = (),
) -> None:
    """A customer forwards a text that `origin`, a name, has written, with the addresses behind its
    words.

    It gets no answer of the bot's and teaches nothing: a person is called once, as for a file.
    """
    with desk.store.writing() as session:
        if not claim(session, desk, inbox_id) or is_banned(session, person.chat_id):
            return
        customer, conversation = enter(session, desk, person)
        message = store_message(session, desk, conversation, inbox_id, telegram_id, text)
        message.forwarded_from, message.links = besides.origin(origin), besides.links(links)
        if who_answers(desk, conversation) is ConversationState.BOT:
            if held_back(session, desk, customer, conversation, message):
                return
            call_person(session, desk, customer, conversation, message, FORWARDED)
            show_undecided(session, desk, customer, conversation)
            return
        show_undecided(session, desk, customer, conversation)
        say_nothing(session, desk, message, FORWARDED)
        session.flush()
        post_message(session, desk, customer, conversation, message)
        alone = left_alone(session, desk, [conversation])
        say_added(session, desk, customer, conversation, message, alone=alone)
