from pathlib import Path

from edge_avsc.training.card import card

SHIPPED = Path(__file__).parents[2] / "models/avsc-lite"


def test_the_card_that_ships_says_what_its_bundle_says() -> None:
    assert (SHIPPED / "README.md").read_text(encoding="utf-8") == card(SHIPPED)
