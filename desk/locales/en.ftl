# What customers read
help =
    Just write what you need, in your own words. I answer what I am sure of and pass everything else to a colleague. Photos, files and voice messages I can't read, but my colleagues can.

    /human – call a person now
    /start – show the topics again
    /privacy – what becomes of what you write
privacy =
    A bot reads what you write here first, and answers what it is sure of. Colleagues can read all of it, and answer the rest.

    We keep what you write, what is answered, and your name and id on Telegram { $retention }. What you write may also be used to teach the bot; e-mail and web addresses and phone, card and account numbers are taken out first, as far as they are found. Such an example, without your name, may be kept longer.

    Would you like a copy of what we keep of you, or have it erased? Tell a colleague: /human
pack-greeting = Hello { $customer }! I'm a bot. Ask me in your own words. What I can't answer, a colleague does.
retention-days =
    { $days ->
        [one] for a day after you were last in touch
       *[other] for { $days } days after you were last in touch
    }
retention-open = until you ask us to erase it
talk-to-person = Talk to a person
clarify = Did you mean one of these?
clarify-one = Did you mean this?
clarify-which = Which of these do you mean?
rephrase = Sorry, I'm not sure I understood that. Could you say it in other words, or pick a topic?
rephrase-no-menu = Sorry, I'm not sure I understood that. Could you say it in other words?
handover = I'm passing this to a colleague. { $promise }
handover-upset = I'm sorry about this.
handover-file = I can't open this, but a colleague can.
handover-forwarded = I don't read forwarded messages, but a colleague will.
already-waiting = Your message is with my colleagues. { $promise }
already-in-hand = A colleague already has your message. { $promise }
passed-on = Passed on. { $promise }
promise-open = You will get the reply right here, usually within { $span }.
promise-closing = Our team is here until { $until } and back { $when }; you will get the reply right here.
promise-closing-later =
    Our team is here until { $day ->
        [mon] Monday
        [tue] Tuesday
        [wed] Wednesday
        [thu] Thursday
        [fri] Friday
        [sat] Saturday
       *[sun] Sunday
    } at { $until } and back { $when }; you will get the reply right here.
promise-closed = Our team is back { $when }, and you will get the reply right here.
promise-closed-unknown = Our team is away right now; you will get the reply right here.
promise-late = Sorry, this is taking longer than it should. You are not forgotten: you will get the reply right here.
promise-taken = You will get the reply right here.
added = Added to your message. Our team is back { $when }.
still-coming = A colleague will reply right here. If that is no longer needed, tap below.
handover-nobody = Your message is kept, but nobody can be reached right now. As soon as somebody can, you will get the reply right here.
call-off = No reply needed any more
called-off = All right, we'll leave it at that. Write to me at any time.
call-off-taken = A colleague has your message in hand by now. Just tell them right here.
call-off-over = That request is over already. You can write to me at any time.
call-off-urgent = What you wrote matters to us: a colleague will look at it all the same.
call-off-again = You called somebody off a few minutes ago, so this time a colleague will look at it. Or press again a little later.
late = Sorry, this took longer than it should.
disturbance = We have your message, but something on our side is not working right now. Our team knows, and you will get your reply right here.
disturbance-press = I saw what you pressed, but something on our side is not working right now. Our team knows. If nothing has come of it in a few minutes, please press once more.
flood = You are writing faster than I can read. Please wait a minute and then put your question into one message. To get a person now: /human
thumb-thanks = Thank you!
thumb-sorry = Sorry about that. Shall I call a colleague?
not-called = All right. Write to me at any time.
button-expired = That button is no longer valid. Just write to me.

