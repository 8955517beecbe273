"""An elderly citizen loses her card: from the login on her phone to the new certificate in her hand."""

from deploy.local.story import Story


async def test_from_login_to_the_certificate_in_the_right_hand(cast):
    story = Story(cast, say=lambda text: None)
    steps = [step async for step in story.play()]
    assert steps[-1] == "hear_everything"

    lines = [line["text"] for line in await story.timeline()]
    in_order = ["提交", "已缴费", "补正", "受理", "准予", "已收件", "离开", "派送", "签收"]
    story_so_far = "\n".join(lines)
    for word in in_order:
        _, found, story_so_far = story_so_far.partition(word)
        assert found, f"{word} is missing, or came too early, in {lines}"

    view = await story.overview()
    assert view["case"]["status"] == "granted"
    assert view["next_action"]["action"] == "none"
    assert {bill["status"] for bill in view["bills"]} == {"paid"}
    assert sum(bill["paid_fen"] for bill in view["bills"]) == story.money_paid_fen == 1600


async def test_money_papers_and_messages_are_there_exactly_once(cast):
    """What the partners saw, from their own books."""
    story = Story(cast, say=lambda text: None)
    async for _ in story.play():
        pass
    orders = (await cast.partner(3).do("GET", "/orders"))["orders"]
    assert sum(1 for order in orders if order["state"] == "SUCCESS") == 2
    assert len((await cast.partner(5).do("GET", "/parcels"))["parcels"]) == 1
    assert len((await cast.partner(4).do("GET", "/cases"))["cases"]) == 1
    sent = (await cast.partner(1).do("GET", f"/persons/{story.person}/messages"))["messages"]
    told = [str(message.get("data", message)) for message in sent]
    assert len(told) == len(set(told))
