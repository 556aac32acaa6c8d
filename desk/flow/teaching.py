"""What people taught, listed with what becomes of it, and taken back where it is wrong."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.orm import aliased

from classifier.likeness import normalised
from desk.domain import DeskError, FeedbackKind, whole_text
from desk.flow.desk import Desk
from desk.flow.dossier import LONGEST_ID
from desk.flow.lessons import OPERATORS_WORD, Learned
from desk.masking import mask
from desk.own_names import OwnNames
from desk.tables import Conversation, Customer, Feedback, Message, Operator, PredictionRow
from desk.validation.near import exact_key

CHUNK = 1000
"""So many ids are named in one query: a database takes no endless list."""


class Outcome(StrEnum):
    """What becomes of somebody's word when a model is trained."""

    TEACHES = "teaches"
    SET_ASIDE = "set aside"
    """The text is one of those that operators' labels measure models by: nothing is trained on
    it."""
    WITHDRAWN = "withdrawn"
    OVERRULED = "overruled"
    """The pack's or somebody else's word on the same text counts, or the same customer's thumb down
    after it; or it is a choice or thumb of a customer who is banned, or has taught more texts than
    count."""
    UNKNOWN_INTENT = "intent unknown"
    """The pack lacks it (by now)."""
    UNKNOWN_SENTIMENT = "sentiment unknown"
    """None of the pack's examples has it, so a few words of operators would be all that a model
    knows of it."""
    SEVERAL = "several topics"
    """A thumb under answers to several questions: it says of no single intent that it was meant."""
    IN_TEST = "in the test"
    """The text is in the pack's test.jsonl, which nothing is trained on."""
    THUMB_DOWN = "thumb down"
    """It says that an answer was wrong, and not what would be right."""
    NO_TEXT = "no text"
    """It is about a file or a command, or the text is erased."""


@dataclass(frozen=True, slots=True)
class Word:
    """What one person's act says about the truth of one message."""

    id: int
    at: datetime
    operator_id: int | None
    """None for a customer."""
    customer_id: int | None
    """The id on Telegram of whose word it is; None for an operator, and once they are erased."""
    who: str
    """The operator's name, or their id where nobody is known by it any more; or `customer`."""
    kind: FeedbackKind
    text: str
    """Masked, and with the message before where both were read as one; empty once it is erased."""
    intent: str | None
    """Under its name of today, where the pack knows it."""
    sentiment: str | None
    """Where the kind is `MOOD`, which has no intent."""
    outcome: Outcome
    by_outcome: bool
    """As `Learned.by_outcome`, where it counts."""


@dataclass(frozen=True, slots=True)
class Which:
    """Whose words, and which: all, unless told otherwise."""

    operator_id: int | None = None
    intent: str | None = None
    since: datetime | None = None
    before: datetime | None = None
    customer_id: int | None = None


def words(
    desk: Desk,
    which: Which,
    *,
    heard: Collection[Learned],
    counting: Collection[Learned],
    aside: Collection[Learned],
    test: Collection[str],
    sentiments: Collection[str],
    limit: int | None = None,
) -> list[Word]:
    """The newest first, `limit` of them at most.

    What becomes of each goes by what a run would do now: of what is `heard` (`lessons.heard`), what
    it would learn are those that say the same as one of `counting`, and it would set aside those
    that say the same as one of `aside`. `test` are the texts, `normalised`, of the test,
    `sentiments` those that the pack's examples have.
    """
    # Of one person there is one row of a kind for each message.
    acts = {(word.message_id, word.kind, word.by): word.by_outcome for word in heard}
    teaching = {(exact_key(word.text), word.intent, word.sentiment) for word in counting}
    kept_out = {(exact_key(word.text), word.intent, word.sentiment) for word in aside}
    before = aliased(Message)
    query = (
        select(Feedback, Message, before, Operator.name, Customer)
        .join(Message, Message.id == Feedback.message_id)
        .join(Conversation, Conversation.id == Message.conversation_id)
        .join(Customer, Customer.id == Conversation.customer_id)
        .outerjoin(PredictionRow, PredictionRow.message_id == Message.id)
        .outerjoin(before, before.id == PredictionRow.read_with)
        .outerjoin(Operator, Operator.user_id == Feedback.by)
        .where(*_those(desk, which))
        .order_by(Feedback.created_at.desc(), Feedback.id.desc())
        .limit(limit)
    )
    found = []
    names, own = desk.pack.names(), OwnNames(desk.pack)
    with desk.store.reading() as session:
        rows = session.execute(query).all()
    # Masking takes milliseconds a text: by then the transaction would have idled for too long.
    for row, message, first, name, customer in rows:
        whole = whole_text(message.text, first.text if first else None)
        text = mask(whole, desk.pack.phone_regions, own.of(customer))
        intent = names.get(row.intent or "", row.intent)
        act = (row.message_id, row.kind, row.by)
        counts = act in acts
        label = (exact_key(text), intent, row.sentiment)
        if (gives_none := _gives_no_label(row, message)) is not None:
            outcome = gives_none
        elif row.kind is FeedbackKind.MOOD and row.sentiment not in sentiments:
            outcome = Outcome.UNKNOWN_SENTIMENT
        elif row.kind is not FeedbackKind.MOOD and intent not in desk.pack.intents:
            outcome = Outcome.UNKNOWN_INTENT
        elif normalised(text) in test:
            outcome = Outcome.IN_TEST
        elif counts and label in kept_out:
            outcome = Outcome.SET_ASIDE
        elif counts and label in teaching:
            outcome = Outcome.TEACHES
        else:
            outcome = Outcome.OVERRULED
        operator_id = row.by if row.kind in OPERATORS_WORD else None
        # The numbers of those who were erased are negative.
        customer_id = row.by if operator_id is None and row.by > 0 else None
        who = "customer" if operator_id is None else name or str(operator_id)
        said = (row.kind, text, intent, row.sentiment)
        by_outcome = acts.get(act, False)
        found.append(
            Word(row.id, row.created_at, operator_id, customer_id, who, *said, outcome, by_outcome)
        )
    return found