# What customers type instead of pressing, after “Did you mean this?”; case and punctuation don't matter
reply-yes =
    yes, yes yes, yeah, yea, yeh, yep, yup, yess, yas, ya, ye, y, yes please, yes pls, please, pls, yeah please, yes thanks, yes thank you,
    ok, okay, k, okey, sure, yes sure, of course, correct, yes correct, thats correct, that's correct, exactly, yes exactly,
    right, thats right, that's right, yes that's right, thats it, that's it, yes that's it, yes thats it, thats the one,
    that's the one, yes that one, that one, yes this one, this one, this, yes this, it is, yes it is, yes i did, i did,
    yes i do, i do, yes that, aye, absolutely, definitely, indeed, true
reply-no =
    no, no no, nope, nah, naw, noo, n, no sorry, sorry no, not this, not that, not this one, not that one, no not this, no not that,
    not really, not exactly, not quite, not it, no not it, not what i mean, not what i meant, thats not it, that's not it,
    no that's not it, no thats not it, no it's not, no its not, no it isn't, no it isnt, it isn't, it isnt, no i didn't,
    no i didnt, i didn't, i didnt, none, none of these, none of those, none of them, no none of these, neither, no neither,
    neither of these, neither of them, wrong, incorrect, something else, no something else
# Which of several, by its place; “one” alone says nothing
reply-place-1 =
    1, 1st, first, first one, 1st one,
    option 1, option one, number 1, number one, choice 1, choice one, button 1, button one,
    first option, first choice, first button, 1st option, 1st choice, 1st button
reply-place-2 =
    2, 2nd, second, two, second one, 2nd one,
    option 2, option two, number 2, number two, choice 2, choice two, button 2, button two,
    second option, second choice, second button, 2nd option, 2nd choice, 2nd button
reply-place-3 =
    3, 3rd, third, three, third one, 3rd one,
    option 3, option three, number 3, number three, choice 3, choice three, button 3, button three,
    third option, third choice, third button, 3rd option, 3rd choice, 3rd button
reply-place-4 =
    4, 4th, fourth, four, fourth one, 4th one,
    option 4, option four, number 4, number four, choice 4, choice four, button 4, button four,
    fourth option, fourth choice, fourth button, 4th option, 4th choice, 4th button
reply-place-5 =
    5, 5th, fifth, five, fifth one, 5th one,
    option 5, option five, number 5, number five, choice 5, choice five, button 5, button five,
    fifth option, fifth choice, fifth button, 5th option, 5th choice, 5th button
reply-both = both, both of them, both of these, both of those
# What may stand around these and around words of a title, and does not say which
reply-frame =
    the, a, an, yes, yeah, yep, ok, okay, please, pls, plz, thanks, thank you, i mean, i meant, mean, meant, i choose, i pick, choose, pick,
    it's, its, it is, that's, thats, that is
# What may stand around these as well, but not around words of a title (“I want to order”): what begins so is a sentence of its own
reply-want = i, id, i'd, ill, i'll, want, would, like, need, take, have, to
# And so they say how many, not which
reply-count = 1, 2, 3, 4, 5, two, three, four, five
# Words that alone say nothing of what a title is about
reply-empty =
    what, what's, why, how, when, where, where's, which, who, whose, can, can't, cannot, could, should, will, do, don't, does, doesn't, did, didn't, am, are, is,
    it, it's, be, was, has, had, got, get, me, my, mine, you, your, we, us, our, they, he, she, this, that, these, those, there, here, and, or, but, if,
    not, no, so, of, on, in, at, by, for, from, with, about, up, out, another, other, any, some, someone, somebody, something, one, still, again, just, now,
    go, goes, going, gone, went, come, make, work, works, send, talk, talking, back, way, ways, time, times

