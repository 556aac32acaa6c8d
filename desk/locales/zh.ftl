# 给客户看的文字
help =
    请直接用自己的话写下您的需求。有把握的我马上回答，其余的我会转给同事。照片、文件和语音消息我看不了，但同事可以。

    /human – 马上联系人工客服
    /start – 再次显示常见问题
    /privacy – 您写的内容会如何处理
privacy =
    您在这里写的内容由机器人先阅读，有把握的由它回答。同事可以看到全部内容，并回答其余问题。

    我们会保存您写的内容、我们的答复，以及您在 Telegram 上的名字和 ID，{ $retention }。您写的内容也可能用来训练机器人；能识别出的邮箱、网址、电话、银行卡和账户号码会先去掉。这类不含您名字的例句可能保存得更久。

    想要一份我们保存的资料，或希望删除它？请告诉同事：/human
pack-greeting = { $customer }，您好！我是机器人。请直接用自己的话提问，我答不了的会转给同事。
retention-days = 保存到您最后一次联系我们之后 { $days } 天
retention-open = 一直到您要求我们删除为止
talk-to-person = 联系人工客服
clarify = 您想问的是下面哪一个？
clarify-one = 您想问的是这个吗？
clarify-which = 您指的是其中哪一个？
rephrase = 抱歉，我没有完全理解。您可以换个说法，或者选择一个主题吗？
rephrase-no-menu = 抱歉，我没有完全理解。您可以换个说法吗？
handover = 我已把您的问题转给同事。{ $promise }
handover-upset = 很抱歉给您带来困扰。
handover-file = 我无法打开这条内容，但同事可以。
handover-forwarded = 我不会解读转发的消息，但同事会看。
already-waiting = 您的消息已转给同事。{ $promise }
already-in-hand = 同事已经收到您的消息。{ $promise }
passed-on = 已转达。{ $promise }
promise-open = 通常会在 { $span }内在这里回复您。
promise-closing = 团队在线至 { $until }，之后将于{ $when } 上班；会在这里回复您。
promise-closing-later =
    团队在线至{ $day ->
        [mon] 周一
        [tue] 周二
        [wed] 周三
        [thu] 周四
        [fri] 周五
        [sat] 周六
       *[sun] 周日
    } { $until }，之后将于{ $when } 上班；会在这里回复您。
promise-closed = 我们的团队将于{ $when } 上班，届时会在这里回复您。
promise-closed-unknown = 团队目前不在线，之后会在这里回复您。
promise-late = 抱歉，让您久等了。我们没有忘记您，会在这里回复您。
promise-taken = 会在这里回复您。
added = 已补充到您的消息中。我们的团队将于{ $when } 上班。
still-coming = 同事会在这里回复您。如果不再需要，请点下面的按钮。
handover-nobody = 您的消息已保存，但目前联系不到任何同事。一旦有人在线，会在这里回复您。
call-off = 不用再回复了
called-off = 好的，那就先这样。您可以随时给我留言。
call-off-taken = 同事已经在处理您的消息，请直接在这里告诉他们。
call-off-over = 那次请求已经结束，您可以随时给我留言。
call-off-urgent = 您说的事情对我们很重要，同事仍会查看。
call-off-again = 您几分钟前刚取消过一次，这次同事会查看。您也可以稍后再按。
late = 抱歉，处理时间比预期的长。
disturbance = 我们已收到您的消息，但系统暂时出现故障。团队已经知道，会在这里回复您。
disturbance-press = 我看到您按了按钮，但系统暂时出现故障。团队已经知道。如果几分钟后还没有反应，请再按一次。
flood = 您发消息的速度太快，我来不及阅读。请稍等一分钟，再用一条消息写下您的问题。如需马上联系人工客服：/human
thumb-thanks = 谢谢您的反馈！
thumb-sorry = 很抱歉没有帮到您。需要我叫同事来吗？
not-called = 好的。您可以随时给我发消息。
button-expired = 这个按钮已失效，请直接写给我。

# 机器人问“您想问的是这个吗？”之后，客户打字代替按按钮时用的词；大小写和标点不计
reply-yes =
    是, 是的, 是啊, 是呀, 是这个, 是這個, 这个, 這個, 就是, 就是这个, 就是這個, 就是它, 对, 对的, 对啊, 对呀, 对对, 没错, 正是, 正确, 嗯, 嗯嗯, 嗯好, 恩, 好, 好的, 好吧,
    可以, 行, 可以的, 当然, 要, 需要, 确定, 確定, 對, 對的, 沒錯, ok, okay, yes
