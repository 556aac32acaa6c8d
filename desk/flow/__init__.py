"""The use cases, one transaction each, in the order in which a message meets them:

`intake` stores updates, `customers` and `operators` handle what they say, `forwarding` what
customers pass on of others, `edits` what they change afterwards, `taking_back` what operators wish
unsaid, `releasing` whom they give back to their colleagues, `buttons` what they press, `choosing`
what they choose by it or by a word to the `open_question`, `deciding` turns predictions into
decisions, `answering` says what the bot says by itself, `dispatching` hands deliveries to the
sender, `delivering` takes in what became of them, `recovering` what a dead sender left, `watching`
finds what got stuck, `reminding` tells operators of who waits for them, `feedback` keeps what
people's acts say, `lessons` turns it into examples, `runs` keeps the training runs and their
verdicts.

What is asked for: an `overview` of who waits, a `summary` of the last days for operators and the
`reporting` of them for the team, the `teaching` that people did, a customer's `dossier`, and
`erasing` them with the `mentions` of them in colleagues' words, after long `silence` without being
asked, and `emptying` what was said long ago to who is still there; `masked_lessons` stay of both.

Beside that way: `leases` say which process does it, `roster` who is an operator, `topics` where a
customer's forum topic is, `albums` which pictures are one message, `bans` who meets silence,
`announcing` calls the operators of a new chat, `backlog` counts what waits, `clocks` compare this
host's with the database's, `restoring` is what a backup put back needs.

What they share: `desk`; `conversations`, which end when they are `quiet`, and their `handoff` from
the bot to people, `promising` when one will be there and, by `advising`, what to do until then,
unless the customer ends it by `calling_off`, and `settling` what is unread where they end; the
`passing_on` of what the bot leaves to them or holds back, and the `captions` of files that it
leaves to them; who is `awaiting` a person's word, what has `priority`, what `resolving` asks before
that is closed, and who is `leaving` meanwhile; `cards` before the operators, with their
`card_history` and `card_keyboards`, what stands `besides` a customer's words, what was `answered`
before, what is `following` them, and `refreshing` them; what is `kept_back` of operators' words,
which are for `colleagues`, what they answer by `replying`, what `keeping` leaves of their updates,
the `telling` of what can't be done, and the `ready_answers` that they send; `composing` deliveries,
how their `keys` begin, and a `batch` of them; the pack's `wording` for a customer, the `names` of
people, the `button_actions`; `noting` what is counted and logged.

Every use case that handles an update marks its inbox row in the same transaction, so that a crash
between the two can't repeat or lose it.
"""
