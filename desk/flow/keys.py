"""How the keys of deliveries begin that more than one place knows.

A delivery's key says what it is for and about what; of one key there is one delivery, however often
an update or a batch is done again. So what comes after the beginning is what makes it the same.
"""

from __future__ import annotations

# To customers.

START_KEY = "start:"
"""What the bot says to /start; the update's inbox id follows."""
ANSWER_KEY = "answer:"
"""What the bot says by itself to a message, be it to ask back; its id follows."""
CHOSEN_KEY = "chosen:"
"""The answer to a choice; the id of the message that was asked back follows, and the intent."""
OFFER_KEY = "sorry:"
"""The question whether to call a person, after a thumb down; the id of the message whose answer did
not help follows."""
NOT_CALLED_KEY = "not-called:"
"""What one hears who declines the person that is offered; the id of what they said follows."""
HANDOVER_KEY = "handover:"
"""What one hears when a person is called; the message's id follows."""
ADDED_KEY = "added:"
"""What one hears who adds something while nobody is there; its id follows."""
CAPTION_KEY = "caption:"
"""What one hears once the words beside their file are read; the message's id follows."""
CALLED_OFF_KEY = "called-off:"
"""What one hears who has called it off; the conversation's id follows, and when that was: it may be
opened again, and be over for another reason then."""
NOT_CALLED_OFF_KEY = "not-called-off:"
"""Why a person can't be called off; the id of the text that was to do it follows."""

# What operators write, to customers.

WRITTEN_KEY = "operator:"
"""A copy of an operator's message; the message's id follows."""
CHANGE_KEY = "changed:"
"""A change to such a copy; the message's id follows."""
DELETE_KEY = "deleted:"
"""A copy's deletion; the message's id follows, and the inbox id of the update that wants it."""
SENT_KEY = "sent:"
"""A ready answer that an operator has sent; what it replies to follows, and the intent."""
BY_HAND = f"{SENT_KEY}by_hand:"
"""One by /answer; the command's inbox id follows: of several found one is sent."""

# To operators, about a customer's message, whose id follows.

CARD_KEY, POST_KEY, FILE_KEY, TEXT_KEY = CUSTOMER_KEYS = ("card:", "post:", "file:", "text:")
"""What shows it: a card, a plain post, a copied file, the whole of a long text."""
BARE_KEY = "bare:"
"""What stands in for a card or post that was refused; that one's key follows."""
OLD_KEY = "old:"
"""What showed a message in a chat that is the operators' no longer."""
UNANSWERED_KEY = "unanswered:"
"""What a person who has spoken is reminded of; the id of the first message that has no reply
follows."""

# To operators, about a conversation.

REMIND_KEY = "remind:"
"""Reminders; of one who waits, or of many at once."""
OPENED_KEY = "opened:"
"""Who has waited when the desk opens."""
AGAIN_KEY, CLOSING_KEY = "again:", "closing:"
"""Who waits on though operators were reminded, and who waits when the desk is about to close."""
DIGEST_KEYS = (OPENED_KEY, REMIND_KEY, AGAIN_KEY, CLOSING_KEY)
"""What tells everybody who has waited longest."""
PRIORITY_KEY = "priority:"
"""What everybody is told of a call that can't wait; the conversation's id follows, the intent, and
since when it counts (`desk.flow.priority.announcement`)."""
LEFT_KEY, BACK_KEY = "left:", "back:"
"""That a customer has blocked the bot, and is back. Of one call there is one each, however often
they do so: no flood limit counts that."""
UNHEARD_KEYS = (POST_KEY, FILE_KEY, TEXT_KEY, REMIND_KEY, UNANSWERED_KEY, LEFT_KEY, BACK_KEY)
"""What is not shown of a customer who is banned."""

# To operators, about what they did.

NOTE_KEY = "note:"
"""What the topic says of a ready answer; the answer's own key follows."""
FAILED_KEY, GONE_KEY, TAKEN_BACK_KEY = REPLYING_KEYS = ("failed:", "gone:", "taken-back:")
"""What replies to an operator's message: it could not be sent, its customer is gone, it was taken
back."""
ASKED_KEY = "told:resolve:"
"""What a first /resolve is asked; the question follows, and the update's inbox id. (Of a version
before there is no question in it.)"""
QUOTES_KEY = "told:quotes:"
"""A notice that quotes what somebody wrote; a hash of that follows."""
REPORT_KEY = "report:"
"""An answer to /report. Its text is made when it is sent: counting takes a while, and nobody's
command is to wait for it."""
QUEUE_KEY = "queue:"
"""An answer to /queue. Its text is made when it is sent, and names many customers: no row keeps
it."""

# Of topics.

ERASED_KEY, SILENT_KEY = "erased:", "silent:"
"""The deletion of a topic whose customer somebody has erased, or who was silent for too long; their
id follows."""