# And what they type after “Shall I call a colleague?”
offer-yes =
    yes, yes yes, yeah, yea, yeh, yep, yup, yess, yas, ya, ye, y, yes please, yes pls, please, pls, yeah please, yes thanks, yes thank you,
    ok, okay, k, okey, ok please, okay please, ok then, okay then, ok thanks, okay thanks, ok thank you, sure, yes sure, sure thing, sure thanks,
    of course, yes of course, absolutely, definitely, indeed, aye, alright, all right, alright then, all right then, why not,
    do, yes do, please do, yes please do, do it, yes do it, do that, yes do that, please do that, go on, yes go on, go on then, yeah go on,
    yeah go on then, ok go on, go ahead, yes go ahead, please go ahead, ok go ahead, go for it, i do, yes i do, i would, yes i would,
    you should, yes you should, i'd like that, id like that, i would like that, yes i'd like that, that would be great, that would be good,
    that would be nice, yes that would be great, that'd be great, call, yes call, please call, call one, yes call one, please call one,
    call them, yes call them, call a colleague, yes call a colleague, please call a colleague, yes please call a colleague
offer-no =
    no, no no, nope, nah, naw, noo, n, no sorry, sorry no, no thanks, no thank you, no thx, nope thanks, nah thanks,
    thanks but no, thanks but no thanks, no but thanks, not now, no not now, not now thanks, not yet, no not yet, not today, later, maybe later,
    not really, not needed, no not needed, not necessary, no not necessary, no need, no need thanks, no no need, don't, dont, no don't,
    no dont, please don't, please dont, no please don't, don't bother, dont bother, no don't bother, no dont bother, never mind, nevermind,
    nvm, no never mind, no nevermind, leave it, no leave it, it's fine, its fine, no it's fine, no its fine, no that's fine, no thats fine,
    it's ok, its ok, it's okay, its okay, no it's ok, no its ok, no it's okay, no its okay, no that's ok, no thats ok, no that's okay,
    all good, no all good, i'm good, im good, no i'm good, no im good, i'm fine, im fine, no i'm fine, no im fine, i'm ok, im ok

# How long, and when
when-today = today at { $time }
when-tomorrow = tomorrow at { $time }
when-weekday =
    on { $day ->
        [mon] Monday
        [tue] Tuesday
        [wed] Wednesday
        [thu] Thursday
        [fri] Friday
        [sat] Saturday
       *[sun] Sunday
    } at { $time }
when-date =
    on { $day } { $month ->
        [1] January
        [2] February
        [3] March
        [4] April
        [5] May
        [6] June
        [7] July
        [8] August
        [9] September
        [10] October
        [11] November
       *[12] December
    } at { $time }
when-beijing = { $when } Beijing time
span-minutes =
    { $number ->
        [one] a minute
       *[other] { $number } minutes
    }
span-hours =
    { $number ->
        [one] an hour
       *[other] { $number } hours
    }
span-days =
    { $number ->
        [one] a day
       *[other] { $number } days
    }

# What operators read
card-title = Needs a person
card-intent = Intent
card-sentiment = Sentiment
card-sent = the customer sent { $what }
card-kind =
    { $kind ->
        [animation] a video
        [audio] an audio file
        [checklist] a checklist
        [contact] a contact
        [document] a file
        [live_photo] a photo
        [location] a location
        [photo] a photo
        [poll] a poll
        [story] a story
        [venue] a place
        [video] a video
        [video_note] a video message
        [voice] a voice message
       *[other] { "" }
    }
card-rule = Why
card-model = Model
card-no-prediction = not classified
card-history = Before that
card-earlier =
    … { $count ->
        [one] 1 earlier message
       *[other] { $count } earlier messages
    }
card-earlier-at-least =
    … { $count ->
        [one] 1 earlier message or more
       *[other] { $count } earlier messages or more
    }
card-answered = The bot has answered: “{ $title }”
card-read-with = Read together with: “{ $words }”
card-forwarded = forwarded from { $name }
card-link = behind the words: { $address }
card-closed = outside working hours
card-bot = the bot answers again
card-waiting = waiting for a person
card-taken = taken by { $operator }
card-released = given back; nobody has it
card-resolved = resolved by { $operator }
card-called-off = called off by the customer
card-quiet =
    closed after { $hours ->
        [one] a quiet hour
       *[other] { $hours } quiet hours
    }