reply-no =
    不, 不是, 不是的, 不是这个, 不是這個, 不是这些, 不对, 不對, 不是吧, 否, 错, 错了, 都不是, 都不是的, 以上都不是, 都不对, 都不對, 都没有, 都沒有, 没有一个, 沒有一個, 不要这个, 其他, 其它, 别的, no
# 按次序指明是哪一个
reply-place-1 = 1, 一, 第一, 第1, 第一个, 第一個, 第1个, 选一, 选1, 选第一个, 選第一個, 选项一, 选项1
reply-place-2 = 2, 二, 第二, 第2, 第二个, 第二個, 第2个, 选二, 选2, 选第二个, 選第二個, 选项二, 选项2
reply-place-3 = 3, 三, 第三, 第3, 第三个, 第三個, 第3个, 选三, 选3, 选第三个, 選第三個, 选项三, 选项3
reply-place-4 = 4, 四, 第四, 第4, 第四个, 第四個, 第4个, 选四, 选4, 选第四个, 選第四個, 选项四, 选项4
reply-place-5 = 5, 五, 第五, 第5, 第五个, 第五個, 第5个, 选五, 选5, 选第五个, 選第五個, 选项五, 选项5
reply-both = 两个都是, 兩個都是, 都是, 两个, 兩個, 两个都要, 兩個都要, 都要
# 前后可以带上、但不说明是哪一个的词
reply-frame = 是, 是的, 对, 嗯, 好, 好的, 请, 選項, 选项
# 前后也可以带上、但标题的词前后不行的词（这样开头的是另一句话）
reply-want = 我, 我要, 我想, 我想要, 我需要, 要, 想要, 需要
# 带上这些词时，说的是几个，而不是哪一个
reply-count = 1, 2, 3, 4, 5, 一, 二, 三, 四, 五
# 单独说不明标题内容的词
reply-empty =
    什么, 什麼, 怎么, 怎麼, 怎么样, 怎麼樣, 为什么, 為什麼, 哪里, 哪裡, 哪儿, 哪个, 哪個, 哪些, 谁, 誰, 什么时候, 什麼時候, 多少, 吗, 嗎, 呢, 能, 能不能, 可以, 我的, 你, 您, 和, 或, 或者,
    不, 不能, 没有, 沒有, 有, 还, 還, 还有, 還有, 别的, 別的, 另一个, 另一個, 这个, 這個, 那个, 那個

# 机器人问“需要我叫同事来吗？”之后，客户打字用的词
offer-yes =
    是, 是的, 是啊, 是呀, 对, 对的, 对啊, 對, 對的, 嗯, 嗯嗯, 恩, 好, 好的, 好吧, 好啊, 好呀, 可以, 可以的, 行, 行吧, 当然, 當然, 要, 要的, 需要, 需要的, 我需要,
    请, 請, 麻烦了, 麻烦您了, 麻烦你了, 麻煩了, 麻煩您了, 叫, 叫吧, 请叫, 請叫, 叫一下, 帮我叫, 叫同事, 叫同事来, 请叫同事来, ok, okay,
    好的谢谢, 好的 谢谢, 好的謝謝, 好的 謝謝, 好 谢谢, 需要谢谢, 需要 谢谢, 可以谢谢, 可以 谢谢, 是的谢谢, 是的 谢谢
offer-no =
    不, 不用, 不用了, 不用的, 不要, 不要了, 不需要, 不需要了, 不必, 不必了, 不了, 不是, 否, 先不用, 先不用了, 暂时不用, 暂时不用了, 暂时不需要, 暫時不用, 暫時不需要,
    现在不用, 現在不用, 没事, 没事了, 沒事, 沒事了, 没关系, 沒關係, 算了, 算了吧, 不麻烦了, 不用麻烦了, 不麻煩了, 不用麻煩了, no,
    不用谢谢, 不用 谢谢, 不用了谢谢, 不用了 谢谢, 不用謝謝, 不用 謝謝, 不用了 謝謝, 不需要 谢谢, 不了 谢谢, 谢谢不用, 谢谢 不用, 谢谢不用了, 谢谢 不用了, 謝謝 不用了

# 时长与时间
when-today = 今天 { $time }
when-tomorrow = 明天 { $time }
when-weekday =
    { $day ->
        [mon] 周一
        [tue] 周二
        [wed] 周三
        [thu] 周四
        [fri] 周五
        [sat] 周六
       *[sun] 周日
    } { $time }
