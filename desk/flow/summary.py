"""/report: the report of the last days in a few lines, for the operators' group.

It has numbers alone; what customers wrote, and where the model was wrong, `frontdesk report` says.
"""

from __future__ import annotations

from datetime import timedelta

from desk.domain import Action
from desk.flow.desk import Desk
from desk.flow.reporting import Report, report
from desk.flow.wording import intent_title
from desk.inert import inert
from desk.texts import say

DAYS = 7
TOPICS = 5
_LINES = {
    Action.ANSWER: ("🤖", "report-answered"),
    Action.CLARIFY: ("❓", "report-asked-back"),
    Action.ESCALATE: ("🧑\u200d💼", "report-to-person"),
}


def summary(desk: Desk) -> str:
    """What became of customers' messages in the last seven days, as Telegram HTML."""
    found = report(desk, desk.clock() - timedelta(days=DAYS))
    language = desk.language
    lines = [
        "📊 "
        + say(
            "report-title",
            language,
            days=DAYS,
            customers=found.customers,
            messages=sum(found.decisions.values()),
        )
    ]
    if found.asked:
        for action, (sign, key) in _LINES.items():
            number = found.decisions[action]
            talk = ""
            if action is Action.ANSWER and found.small_talk:
                talk = "; " + say("report-small-talk", language, count=found.small_talk)
            share = f"{number / found.asked:.0%}"
            lines.append(f"{sign} {say(key, language)}: {number:,} ({share}{talk})")
    if silent := found.decisions[Action.SILENT]:
        lines.append(f"🔇 {say('report-silent', language)}: {silent:,}")
    if found.thumbs_up or found.thumbs_down:
        lines.append(f"👍 {found.thumbs_up:,} · 👎 {found.thumbs_down:,}")
    if found.labelled:
        right = found.labelled - len(found.wrong)
        lines.append("🏷 " + say("report-labelled", language, count=found.labelled, right=right))
    return "\n".join([*lines, *_topics(desk, found)])


def _topics(desk: Desk, found: Report) -> list[str]:
    """What customers wrote about most, by the model's word."""
    if not found.intents:
        return []
    most = [
        f"• {inert(intent_title(desk, each.intent, desk.language))} – {each.predicted:,}"
        for each in found.intents[:TOPICS]
    ]
    return ["", say("report-topics", desk.language), *most]
