"""Garbled characters: what is one, what only looks like one, and how it was meant."""

from __future__ import annotations

import pytest

from desk.validation.encodings import garbled, repaired

TEXTS = [
    "café", "CAFÉ", "más información", "única", "à bientôt", "It’s “fine” …", "20 °C, £5, 10 €",
    "thx 😊", "Привет", "你好，在吗", "Święty", "poniżej", "Καλημέρα", "שלום", "مرحبا", "naïve ½",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_what_was_read_as_windows_1252_or_latin_1_is_put_right(text: str) -> None:
    raw = text.encode()
    as_latin = raw.decode("latin-1")
    # As browsers and spreadsheets do: where Windows-1252 has no character, the byte's own.
    as_windows = "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in raw)
    for wrong in (as_latin, as_windows):
        assert garbled(wrong)
        assert repaired(wrong) == text


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_as_it_was_meant_is_left_alone(text: str) -> None:
    assert not garbled(text)
    assert repaired(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "SÃO PAULO", "“AMANH\u00c3”", "»Spaß«", "“CAFÉ” …", "café…»", "“cliché”…", "ya está¡¡¡",
        "2×½", "voilà\u00a0»", "nº 5", "ÜBERGRÖSSE®", "IRM\u00c3…",
    ],
)  # fmt: skip
def test_letters_before_quotes_and_signs_are_no_accident(text: str) -> None:
    assert not garbled(text)


def test_what_was_read_wrongly_twice_is_put_right_twice() -> None:
    wrong = "café".encode().decode("cp1252").encode().decode("cp1252")
    assert repaired(wrong) == "café"


def test_an_emoji_beside_the_garbled_part_stays() -> None:
    assert repaired("merci Ã©mile 🙂") == "merci émile 🙂"


def test_a_text_that_does_not_decode_cleanly_is_told_but_not_changed() -> None:
    for text in ("é and Ã©", "CafÃ© ä"):
        assert garbled(text)
        assert repaired(text) is None