waiting-reminder = ⏰ { $customer } has been waiting for a person for { $span }.
waiting-reminder-taken = ⏰ { $customer } has been waiting for a person for { $span }. { $operator } has taken the conversation and not answered yet.
unanswered-reminder = ⏰ { $customer } wrote { $span } ago and has no reply. { $operator } has the conversation.
unanswered-reminder-nobodys = ⏰ { $customer } wrote { $span } ago and has no reply. Nobody has the conversation.
waiting-digest =
    ⏰ { $count ->
        [one] A customer is waiting for a person: { $customer }, for { $span }.
       *[other] { $count } customers are waiting for a person. { $customer } has waited longest: { $span }.
    }
waiting-digest-unanswered =
    ⏰ { $called ->
        [0] { $unanswered ->
            [one] A customer is waiting for a colleague's next word: { $customer }, for { $span }.
           *[other] { $unanswered } customers are waiting for a colleague's next word. { $customer } has waited longest: { $span }.
        }
       *[other] { $count } customers are waiting: { $called } for a person, { $unanswered } for a colleague's next word. { $customer } has waited longest: { $span }.
    }
waiting-digest-priority =
    🚨 { $count ->
        [one] { $customer } is waiting with what can't wait: “{ $title }”, for { $span }.
       *[other] { $count } customers are waiting, { $urgent } of them with what can't wait. First of these: { $customer }, “{ $title }”, for { $span }. The others: /queue
    }
digest-closing = The desk closes at { $time }.
priority-call = { $customer }: { $title }
digest-erased = This was about customers who waited. The one who was named here is erased.
queue-waiting =
    { $count ->
        [0] Nobody is waiting for a person.
        [one] One customer is waiting for a person:
       *[other] { $count } customers are waiting for a person:
    }
queue-unanswered =
    { $count ->
        [0] { $taken ->
            [one] The one conversation that a colleague has is answered:
           *[other] All { $taken } conversations that colleagues have are answered:
        }
       *[other] { $taken ->
            [one] In the one conversation that a colleague has, the customer wrote last:
           *[other] In { $count } of { $taken } conversations that colleagues have, the customer wrote last:
        }
    }
queue-answered =
    { $count ->
        [one] The other one is answered:
       *[other] The other { $count } are answered:
    }
made-too-slow = Counting this takes too long just now, and calls for help are not to wait for it. Try again later. (The figures of /report are in “frontdesk report”, too.)
report-title =
    Last { $days } days: { $messages ->
        [0] no messages.
        [one] one message.
       *[other] { $messages } messages of { $customers ->
            [one] one customer.
           *[other] { $customers } customers.
        }
    }
report-answered = Answered at once
report-small-talk = small talk: { $count }
report-asked-back = Asked back
report-to-person = To a person
report-silent = Left to people
report-labelled =
    { $count ->
        [one] People checked one message: the model was { $right ->
            [0] wrong.
           *[other] right.
        }
       *[other] People checked { $count } messages, mostly such as the model was unsure of: it was right in { $right }.
    }