when-date = { $month }月{ $day }日 { $time }
when-beijing = 北京时间{ $when }
span-minutes = { $number } 分钟
span-hours = { $number } 小时
span-days = { $number } 天

# 给客服看的文字
card-title = 需要人工处理
card-intent = 意图
card-sentiment = 情绪
card-sent = 客户发送了{ $what }
card-kind =
    { $kind ->
        [animation] 视频
        [audio] 音频
        [checklist] 清单
        [contact] 联系人
        [document] 文件
        [live_photo] 照片
        [location] 位置
        [photo] 照片
        [poll] 投票
        [story] 动态
        [venue] 地点
        [video] 视频
        [video_note] 视频消息
        [voice] 语音消息
       *[other] { "" }
    }
card-rule = 原因
card-model = 模型
card-no-prediction = 未分类
card-history = 之前的对话
card-earlier = … 更早还有 { $count } 条消息
card-earlier-at-least = … 更早至少还有 { $count } 条消息
card-answered = 机器人已回答：“{ $title }”
card-read-with = 与前一句合并理解：“{ $words }”
card-forwarded = 转发自 { $name }
card-link = 文字背后的链接：{ $address }
card-closed = 非工作时间
card-bot = 由机器人继续回复
card-waiting = 等待人工
card-taken = { $operator } 已接手
card-released = 已交回，目前无人负责
card-resolved = { $operator } 已解决
card-called-off = 客户已取消
card-quiet = { $hours } 小时无人发言，已自动关闭
waiting-reminder = ⏰ { $customer } 等待人工已有 { $span }。
waiting-reminder-taken = ⏰ { $customer } 等待人工已有 { $span }。{ $operator } 已接手，但尚未回复。
unanswered-reminder = ⏰ { $customer } 发来消息已有 { $span }，尚未得到回复。该对话由 { $operator } 负责。
unanswered-reminder-nobodys = ⏰ { $customer } 发来消息已有 { $span }，尚未得到回复。该对话目前无人负责。
waiting-digest = ⏰ 有 { $count } 位客户在等待人工，其中 { $customer } 等得最久：{ $span }。
waiting-digest-unanswered =
    ⏰ { $called ->
        [0] 有 { $unanswered } 位客户在等待同事的下一次回复，其中 { $customer } 等得最久：{ $span }。
       *[other] 有 { $count } 位客户在等待：{ $called } 位等待人工，{ $unanswered } 位等待同事的下一次回复；其中 { $customer } 等得最久：{ $span }。
    }
waiting-digest-priority =
    🚨 { $count ->
        [1] { $customer } 在等待，事情紧急：“{ $title }”，已等 { $span }。
       *[other] 有 { $count } 位客户在等待，其中 { $urgent } 位事情紧急。紧急客户中等得最久的是 { $customer }，“{ $title }”，已等 { $span }。其余请看：/queue
    }
digest-closing = 团队将于 { $time } 下班。
priority-call = { $customer }：{ $title }
digest-erased = 这里曾提醒有客户在等待。其中提到姓名的客户已被删除。
queue-waiting =
    { $count ->
        [0] 没有客户在等待人工。
       *[other] 有 { $count } 位客户在等待人工：
    }
queue-unanswered =
    { $count ->
        [0] 由同事负责的 { $taken } 个对话都已回复：
       *[other] 由同事负责的 { $taken } 个对话中，有 { $count } 个是客户最后发言、尚未回复：
    }
