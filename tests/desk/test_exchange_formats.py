"""What is read of Rasa's domain and of canned answers, and what is written for them."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
import yaml

from classifier.data import csv_header
from classifier.vocabulary import SENTIMENTS
from desk import pack as packs
from desk.exchange import canned, markup, rasa
from desk.exchange.canned import System
from desk.exchange.material import ExchangeError
from desk.exchange.names import original, slug, title
from desk.pack import Pack
from desk.telegram_html import html_problems

RETAIL = Path("packs/retail")
DOMAIN = """\
version: "3.1"
intents:
- greet
- faq: {use_entities: []}
slots:
  shop: {type: text, initial_value: "Fern & Petal", mappings: []}
  seats: {type: float}
responses:
  utter_greet:
  - condition: [{type: slot, name: known, value: true}]
    text: Back again?
  - text: |
      Hello {name}!
      Welcome to {shop} <3
    buttons: [{title: Hours, payload: /hours}]
  utter_picture:
  - image: https://example.org/a.png
  utter_faq: [{text: "1 < 2 & <b>so</b> on"}]
rules:
- rule: hello
"""


def write(tmp_path: Path, content: str | bytes, name: str = "domain.yml") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_responses_slots_and_remarks_are_read_of_a_domain(tmp_path: Path) -> None:
    path = write(tmp_path, DOMAIN)
    read = rasa.read(path)
    greet, faq = read.material.answers
    assert (greet.name, greet.where, greet.makes_intent) == ("greet", f"{path}:9", True)
    assert greet.text == "Hello {name}!\nWelcome to {shop} &lt;3"
    assert (faq.name, faq.text) == ("faq", "1 &lt; 2 &amp; &lt;b&gt;so&lt;/b&gt; on")
    assert read.material.values == {"shop": "Fern &amp; Petal"}
    assert read.usable
    assert not read.has_examples
    lines = DOMAIN.splitlines()
    expected = [
        ("  utter_greet:", "2 variations"),
        ("  utter_greet:", "no buttons"),
        ("  utter_picture:", "no text"),
        ("rules:", "`rules` is not"),
    ]
    assert len(read.material.notices) == len(expected)
    for notice, (line, words) in zip(read.material.notices, expected, strict=True):
        assert notice.where == f"{path}:{lines.index(line) + 1}"
        assert words in notice.message


def test_what_rasa_says_under_a_condition_becomes_everybodys_answer_last_of_all_and_is_told(
    tmp_path: Path,
) -> None:
    vip = "condition: [{type: slot, name: vip, value: true}]"
    content = f"""\
responses:
  utter_refund:
  - {vip}
    text: As a VIP you have your money today.
  - channel: telegram
    text: You have your money in five days.
  utter_parcel:
  - {vip}
    text: A courier brings it.
"""
    path = write(tmp_path, content)
    found = rasa.read(path).material
    assert [answer.text for answer in found.answers] == [
        "You have your money in five days.",
        "A courier brings it.",
    ]
    assert [(notice.where, notice.message) for notice in found.notices] == [
        (f"{path}:2", "`utter_refund` has 2 variations; one is imported, a pack has one"),
        (
            f"{path}:7",
            "of `utter_parcel` the text is imported, not its condition: it is everybody's now",
        ),
    ]


def test_other_sections_of_nlu_are_counted_and_left(tmp_path: Path) -> None:
    read = rasa.read(write(tmp_path, "nlu:\n- synonym: a\n- synonym: b\n- lookup: c\n"))
    assert [notice.message[:11] for notice in read.material.notices] == [
        "2 × `synony",
        "1 × `lookup",
    ]
    assert read.usable
    assert not read.has_examples


def test_a_sentiment_that_is_none_and_a_translation_are_left_and_told(tmp_path: Path) -> None:
    content = """\
responses:
  utter_greet:
  - text: Hello!
    translation: {de: Hallo!, fr: Salut !}
nlu:
- intent: greet
  metadata: {sentiment: [1, 2]}
  examples:
  - {text: hey, metadata: {sentiment: Neutral}}
  - text: you rock
    metadata:
      sentiment: happy