report-topics = Most often about:
queue-more = … and { $count } more
card-banned = banned by { $operator }
card-opened = Opened again
new-message = { $customer } wrote
changed-message = { $customer } changed a message
sent-answer = { $operator } sent the answer “{ $title }”
relabelled = { $operator } labelled the message “{ $title }”
mood-labelled = { $operator } labelled the mood “{ $title }”
button-send = Answer: { $title }
button-relabel = Relabel…
button-take = Take
button-resolve = Resolve
button-resolve-unanswered = Resolve without a reply
button-back = « Back
button-more = More »
button-why = Why?
button-less = « Less
why-confidence = Confidence { $confidence }; an automatic answer takes { $needed }.
why-familiar = Like what the bot has learned: { $scope }; it takes { $needed }.
why-unfamiliar = Unlike what the bot has learned: only { $scope } alike; it takes { $needed }.
why-language = Language: { $code }, which the bot has not learned.
why-neighbours = The nearest examples:
operators-only = Only operators can do that. Nothing you write or press is sent or done, here or in other topics. An admin can add you: frontdesk operators add { $user }
anonymous-admin = You write anonymously: nothing of it is sent or done, here or in other topics. To act as an operator, write as yourself: switch that off for yourself in the group's administrators, or choose yourself instead of a channel.
admins-only = Only admins can do that.
closed-by-nobody = The topic is closed, but not the conversation: whoever closed it is no operator, or did it anonymously. An operator's /resolve closes it.
closed-written-since = They have written since: the conversation goes on, and the topic is open again. To close it all the same, close it once more, or write /resolve.
topic-only = This command is about a customer: write it in the customer's topic. /help lists what works here.
take-alone = /take gives this conversation to you, and to nobody else: with words behind it nothing was done. A colleague takes it by their own /take.
release-alone = /release gives the conversation back, and to nobody in particular: with words behind it nothing was done. Write it alone.
resolve-alone = /resolve closes the conversation and sends nothing: with words behind it nothing was done. Write to the customer first, then /resolve alone.
queue-alone = /queue lists all who wait: write it alone, without words behind it.
reached-nobody = This reached nobody: answer in the customer's topic.
nothing-here = This topic belongs to no customer.
already-taken = { $operator } has already taken this.
taken-from = { $operator } took over from { $previous }.
resolve-unanswered = Nobody has replied to them yet. Press again to close.
resolve-unanswered-command = Nobody has replied to them yet, though they were promised a reply. To close it all the same, write /resolve again.
resolve-written-since = They have written since. Press again to close all the same.
resolve-written-since-command = They have written since. To close it all the same, write /resolve again.
resolved-by-command = ✅ Resolved by { $operator }
taken-by-command = 🙋 { $operator } has them
released = ↩️ { $operator } has given them back: they wait for any colleague.
released-answered = ↩️ { $operator } has given them back. They are answered, and nobody has them now.
released-left = ↩️ { $operator } is no operator any more: they wait for any colleague.
released-all =
    ↩️ { $count ->
        [0] { $operator } has no conversation to give back.
        [one] { $operator } has given back one conversation, in which { $waiting ->
            [0] nobody waits.
           *[other] the customer waits for any colleague: /queue
        }
       *[other] { $operator } has given back { $count } conversations; { $waiting ->
            [0] in none of them anybody waits.
            [one] in one of them the customer waits for any colleague: /queue
           *[other] in { $waiting } of them the customer waits for any colleague: /queue
        }
    }
released-all-left =
    ↩️ { $operator } is no operator any more; { $count ->
        [one] the one conversation that they had is given back, in which { $waiting ->
            [0] nobody waits.
           *[other] the customer waits for any colleague: /queue
        }
       *[other] the { $count } conversations that they had are given back; { $waiting ->
            [0] in none of them anybody waits.
            [one] in one of them the customer waits for any colleague: /queue
           *[other] in { $waiting } of them the customer waits for any colleague: /queue
        }
    }