queue-answered = 其余 { $count } 个已回复：
made-too-slow = 统计目前耗时过长，不能让求助消息为它等待。请稍后再试。（/report 的数据也可以用“frontdesk report”查看。）
report-title = 最近 { $days } 天：{ $customers } 位客户，{ $messages } 条消息。
report-answered = 立即回答
report-small-talk = 其中寒暄 { $count } 条
report-asked-back = 追问
report-to-person = 转人工
report-silent = 留给人工
report-labelled = 已由人工核对 { $count } 条消息（多为模型没有把握的），其中模型判断正确 { $right } 条。
report-topics = 最常见的话题：
queue-more = ……另有 { $count } 位
card-banned = { $operator } 已封禁
card-opened = 对话已重新打开
new-message = { $customer } 写道
changed-message = { $customer } 修改了消息
sent-answer = { $operator } 发送了答案“{ $title }”
relabelled = { $operator } 把消息标为“{ $title }”
mood-labelled = { $operator } 把情绪标为“{ $title }”
button-send = 回答：{ $title }
button-relabel = 更改标签…
button-take = 接手
button-resolve = 解决
button-resolve-unanswered = 不回复，直接解决
button-back = « 返回
button-more = 更多 »
button-why = 为什么？
button-less = « 收起
why-confidence = 置信度 { $confidence }；自动回答需要 { $needed }。
why-familiar = 与机器人学过的内容相似：{ $scope }（需要 { $needed }）。
why-unfamiliar = 与机器人学过的内容不相似：只有 { $scope }（需要 { $needed }）。
why-language = 语言：{ $code }，机器人没有学过。
why-neighbours = 最相近的例句：
operators-only = 只有客服可以操作。您在这里和其他话题中写的、按的，都不会发送或执行。管理员可以添加您：frontdesk operators add { $user }
anonymous-admin = 您正在匿名发言：您在这里和其他话题中写的都不会发送或执行。若要作为客服操作，请以本人身份发言：在群管理员设置中为自己关闭匿名，或不再以频道身份发言。
admins-only = 只有管理员可以操作。
closed-by-nobody = 话题已关闭，但对话并未结束：关闭者不是客服，或以匿名身份关闭。客服发送 /resolve 才会结束对话。
closed-written-since = 客户此后又发来了消息：对话继续，话题已重新打开。如仍要结束，请再关闭一次，或发送 /resolve。
topic-only = 这个命令针对某位客户：请在该客户的话题里发送。/help 列出在这里可用的命令。
take-alone = /take 只会让您自己接手这个对话：后面带有文字，因此什么也没有做。同事要接手，请由同事自己发送 /take。
release-alone = /release 只会交回这个对话，不能指定由谁接手：后面带有文字，因此什么也没有做。请单独发送。
resolve-alone = /resolve 只结束对话，不发送任何内容：后面带有文字，因此什么也没有做。请先写给客户，再单独发送 /resolve。
queue-alone = /queue 列出所有等待的客户：请单独发送，后面不要带文字。
reached-nobody = 没有人收到这条消息：请在该客户的话题里回复。
nothing-here = 这个话题不属于任何客户。
already-taken = { $operator } 已经接手。
taken-from = { $operator } 从 { $previous } 接手了对话。
resolve-unanswered = 还没有人回复客户。再按一次即可结束。
resolve-unanswered-command = 已告知客户会得到回复，但还没有人回复。如仍要结束，请再发送一次 /resolve。
resolve-written-since = 客户此后又发来了消息。如仍要结束，请再按一次。
resolve-written-since-command = 客户此后又发来了消息。如仍要结束，请再发送一次 /resolve。
resolved-by-command = ✅ { $operator } 已解决
taken-by-command = 🙋 { $operator } 已接手
released = ↩️ { $operator } 已交回对话：客户在等待任意一位同事。
released-answered = ↩️ { $operator } 已交回对话。客户已得到回复，目前无人负责。
released-left = ↩️ { $operator } 不再是客服：客户在等待任意一位同事。
released-all =
    ↩️ { $count ->
        [0] { $operator } 没有可交回的对话。
       *[other] { $operator } 已交回 { $count } 个对话，{ $waiting ->
            [0] 其中没有客户在等待。
           *[other] 其中 { $waiting } 位客户在等待任意一位同事：/queue
        }
    }
released-all-left =
    ↩️ { $operator } 不再是客服，其负责的 { $count } 个对话已交回，{ $waiting ->
        [0] 其中没有客户在等待。
       *[other] 其中 { $waiting } 位客户在等待任意一位同事：/queue
    }
