"""docs/delivery.md says what the code does; the seed's zone table is one the process starts with."""

import re
import tomllib
from pathlib import Path

import pytest

from backend.catalog import region_codes
from backend.delivery import handlers, sign_code, tariff
from backend.delivery.reviews import REVIEW_LABELS
from backend.delivery.settings import Settings
from backend.delivery.states import EDGES, LABELS, STAGES, ParcelState
from kernel import clock

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "delivery.md").read_text(encoding="utf-8")
SETTINGS = Settings(key="x" * 32)


def table(heading: str) -> list[list[str]]:
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip().strip("`") for cell in row.strip("|").split("|")] for row in rows]


def test_the_states_and_their_words() -> None:
    assert table("States") == [
        [str(state), label.status, label.label, "yes" if label.finished else "no", str(STAGES[state])]
        for state, label in ((s, LABELS[s]) for s in ParcelState)
    ]


def test_the_edges() -> None:
    assert sorted(table("Edges")) == sorted(
        [str(e.source), str(e.action), str(e.target), ", ".join(sorted(e.by))] for e in EDGES
    )


def test_the_rules_of_the_code() -> None:
    assert [row[1] for row in table("Sign code (签收码)")] == [
        str(value)
        for value in (
            sign_code.DIGITS,
            sign_code.TRIES,
            sign_code.RENEWALS,
            SETTINGS.wrong_codes_per_hour,
            SETTINGS.wrong_codes_per_day,
        )
    ]


def test_the_reviews() -> None:
    assert table("Reviews (核查)") == [[kind.value, label] for kind, label in REVIEW_LABELS.items()]


def test_the_events() -> None:
    """Every event on the page is published somewhere in the slice, and every published one is on the page."""
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "backend" / "delivery").glob("*.py"))
    assert {row[0] for row in table("Events")} == set(re.findall(r'"(parcel\.[a-z_]+)"', code))
    for event in handlers.SUBSCRIPTIONS:
        assert f"`{event}`" in PAGE


def test_every_subscriber_has_a_topic() -> None:
    topics = {topic.name for topic in handlers.TOPICS}
    assert {name for names in handlers.SUBSCRIPTIONS.values() for name in names} <= topics


@pytest.fixture(scope="module")
def seed() -> tariff.Tariff:
    return tariff.load(Path(SETTINGS.zones_path))


def test_the_seed_prices_every_town_of_the_county_by_the_published_four_and_six_yuan(seed) -> None:
    regions = tomllib.loads((ROOT / "backend" / "seed" / "regions.toml").read_text(encoding="utf-8"))["region"]
    towns = [r["code"] for r in regions if r["code"].startswith("620981") and len(r["code"]) == 9]
    assert len(towns) > 10
    for town in towns:
        price = seed.price(region_codes.padded(town), on=clock.today())
        assert price.amount_fen == (400 if price.zone == "市区" else 600), town


@pytest.mark.parametrize(
    ("region", "amount"), [("620902000000", 800), ("620922000000", 800), ("310101000000", None), ("110101000000", None)]
)
def test_the_seed_beyond_the_county(seed, region, amount) -> None:
    assert seed.price(region, on=clock.today()).amount_fen == amount


@pytest.mark.parametrize("region", ["620102000000", "620702000000", "620981000000"])
def test_the_seed_leaves_the_gap_of_its_source_open(seed, region) -> None:
    with pytest.raises(tariff.ZoneUnknown):
        seed.price(region, on=clock.today())