release-theirs = { $operator } has this conversation; nothing was done.
release-nobodys = Nobody has this conversation: there is nothing to give back.
already-resolved = This conversation is already resolved.
already-sent = This answer has already been sent.
answer-which = Several answers match; press the one to send.
answer-more = … and { $count } more: other words after /answer find them.
answer-none = No answer has these words in its name or title.
answer-several = { $count } answers match. Write more of the title after /answer:
answer-titles = There are { $count } ready answers; write words of one after /answer:
button-void = That button is no longer valid.
customer-left = The customer has blocked the bot while waiting for a person. No answer reaches them until they unblock it.
customer-back = The customer has unblocked the bot: answers reach them again.
customer-banned = This customer is banned: nothing they send is shown or answered, and nothing is sent to them. /unban takes that back.
customer-unbanned = This customer is not banned: what they write is answered.
customer-gone = The customer has blocked the bot; nothing was sent.
noted = 📝 A note for colleagues: not sent to the customer.
kept-reply = 📝 Kept here, because it replies to a colleague's words or to something that the customer does not see. To send it, write it without Reply.
kept-addressed = 📝 Kept here, because it begins with a colleague's name. To send it to the customer, begin with another word.
kept-named = 📝 Kept here, because a colleague is named in it. To send it to the customer, write it without that name.
kept-like-note = 📝 Kept here, because it begins like a note for colleagues, or a line in it does. To send it to the customer, write it without that word or sign.
kept-forwarded = 📝 Kept here, because it is forwarded from this bot: it may be about another customer. To send its words, write them yourself.
caption-command = This was not sent and nothing was done: its caption or title begins with a slash. Send it without that, and a command by itself.
file-lost = The customer sent a file that could not be passed on: { $error }. Ask them to send it again.
not-delivered = A message to the customer could not be delivered: { $error }
change-not-delivered = A change to a message could not be delivered, so the customer still has it as it was: { $error }
taken-back = Taken back: the customer no longer has this message.
taken-back-unsent = This message had not left yet, so it was not sent at all.
taken-back-on-its-way = This message is on its way to the customer. If it arrives, it is deleted there, and you are told.
taken-back-perhaps = This message is not sent again. If it has already arrived, the customer still has it.
not-taken-back = This message could not be taken back, so the customer still has it. (Telegram deletes what is younger than 48 hours.) Error: { $error }
take-back-what = Write /delete as a reply to what you or a colleague wrote to the customer in this topic, or to what stands here of a ready answer that was sent.
change-of-nothing-sent = The customer has not got this message, so the change was not sent either. To say it to them, write it anew.
change-of-file = The new file was not sent: the customer still has the message as it was. Send it anew.
change-of-kind = Only a change of a text or a caption can be passed on: the customer still has this message as it was. To say something else, send it anew.
change-of-kind-perhaps = Only a change of a text or a caption can be passed on, and this message is just on its way: the customer gets it as it was or as it is now. To be sure, send it anew.
command-by-edit = A command is not carried out by an edit. If it is still to be done, write it anew.
disturbance-operators = ⚠️ The database does not answer. What customers write is kept by Telegram and handled once it is back; whoever writes is told once. See: frontdesk doctor
demoted = I am no longer an administrator of this group, and may not see what you write: it does not reach customers then. Make me an administrator again, with the right “Manage topics”, and write anew what was written meanwhile.
id-without-topics = Switch on Topics in the settings of this group first, then write /id again: its id changes with that.
update-parked = Update { $inbox } could not be handled and was set aside. See: frontdesk doctor
retrain-queued = Training run { $run } is queued.
retrain-busy = Training run { $run } is already under way.
retrain-promoted = Training run { $run }: the new model { $version } is no worse on the test ({ $new } against { $old }; a small loss counts as chance) and has taken over.
retrain-first = Training run { $run }: the model { $version } is now in use ({ $new } on the test).
retrain-rejected = Training run { $run }: the new model's accuracy is worse ({ $new } against { $old }); the current model stays.
retrain-rejected-best = Training run { $run }: the new model's accuracy ({ $new }) is too far below the best model so far ({ $old }); the current model stays.
retrain-rejected-person = Training run { $run }: the new model is worse at messages that always need a person; the current model stays (accuracy on the test { $new } against { $old }).
retrain-rejected-wrong = Training run { $run }: the new model would answer more texts wrongly ({ $new } of the test against { $old }); the current model stays.
retrain-rejected-coverage = Training run { $run }: the new model would answer much less by itself; the current model stays (accuracy { $new } against { $old }).
retrain-rejected-best-coverage = Training run { $run }: the new model would answer much less by itself ({ $new } of the test) than an earlier model did ({ $old }); the current model stays.
retrain-rejected-gold = Training run { $run }: the new model is worse on the labels set aside; the current model stays (accuracy on the test { $new } against { $old }).
retrain-rejected-sentiment = Training run { $run }: the new model is worse at sentiments (macro-F1 { $new } against { $old }); the current model stays.
retrain-by-hand = Training run { $run }: the new model { $version } is no worse ({ $new } against { $old }), and waits for somebody to promote it. What would change: frontdesk compare champion { $version }. If it may serve: frontdesk models promote { $version }.
retrain-held = Training run { $run }: the new model { $version } is no worse ({ $new } against { $old }), but it waits: the last act by hand was a rollback, so somebody must look first. If it may serve: frontdesk models promote { $version }. Then runs promote by themselves again.
retrain-failed = Training run { $run } failed: { $error }
retrain-coverage = Answered automatically: new model { $new }, model so far { $old }.
retrain-fell = Topics that fell most: { $intents }.
retrain-fell-intent = { $title } ({ $new } of { $rows } right, before { $old })
retrain-gold = Of { $rows } labels set aside (of texts that were hard for the model that served), right: new model { $new }, model so far { $old }.
operator-help =
    Write in a customer's topic to answer. All that you write there is sent to the customer, except commands, notes, replies to notes and to colleagues' words, and what names a colleague; the bot stays silent there until you press Resolve, or the customer comes back after a long silence.

    On a card, “Answer: …” sends that answer at once and teaches it; “Relabel…” only teaches which topic the message is about, or in which mood it is written.

    // or /note, then text – a note for colleagues, which is not sent
    /take – take the conversation of this topic
    /release – give it back: any colleague may take it; in General, all that you have
    /resolve – close it; the bot answers again
    /answer, then words of its title – send a ready answer; alone it lists them
    /delete, as a reply to what you or a colleague wrote – take it back; so does an edit that makes a note of it
    /ban, /unban – hear nothing more from this customer, or hear them again (admins)
    /queue – who waits, and for how long
    /report – what became of the last seven days' messages
    /retrain – train on the feedback (admins)
    /id – this group's ID
    /help – this text