release-theirs = 该对话由 { $operator } 负责，未作任何更改。
release-nobodys = 该对话目前无人负责，无需交回。
already-resolved = 这个对话已经解决。
already-sent = 这个答案已经发送过了。
answer-which = 有多个答案符合，请按下要发送的那个。
answer-more = ……另有 { $count } 个：在 /answer 后换用其他词查找。
answer-none = 没有名称或标题包含这些词的答案。
answer-several = 有 { $count } 个答案符合。请在 /answer 后多写几个标题中的词：
answer-titles = 共有 { $count } 个现成答案；请在 /answer 后写上标题中的词：
button-void = 这个按钮已失效。
customer-left = 客户在等待人工时屏蔽了机器人。在其解除屏蔽之前，任何回复都无法送达。
customer-back = 客户已解除对机器人的屏蔽，回复可以送达了。
customer-banned = 该客户已被封禁：其消息不再显示、不再回复，也不会向其发送任何内容。撤销：/unban
customer-unbanned = 该客户未被封禁：其消息会正常处理。
customer-gone = 客户已屏蔽机器人，消息未发送。
noted = 📝 同事备注：没有发给客户。
kept-reply = 📝 没有发给客户：它回复的是同事的话或客户看不到的内容。如要发送，请不用“回复”重新写一条。
kept-addressed = 📝 没有发给客户：它以同事的名字开头。如要发给客户，请换一个词开头。
kept-named = 📝 没有发给客户：其中提到了同事的名字。如要发给客户，请去掉这个名字重新写一条。
kept-like-note = 📝 没有发给客户：它（或其中一行）的开头像是给同事的备注。如要发给客户，请去掉这个词或符号重新写一条。
kept-forwarded = 📝 没有发给客户：它转发自本机器人，可能涉及另一位客户。如要发送其中的内容，请自己写一条。
caption-command = 内容未发送，命令也未执行：说明文字或标题以斜杠开头。请去掉斜杠再发送，命令请单独发送。
file-lost = 客户发来的文件未能转交：{ $error }。请客户重新发送。
not-delivered = 有一条消息未能送达客户：{ $error }
change-not-delivered = 有一处修改未能送达，客户看到的仍是原来的消息：{ $error }
taken-back = 已撤回：客户那里不再有这条消息。
taken-back-unsent = 这条消息还没有发出，因此不会发送。
taken-back-on-its-way = 这条消息正在发给客户。如果送达，会在客户那里删除，并在此告知。
taken-back-perhaps = 这条消息不会再次发送。如果之前已经送达，客户那里仍有这条消息。
not-taken-back = 这条消息未能撤回，客户那里仍有这条消息。（Telegram 只能删除 48 小时以内的消息。）错误：{ $error }
take-back-what = 请用 /delete 回复您或同事在这个话题里写给客户的消息，或这里关于已发送的现成答案的提示。
change-of-nothing-sent = 客户没有收到过这条消息，因此修改也没有发送。如要告诉客户，请重新写一条。
change-of-file = 新文件没有发送，客户看到的仍是原来的消息。请重新发送。
change-of-kind = 只有对文字或说明文字的修改才能转给客户：客户看到的仍是原来的消息。如要更正，请重新发送。
change-of-kind-perhaps = 只有对文字或说明文字的修改才能转给客户，而这条消息正在发出：客户收到的可能是修改前的，也可能是修改后的。如要确保无误，请重新发送。
command-by-edit = 修改消息不会执行命令。如仍需执行，请重新发送该命令。
disturbance-operators = ⚠️ 数据库没有响应。客户的消息由 Telegram 保留，恢复后会继续处理；每位来信的客户会收到一次通知。请运行：frontdesk doctor
demoted = 我已不再是本群管理员，可能看不到大家写的内容，也就无法转给客户。请重新将我设为管理员并授予“管理话题”权限，然后重新发送这段时间写的内容。
id-without-topics = 请先在本群设置中开启“话题”，然后重新发送 /id：开启后群的 ID 会改变。
update-parked = 更新 { $inbox } 无法处理，已搁置。请运行：frontdesk doctor
retrain-queued = 训练任务 { $run } 已排队。
retrain-busy = 训练任务 { $run } 正在进行。
retrain-promoted = 训练任务 { $run }：新模型 { $version } 在测试集上不比旧模型差（{ $new } 对 { $old }；微小差距视为偶然），已经启用。
retrain-first = 训练任务 { $run }：模型 { $version } 已启用（测试集 { $new }）。
retrain-rejected = 训练任务 { $run }：新模型准确率较差（{ $new } 对 { $old }），保留当前模型。
retrain-rejected-best = 训练任务 { $run }：新模型准确率（{ $new }）比迄今最好的模型（{ $old }）低太多，保留当前模型。
retrain-rejected-person = 训练任务 { $run }：新模型更难认出必须由人工处理的消息，保留当前模型（测试集准确率 { $new } 对 { $old }）。
retrain-rejected-wrong = 训练任务 { $run }：新模型会答错更多（测试集上 { $new } 条对 { $old } 条），保留当前模型。
retrain-rejected-coverage = 训练任务 { $run }：新模型能自动回答的少得多，保留当前模型（准确率 { $new } 对 { $old }）。
retrain-rejected-best-coverage = 训练任务 { $run }：新模型能自动回答的（测试集的 { $new }）比之前某个模型（{ $old }）少得多，保留当前模型。
retrain-rejected-gold = 训练任务 { $run }：新模型在留出的标注上较差，保留当前模型（测试集准确率 { $new } 对 { $old }）。
retrain-rejected-sentiment = 训练任务 { $run }：新模型的情绪识别较差（宏 F1 { $new } 对 { $old }），保留当前模型。
retrain-by-hand = 训练任务 { $run }：新模型 { $version } 不比旧模型差（{ $new } 对 { $old }），正等待人工启用。查看会有哪些变化：frontdesk compare champion { $version }。若可以启用：frontdesk models promote { $version }。
retrain-held = 训练任务 { $run }：新模型 { $version } 不比旧模型差（{ $new } 对 { $old }），但暂不启用：上一次人工操作是回滚，需要有人先看一看。若可以启用：frontdesk models promote { $version }。此后训练会照常自动启用新模型。
retrain-failed = 训练任务 { $run } 失败：{ $error }
retrain-coverage = 自动回答：新模型 { $new }，旧模型 { $old }。
retrain-fell = 下降最多的主题：{ $intents }。
retrain-fell-intent = { $title }（{ $rows } 条中判对 { $new } 条，之前 { $old } 条）
retrain-gold = 留出的 { $rows } 条标注（当时在用的模型难以判断的文本）中判断正确：新模型 { $new }，旧模型 { $old }。
operator-help =
    在客户的话题里写字即可回复。除命令、备注、对备注和同事的话的回复以及提到同事名字的内容外，您写的一切都会发给客户；按“解决”之前机器人不会再说话，除非客户沉默很久之后再来。

    卡片上的“回答：…”会立即发送该答案并用于训练；“更改标签…”只用于训练（消息的主题或情绪），不发送任何内容。

    // 或 /note 加文字 – 给同事看的备注，不会发给客户（全角的 ／／ 和 、、 也可以）
    /take – 接手这个话题的对话
    /release – 交回对话，任何同事都可接手；在 General 中发送则交回您负责的全部对话
    /resolve – 结束对话，机器人重新回答
    /answer 加标题中的词 – 发送现成答案；单独发送则列出全部
    /delete，用来回复您或同事写的消息 – 撤回那条消息；把消息修改成备注也会撤回
    /ban、/unban – 封禁这位客户或撤销封禁（管理员）
    /queue – 谁在等待，等了多久
    /report – 最近七天消息的处理情况
    /retrain – 用反馈训练（管理员）
    /id – 本群的 ID
    /help – 本说明

