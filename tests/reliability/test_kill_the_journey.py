"""Whoever dies at whatever moment: no application, no fen, no parcel and no message is lost or doubled."""

from tests.conftest import ENGINE
from tests.reliability import campaign

SEED, KILLS = 20261120, 40


async def test_processes_die_at_any_moment_of_many_journeys_and_the_books_agree(house):
    """Forty kills of API, worker or both while eight citizens at a time live the whole story; sandboxes outlive them and bear witness."""
    report = await campaign.kill(house, seed=SEED, kills=KILLS, at_once=8)
    print(f"{ENGINE}: {report}")
    assert not report.found, str(report)
    assert report.kills == KILLS
    assert report.stories >= 8