"""
    path = write(tmp_path, content)
    assert [(notice.where, notice.message) for notice in rasa.read(path).material.notices] == [
        (f"{path}:2", "of `utter_greet` only the `text` is imported, no translation: de, fr"),
        (
            f"{path}:7",
            f"2 × `sentiment` not imported, from this line on; known are {', '.join(SENTIMENTS)}",
        ),
    ]


def test_a_config_tells_the_language_and_a_foreign_file_nothing(tmp_path: Path) -> None:
    config = rasa.read(write(tmp_path, "language: zh\npipeline: []\n", "config.yml"))
    assert config.material.language == "zh"
    other = rasa.read(write(tmp_path, "language: zh\nversion: 2\n", "other.yml"))
    assert other.material.language is None
    assert not other.usable
    assert not rasa.read(write(tmp_path, "", "empty.yml")).usable


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a: 1\nresponses: [}\n", ":2: is not YAML"),
        (b"version: 3\nresponses: yes\n", ":2: `responses` must be a mapping"),
        (b"responses:\n  utter_x: hello\n", ":2: `utter_x` must be a list"),
        (b"a: 1\nresponses:\n  utter_x: [{text: caf\xe9}]\n", ":3: is not UTF-8"),
        (b"a: 1\nb: \0\n", ":2: holds a NUL"),
        ("a: 1\n".encode("utf-16"), "is not UTF-8"),
        (b"a: " + b"[" * 9000 + b"]" * 9000, "nest"),
        (
            b"a: &a [" + b"x, " * 5000 + b"]\nb: [" + b"*a, " * 5000 + b"]",
            "its aliases make it far",
        ),
        (b"a: \x07", "is not YAML"),
    ],
)
def test_a_bad_domain_is_told_with_its_line(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(ExchangeError) as caught:
        rasa.read(write(tmp_path, content))
    assert says in str(caught.value)
    assert "domain.yml" in str(caught.value)


def test_a_projects_files_are_found_without_its_tests_and_hidden_folders(tmp_path: Path) -> None:
    for name in ("domain.yml", "data/nlu.YAML", "tests/nlu.yml", ".rasa/a.yml", "data/b.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write(tmp_path, "", name)
    (tmp_path / "train_test_split").mkdir()
    write(tmp_path, "", "train_test_split/test_data.yml")
    found = [str(path.relative_to(tmp_path)) for path in rasa.project_files(tmp_path)]
    assert found == ["data/nlu.YAML", "domain.yml"]


def test_a_written_domain_has_what_rasa_needs_to_fill_the_answers_in(tmp_path: Path) -> None:
    pack = packs.load(RETAIL)
    read = rasa.read(write(tmp_path, rasa.dump_domain(pack))).material
    assert {answer.name: answer.text for answer in read.answers} == {
        name: intent.answer["en"] for name, intent in pack.intents.items() if intent.answer
    }
    assert read.values == pack.values
    assert read.notices == []


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Fees &lt; 5 &amp; more", "Fees < 5 & more"),
        ("Juniper & Oak", "Juniper & Oak"),
        ("<b>A</b> &amp; B", "<b>A</b> &amp; B"),
        ("write &lt;b&gt;so&lt;/b&gt; &amp; on", "write &lt;b&gt;so&lt;/b&gt; &amp; on"),
        ("write &amp;lt; for it", "write &amp;lt; for it"),
    ],
)
def test_plain_answers_and_values_have_no_entities_in_rasa_and_come_back(
    tmp_path: Path, text: str, written: str
) -> None:
    pack = packs.load(RETAIL)
    intent = pack.intents["refund_status"].model_copy(update={"answer": {"en": text}})
    values = {"shop": text}
    intents = {"refund_status": intent}
    changed = pack.model_copy(update={"intents": intents, "values": values})
    path = write(tmp_path, rasa.dump_domain(changed))
    domain = yaml.safe_load(path.read_text())
    assert domain["responses"]["utter_refund_status"] == [{"text": written}]
    assert domain["slots"]["shop"]["initial_value"] == written
    read = rasa.read(path).material
    assert [answer.text for answer in read.answers] == [markup.from_plain(text)]
    assert read.values == {"shop": markup.from_plain(text)}


def test_quotes_that_a_pack_has_as_entities_go_to_rasa_as_quotes() -> None:
    text = "say &quot;Tom &amp; Co&quot;, it&#39;s us"
    assert markup.to_plain(text) == 'say "Tom & Co", it\'s us'


def _canned(tmp_path: Path, content: str) -> list[tuple[str, str]]:
    material = canned.read(write(tmp_path, content, "canned.csv"))
    return [(answer.name, answer.text) for answer in material.answers]


def test_chatwoots_canned_answers_are_read_with_their_markdown(tmp_path: Path) -> None:
    content = (
        "\ufeffshort_code,content\r\n"
        'hours,"Hi {{contact.name}}, **Mon**\nto _Fri_ & [x](https://x.example/?a=1)"\r\n'
        "plain,5 * 3 < 20 and snake_case_name **\r\n"
        r"escaped,\*not bold\* but `a<b`" + "\r\n"
    )
    assert _canned(tmp_path, content) == [
        (
            "hours",
            'Hi {customer}, <b>Mon</b>\nto <i>Fri</i> &amp; <a href="https://x.example/?a=1">x</a>',
        ),
        ("plain", "5 * 3 &lt; 20 and snake_case_name **"),
        ("escaped", "*not bold* but <code>a&lt;b</code>"),
    ]


def test_zammads_text_modules_are_read_with_their_html(tmp_path: Path) -> None:
    content = (
        "id,name,keywords,content,note,active\n"
        '1,Opening hours,h,"<div>Hi #{ticket.customer.firstname},<br>we&nbsp;are '
        "<strong>open</strong>:<ul><li>Mon</li>"
        '<li><a href=""https://x.example"">Tue</a></li></ul><img src=x></div>",,true\n'
        "2,old,,x,,false\n"
        "3,plain,,a & b < c,,true\n"
        '4,crossed,,"<b>a<i>b</b>c</i><style>p {}</style>",,true\n'
        "5,open,,<div><b>a,,true\n"
    )
    path = write(tmp_path, content, "canned.csv")
    material = canned.read(path)
    assert [(answer.name, answer.text) for answer in material.answers] == [
        (
            "Opening hours",
            'Hi {customer},\nwe are <b>open</b>:\n• Mon\n• <a href="https://x.example">Tue</a>',
        ),
        ("plain", "a &amp; b &lt; c"),
        ("crossed", "<b>a<i>b</i></b>c"),
        ("open", "<b>a</b>"),
    ]
    assert [notice.where for notice in material.notices] == [f"{path}:3"]


@pytest.mark.parametrize(
    "content",
    [
        "short_code,content\nhours,[our page](www.shop.example) [x](https://x.example) [b](/b)\n",
        "name,content\nhours,<a href=#{ticket.customer.fullname}>a</a> <a href=/b>b</a> <a>c</a>\n",
    ],
)
def test_links_of_which_only_the_words_stay_are_counted_and_told(
    tmp_path: Path, content: str
) -> None:
    path = write(tmp_path, content, "canned.csv")
    material = canned.read(path)
    assert ["{" in answer.text for answer in material.answers] == [False]
    (notice,) = material.notices
    assert notice.where == str(path)
    assert "only the words are imported: 2." in notice.message


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("name,content\na,<div>Soon.<br>#{user.firstname} #{user.lastname}</div>\n", "Soon."),
        ('short_code,content\na,"Soon.\n\n– {{agent.name}}"\n', "Soon."),
        ('short_code,content\na,"Soon.\n\nBest regards,\n{{agent.name}}"\n', "Soon."),
        ('short_code,content\na,"Soon.\n\nWith very best wishes,\n\n{{agent.name}}"\n', "Soon."),
        ('short_code,content\na,"Soon.\nKind regards, {{agent.name}}"\n', "Soon."),
        ('name,content\na,"<div>Soon.<br>Yours,<br>– #{user.firstname}</div>"\n', "Soon."),
        (
            'short_code,content\na,"Hi\nAsk whenever you wish, {{agent.name}} is here"\n',
            "Hi\nAsk whenever you wish, {{agent.name}} is here",
        ),
        ("name,content\na,<div>I am #{user.firstname}</div>\n", "I am #{user.firstname}"),
        ("name,content\na,#{user.firstname}\n", "#{user.firstname}"),
    ],
)
def test_a_signature_with_the_agents_name_is_left_out_and_told(
    tmp_path: Path, content: str, text: str
) -> None:
    material = canned.read(write(tmp_path, content, "canned.csv"))
    assert [answer.text for answer in material.answers] == [text]
    assert len(material.notices) == (text == "Soon.")


@pytest.mark.parametrize("separator", [";", "\t"])
def test_canned_answers_are_read_as_a_spreadsheet_writes_them(
    tmp_path: Path, separator: str
) -> None:
    rows = [('"Short_code"', '"content"'), ("hours", f'"Nine{separator} to, six"'), ("x", "y")]
    content = "\ufeff" + "".join(separator.join(row) + "\r\n" for row in rows)
    assert _canned(tmp_path, content) == [("hours", f"Nine{separator} to, six".strip()), ("x", "y")]
    assert canned.system_of(csv_header(tmp_path / "canned.csv")) is System.CHATWOOT


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "canned.csv: the file holds no answers"),
        ("short_code,text\n", "canned.csv:1: needs `content`"),
        ("short_code,content\na\n", "canned.csv:2: has 1 cells"),
        ("short_code;content\na;b;c\n", "put a text with semicolons in double quotes"),
        ('name,content\n"a\nb",x\nc,\n', "canned.csv:4: `content` is empty"),
        ("name,content\n,x\n", "canned.csv:2: `name` is empty"),
        ('name,content\na,"x\n', "canned.csv:2: is not CSV"),
    ],
)
def test_bad_canned_answers_are_told_with_their_line(
    tmp_path: Path, content: str, says: str
) -> None:
    with pytest.raises(ExchangeError) as caught:
        canned.read(write(tmp_path, content, "canned.csv"))
    assert says in str(caught.value)


@pytest.mark.parametrize("system", list(System))
def test_canned_answers_come_back_as_they_went_with_values_filled_in(
    tmp_path: Path, system: System
) -> None:
    pack = packs.load(RETAIL)
    read = canned.read(write(tmp_path, canned.dump(pack, system), "canned.csv"))
    assert {answer.name: answer.text for answer in read.answers} == {
        name: pack.text(text, "en", customer="{customer}")
        for name, text in (
            *((name, intent.answer) for name, intent in pack.intents.items() if intent.answer),
            *((name, reply.text) for name, reply in pack.replies.items()),
        )
    }


def test_canned_answers_are_in_the_markup_of_their_system(pack: Pack) -> None:
    rows = {system: dict(csv.reader(io.StringIO(canned.dump(pack, system)))) for system in System}
    assert rows[System.CHATWOOT]["short_code"] == rows[System.ZAMMAD]["name"] == "content"
    assert rows[System.CHATWOOT]["order_status"] == "Bouquets take **2** days, {{contact.name}}."
    assert rows[System.ZAMMAD]["order_status"] == (
        "<div>Bouquets take <b>2</b> days, #{ticket.customer.firstname}.</div>"
    )


@pytest.mark.parametrize(
    "text",
    [
        "plain * and _ and ` and [x] (y) \\ ~~",
        "snake_case _private_ __init__",
        "<b>bold <i>and italic</i></b>, <s>gone</s>",
        "<code>a_b*c</code>",
        "<code>a`b</code> and <code>`c``</code>",
        "<pre>if a:\n    b = `c`\n\n\n\nend</pre>",
        "a `<code>tick</code>",
        "<pre>```\nfence\n```</pre>",
        '<a href="https://x.example/z">form [A] \\ more</a>',
        '<a href="https://x.example/a_(b)?c=1&amp;d=*">l_i_nk</a>',
        "&lt;b&gt; is no tag; a &amp; b",
        "one\ntwo\n\nthree 🌿",
        "&lt;https://x.example&gt;",
        "<i>un</i>likely, re<i>done</i> and 你<i>好</i>吗",
        "<b><i>a</i>b</b> <i><b>c</b>d</i>",
        "<b>one</b><i>two</i> <s>three</s>",
        '<b><a href="https://x.example">a <i>b</i></a> c</b>',
    ],
)
def test_an_answers_markup_survives_both_systems(text: str) -> None:
    assert markup.from_chatwoot(markup.to_chatwoot(text), []) == text
    assert markup.from_zammad(markup.to_zammad(text), []) == text
    assert html_problems(text) == []


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (
            "Open *daily*.\\\nOr ***always***, __there__",
            "Open <i>daily</i>.\nOr <b><i>always</i></b>, <b>there</b>",
        ),
        ("<https://x.example/h>", '<a href="https://x.example/h">https://x.example/h</a>'),
        ("[map](https://x.example/\\_m)", '<a href="https://x.example/_m">map</a>'),
        ("2 * 3 * 4, **never closed *x*", "2 * 3 * 4, **never closed <i>x</i>"),
        ("**a *b** c*", "**a *b** c*"),
        ("**Note: **call us", "<b>Note: </b>call us"),
    ],
)
def test_what_chatwoots_editor_writes_is_read(written: str, meant: str) -> None:
    assert markup.from_chatwoot(written, []) == meant
    assert html_problems(meant) == []


def test_a_quote_stands_apart_in_markdown() -> None:
    quoted = markup.to_chatwoot("so:\n<blockquote>one\n<b>two</b></blockquote>three")
    assert quoted == "so:\n\n> one\n> **two**\n\nthree"


@pytest.mark.parametrize(
    ("text", "back"),
    [
        ("<code>x</code><code>y`</code>!", "<code>xy`</code>!"),
        ("<u><code>x</code></u><code>y</code>", "<code>xy</code>"),
        ("<b><code>x</code></b><code>y</code>", "<b><code>x</code></b><code>y</code>"),
        ("<code>x</code><code></code><pre>y</pre>", "<code>x</code>\n<pre>y</pre>"),
        ("<code>a<b>b<code>c</code></b></code>d", "<code>abc</code>d"),
        ("see:\n<pre>x</pre>\ny", "see:\n<pre>x</pre>\ny"),
        ("<b>x</b><i>a</i>b", "<b>x</b>_a_b"),  # italics are lost, and nothing else
        ("a<code></code>b<pre></pre>c", "abc"),
        ("<code>x</code><b>a<code>y</code></b>", "<code>x</code><b>a<code>y</code></b>"),
        ("<pre>x</pre><pre>y</pre><code>z</code>", "<pre>x</pre>\n<pre>y</pre>\n<code>z</code>"),
    ],
)
def test_what_touches_other_markup_is_read_as_it_is(text: str, back: str) -> None:
    assert markup.from_chatwoot(markup.to_chatwoot(text), []) == back
    assert html_problems(text) == html_problems(back) == []


def test_what_stands_before_a_quote_is_not_code_within_it() -> None:
    quoted = markup.to_chatwoot("<code>x</code><blockquote>a<code>y</code></blockquote>")
    assert quoted == "`x`\n\n> a`y`"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a<pre>x</pre>b", "a\n```\nx\n```\nb"),
        ("<pre>x</pre><b>b</b>", "```\nx\n```\n**b**"),
        ('<pre>x</pre><a href="https://x.example">b</a>', "```\nx\n```\n[b](https://x.example)"),
        ("<pre>x</pre><u>b</u>", "```\nx\n```\nb"),
        ("<b>Note: </b>call<i> us</i>", "**Note:** call _us_"),
        ("<b>Hours\n</b>Nine to <s> six </s>", "**Hours**\nNine to  ~~six~~ "),
        ("a<b> </b>c<i></i>d", "a cd"),
        ("<i>a</i>b", "*a*b"),
    ],
)
def test_what_is_written_is_markup_to_any_reader_of_markdown(text: str, written: str) -> None:
    assert markup.to_chatwoot(text) == written
    assert html_problems(text) == []


def test_what_follows_a_quote_at_once_stands_apart_from_it() -> None:
    quoted = markup.to_chatwoot("<blockquote>so <code>x</code></blockquote><code>y</code> <b>z</b>")
    assert quoted == "> so `x`\n\n`y` **z**"


def test_the_cells_of_a_table_stay_apart() -> None:
    table = (
        "<table><tr><th>Express</th><td>5 EUR</td></tr><tr><td> Post </td><td>2</td></tr></table>"
    )
    assert markup.from_zammad(table, []) == "Express 5 EUR\nPost 2"


def test_what_another_system_would_fill_in_is_noticed() -> None:
    assert markup.foreign_variable("by {{ agent.name }}") == "{{ agent.name }}"
    assert markup.foreign_variable("by #{user.firstname}") == "#{user.firstname}"
    assert markup.foreign_variable("by {customer}") is None
    assert markup.foreign_variable("{{ a #{b} }} {{c}}") == "{{ a #{b} }}"
    assert markup.foreign_variable("{{ a #{b}") == "#{b}"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("order_status", "order_status"),
        ("faq/ask-Hours", "faq_ask_hours"),
        ("Größe é", "gro_e_e_[0-9a-f]{8}"),
        ("kündigen/año", "kundigen_ano"),
        ("24h", "intent_24h"),
        ("退款", "intent_[0-9a-f]{8}"),
        ("!?", "intent_[0-9a-f]{8}"),
        ("x" * 60, "x{31}_[0-9a-f]{8}"),
    ],
)
def test_a_name_becomes_one_that_a_pack_takes(name: str, expected: str) -> None:
    made = slug(name)
    assert re.fullmatch(expected, made)
    assert re.fullmatch("[a-z][a-z0-9_]{0,39}", made)
    assert slug(made) == made


def test_names_that_lose_letters_stay_apart() -> None:
    assert slug("退款 1") != slug("退货 1")
    assert slug("a" * 50 + "b") != slug("a" * 50 + "c")


@pytest.mark.parametrize("label", ["退款", "возврат_денег", "Возврат", "faq/怎么-退", "a" * 50])
def test_the_label_of_a_name_with_a_hash_is_told_by_its_title(label: str) -> None:
    name = slug(label)
    expected = label if label != "faq/怎么-退" else name  # two kinds of signs became spaces
    assert original(name, ["Something else", title(label)]) == expected
    assert original(name, ["Something else"]) == name
    assert original("ask_refund", ["Ask refund"]) == "ask_refund"


def test_a_title_is_the_name_in_words() -> None:
    assert title("ask_refund") == "Ask refund"
    assert title("退款") == "退款"
    assert title("a < {b} & c") == "A b c"
