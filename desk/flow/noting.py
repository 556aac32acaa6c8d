"""What is counted and logged of a use case once it has committed; a rollback leaves no trace.

Lines carry ids only. What surrounds them (an update's ids, the model) is in structlog's context.
"""

from __future__ import annotations

from collections import Counter

import prometheus_client
import structlog
from sqlalchemy.orm import Session

from desk import metrics, policy
from desk.domain import Action
from desk.store import after_commit

log = structlog.get_logger(__name__)

Ids = int | str | bool | None | list[int]

_DECIDED = "decided"

RULES = {
    Action.ANSWER: (policy.CONFIDENT, policy.SEVERAL_QUESTIONS),
    Action.CLARIFY: (policy.CLOSE_INTENTS, policy.UNSURE, policy.UNFAMILIAR, policy.OUT_OF_SCOPE),
    Action.ESCALATE: (
        *(policy.ASKED_FOR_PERSON, policy.INTENT_NEEDS_PERSON, policy.NEGATIVE_SENTIMENT),
        *(policy.ATTACHMENT, policy.THUMB_DOWN, policy.SAME_ANSWER_AGAIN, policy.STILL_UNSURE),
        *(policy.UNFAMILIAR, policy.OUT_OF_SCOPE, policy.NOT_CLASSIFIED, policy.OTHER_LANGUAGE),
        *(policy.LATE, policy.UNPROCESSABLE, policy.NOT_DELIVERED, policy.FORWARDED),
        *(policy.MAY_NEED_PERSON, policy.SEVERAL_QUESTIONS),
    ),
    Action.SILENT: (
        *(policy.PERSON_IN_CHARGE, policy.WAITING_FOR_PERSON, policy.FLOOD, policy.CHANGED),
        *(policy.LATE, policy.UNPROCESSABLE, policy.FORWARDED),
    ),
}
for _action, _rules in RULES.items():
    for _rule in _rules:
        # From 0 on, or a chart would not see the first decision by a rule.
        metrics.DECISIONS.labels(_action, _rule)


def counted(
    session: Session, counter: prometheus_client.Counter, *labels: str, number: int = 1
) -> None:
    """Count so many, once the transaction has committed."""
    after_commit(session, lambda: (counter.labels(*labels) if labels else counter).inc(number))


def happened(session: Session, event: str, **ids: Ids) -> None:
    """Log an event, once the transaction has committed."""
    after_commit(session, lambda: log.info(event, **ids))


def decided(session: Session, message_id: int, action: Action, rule: str) -> None:
    """Count and log a decision, once the transaction has committed; one line for all of them."""
    noted: list[tuple[int, Action, str]] | None = session.info.get(_DECIDED)
    if noted is None:
        noted = session.info[_DECIDED] = []
        after_commit(session, lambda: _tell(noted))
    noted.append((message_id, action, rule))


def _tell(decisions: list[tuple[int, Action, str]]) -> None:
    for (action, rule), number in Counter((a, r) for _, a, r in decisions).items():
        metrics.DECISIONS.labels(action, rule).inc(number)
    log.info(
        "messages.decided",
        decisions=[{"message": m, "action": str(a), "rule": r} for m, a, r in decisions],
    )
