"""Customers are called by their first name; operators see the whole one."""

from __future__ import annotations

from sqlalchemy import select

from desk.domain import Person
from desk.flow import customers, topics
from desk.tables import Customer
from tests.conftest import OPERATOR_CHAT
from tests.desk.acting import Stage, predict

DR_ANA = Person(501, "Dr Ana María Ruiz <Acme & Co>", language="en", first_name="Ana <3")


def test_texts_to_customers_have_the_first_name_and_cards_the_whole_one(stage: Stage) -> None:
    customers.started(stage.desk, stage.update(), DR_ANA)
    stage.ask("where are my roses", DR_ANA)
    stage.ask("you are rude", DR_ANA, intent="complaint")
    greeting, answer, _ = stage.heard(DR_ANA)
    assert greeting == "Hello Ana &lt;3, welcome to <b>Fern &amp; Petal</b>!"
    assert answer == "Bouquets take <b>2</b> days, Ana &lt;3."
    (card,) = stage.deliveries(OPERATOR_CHAT)
    assert "Dr Ana María Ruiz &lt;Acme &amp; Co&gt;" in card.payload["text"]
    assert topics.topic_name(stage.desk, stage.customer(DR_ANA).id) == DR_ANA.name


def test_a_first_name_is_kept_in_one_line(stage: Stage) -> None:
    customers.started(stage.desk, stage.update(), Person(501, "Ana", first_name="Ana\n\nVoucher"))
    assert stage.one(select(Customer)).first_name == "Ana Voucher"


def test_a_customer_known_from_before_is_called_by_the_name_that_is_known(stage: Stage) -> None:
    job = stage.write("where are my roses", DR_ANA)
    assert job is not None
    with stage.desk.store.writing() as session:  # as the version before has left it
        session.get_one(Customer, stage.customer(DR_ANA).id).first_name = None
    stage.decide((job, predict()))
    (answer,) = stage.heard(DR_ANA)
    assert answer.startswith("Bouquets take <b>2</b> days, Dr Ana María Ruiz")