# Why a message came to a person
rule-confident = the bot was sure
rule-several_questions = the customer asked about several topics at once
rule-close_intents = two topics were equally likely
rule-unsure = the bot was not sure
rule-still_unsure = the bot asked back and is still not sure
rule-out_of_scope = outside what the bot knows
rule-unfamiliar = unlike anything the bot has learned
rule-other_language = in a language that the bot has not learned
rule-intent_needs_person = this topic always goes to a person
rule-may_need_person = perhaps a topic that always goes to a person
rule-negative_sentiment = the customer is upset
rule-same_answer_again = the same answer did not help
rule-asked_for_person = the customer asked for a person
rule-attachment = the customer sent a file, or something else that the bot can't read
rule-forwarded = the customer forwarded it
rule-thumb_down = the answer did not help
rule-late = the classifier did not answer in time
rule-flood = the customer wrote too many messages at once
rule-changed = the customer edited what they had written before
rule-unprocessable = the classifier fails at this message
rule-not_delivered = the bot's message could not be delivered
rule-not_classified = no intent model is loaded
rule-person_in_charge = a person is in charge
rule-waiting_for_person = waiting for a person
sentiment-negative = negative
sentiment-neutral = neutral
sentiment-positive = positive
command-start = Show the topics
command-help = What can I do here?
command-human = Talk to a person
command-privacy = What becomes of what you write
command-unknown = { $command } is no command of this bot; nothing was done and nothing was sent. /help lists them.
command-take = Take the conversation of this topic
command-release = Give it back to all; in General, all that you have
command-resolve = Resolve it: the bot answers again
command-answer = Send a ready answer, by words of its title
command-note = A note for colleagues, not sent
command-delete = Take back the message that you reply to
command-queue = Who waits, and for how long
command-report = What became of the last seven days' messages
command-retrain = Train on the feedback (admins)
command-id = Show this group's ID
command-ban = Ban this customer (admins)
command-unban = Take a ban back (admins)