def _gives_no_label(row: Feedback, message: Message) -> Outcome | None:
    """Why a word says nothing, or no more, of what a text is; None if it does."""
    if row.withdrawn_at is not None:
        return Outcome.WITHDRAWN
    if row.kind is FeedbackKind.THUMB_DOWN:
        return Outcome.THUMB_DOWN
    if message.attempt == 0 or not message.text.strip():
        return Outcome.NO_TEXT
    if row.kind is FeedbackKind.THUMB_UP and row.intent is None:
        return Outcome.SEVERAL
    return None


def whose(desk: Desk, who: str) -> Which:
    """The words of the operator whom an id or a name means, else those that the customer of that
    id (on Telegram) chose or gave a thumb. Raises `DeskError` as `the_operator` does."""
    try:
        return Which(the_operator(desk, who))
    except DeskError:
        if not (who.isascii() and who.isdecimal() and len(who) <= LONGEST_ID):
            raise
        of_customer = Which(customer_id=int(who))
        with desk.store.reading() as session:
            if session.scalar(select(Feedback.id).where(*_those(desk, of_customer)).limit(1)):
                return of_customer
        raise


def the_operator(desk: Desk, who: str) -> int:
    """The id of the operator whom an id or a name means; a colleague who is gone has an id alone.

    Raises `DeskError` unless it is just one, who is an operator or has labelled something.
    """
    with desk.store.reading() as session:
        if who.isascii() and who.isdecimal() and len(who) <= LONGEST_ID:
            user_id = int(who)
            labelled = exists().where(Feedback.by == user_id, Feedback.kind.in_(OPERATORS_WORD))
            known = session.get(Operator, user_id) is not None or session.scalar(select(labelled))
            found = [user_id] if known else []
        else:
            # Not by the database: SQLite lowers ASCII alone.
            everybody = session.scalars(select(Operator).order_by(Operator.user_id))
            found = [o.user_id for o in everybody if o.name.casefold() == who.casefold()]
    if not found:
        raise DeskError(
            f"No operator is “{who}”. `frontdesk operators list` has ids and names; who is no "
            "operator any more, and a customer, is named by id, which `frontdesk feedback list` "
            "shows."
        )
    if len(found) > 1:
        ids = ", ".join(map(str, found))
        raise DeskError(f"Several operators are called {who}: name one by id, of {ids}.")
    return found[0]


def ids_of(desk: Desk, which: Which) -> list[int]:
    """The ids of those words that are not withdrawn."""
    query = select(Feedback.id).where(*_those(desk, which), Feedback.withdrawn_at.is_(None))
    with desk.store.reading() as session:
        return list(session.scalars(query))


def withdraw(desk: Desk, ids: Sequence[int]) -> int:
    """Have these words teach no more; returns how many had not been withdrawn before.

    They stay as a record. Raises `DeskError` where one of the ids is none, and changes nothing.
    """
    wanted, changed = sorted(set(ids)), 0
    with desk.store.writing() as session:
        for start in range(0, len(wanted), CHUNK):
            some = wanted[start : start + CHUNK]
            rows = session.scalars(
                select(Feedback)
                .where(Feedback.id.in_(some))
                .order_by(Feedback.id)
                .with_for_update()
            ).all()
            unknown = set(some) - {row.id for row in rows}
            if unknown:
                numbers = ", ".join(map(str, sorted(unknown)[:10]))
                raise DeskError(
                    f"There is no feedback {numbers}, so nothing was withdrawn. See: frontdesk "
                    "feedback list"
                )
            for row in rows:
                if row.withdrawn_at is None:
                    row.withdrawn_at = desk.clock()
                    changed += 1
    return changed


def _those(desk: Desk, which: Which) -> list[ColumnElement[bool]]:
    conditions = []
    if which.operator_id is not None:
        # An operator may be a customer, too, under the same id.
        conditions += [Feedback.by == which.operator_id, Feedback.kind.in_(OPERATORS_WORD)]
    if which.customer_id is not None:
        conditions += [Feedback.by == which.customer_id, Feedback.kind.not_in(OPERATORS_WORD)]
    if which.intent is not None:
        former = [name for name, now in desk.pack.names().items() if now == which.intent]
        conditions.append(Feedback.intent.in_([which.intent, *former]))
    if which.since is not None:
        conditions.append(Feedback.created_at >= which.since)
    if which.before is not None:
        conditions.append(Feedback.created_at < which.before)
    return conditions