rule-confident = 机器人有把握
rule-several_questions = 客户一次问了好几个主题
rule-close_intents = 两个主题同样可能
rule-unsure = 机器人没有把握
rule-still_unsure = 机器人追问后仍没有把握
rule-out_of_scope = 超出机器人的知识
rule-unfamiliar = 与机器人学过的内容都不相似
rule-other_language = 使用了机器人没有学过的语言
rule-intent_needs_person = 该主题总是由人工处理
rule-may_need_person = 可能属于总是由人工处理的主题
rule-negative_sentiment = 客户情绪不好
rule-same_answer_again = 同样的答案没有帮助
rule-asked_for_person = 客户要求人工
rule-attachment = 客户发送了文件或机器人无法读取的其他内容
rule-forwarded = 客户转发的消息
rule-thumb_down = 答案没有帮助
rule-late = 分类器没有及时回应
rule-flood = 客户短时间内发送的消息过多
rule-changed = 客户修改了之前写的内容
rule-unprocessable = 分类器无法处理这条消息
rule-not_delivered = 机器人的消息未能送达
rule-not_classified = 没有加载意图模型
rule-person_in_charge = 由人工负责
rule-waiting_for_person = 等待人工
sentiment-negative = 负面
sentiment-neutral = 中性
sentiment-positive = 正面
command-start = 显示常见问题
command-help = 我能做什么？
command-human = 联系人工客服
command-privacy = 您写的内容会如何处理
command-unknown = { $command } 不是本机器人的命令，未执行任何操作，也未发送。命令列表：/help
command-take = 接手这个话题的对话
command-release = 交回对话；在 General 中则交回全部
command-resolve = 结束对话，机器人重新回答
command-answer = 按标题中的词发送现成答案
command-note = 给同事看的备注，不会发给客户
command-delete = 撤回您所回复的消息
command-queue = 谁在等待，等了多久
command-report = 最近七天消息的处理情况
command-retrain = 用反馈训练（管理员）
command-id = 显示本群的 ID
command-ban = 封禁这位客户（管理员）
command-unban = 撤销封禁（管理员）
