"""WeChat's push: only what is signed, fresh and for us is stored, once; every shape becomes the same event."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wechatpy.crypto import WeChatCrypto

from kernel import clock, db, inbox
from kernel.wechat import WeChatSettings
from kernel.wechat_push import PushDoor, PushRefused, PushUnreadable, read_event

TOKEN, KEY, APPID = "push-token", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", "wx0123456789abcdef"
OPENID = "oAbCdEfGhIjKlMnOpQrStUvWxYz0"
SETTINGS = WeChatSettings(base_url="http://x", appid=APPID, secret="s", push_token=TOKEN, push_aes_key=KEY)
EVENT = {
    "ToUserName": "gh_1",
    "FromUserName": OPENID,
    "CreateTime": 1795053600,
    "MsgType": "event",
    "Event": "subscribe_msg_popup_event",
    "List": {"TemplateId": "T1", "SubscribeStatusString": "accept", "PopupScene": "0"},
}


def sign(*parts: str) -> str:
    return hashlib.sha1("".join(sorted((TOKEN, *parts))).encode()).hexdigest()


def push(plain: str, *, nonce: str = "n1", appid: str = APPID, xml: bool = False, at_s: int | None = None):
    """A genuine push: the query and the body."""
    import xmltodict

    timestamp = str(at_s if at_s is not None else int(clock.now().timestamp()))
    envelope = xmltodict.parse(WeChatCrypto(TOKEN, KEY, appid).encrypt_message(plain, nonce, timestamp))["xml"]
    sealed = envelope["Encrypt"]
    query = {
        "signature": sign(timestamp, nonce),
        "msg_signature": sign(timestamp, nonce, sealed),
        "timestamp": timestamp,
        "nonce": nonce,
        "encrypt_type": "aes",
        "openid": OPENID,
    }
    if xml:
        return query, f"<xml><ToUserName>gh_1</ToUserName><Encrypt><![CDATA[{sealed}]]></Encrypt></xml>".encode()
    return query, json.dumps({"ToUserName": "gh_1", "Encrypt": sealed}).encode()


@pytest.fixture
def door():
    return PushDoor(SETTINGS)


async def stored() -> list[dict]:
    return await db.fetch("SELECT * FROM kernel_inbox")


async def promised() -> int:
    return len(await db.fetch("SELECT id FROM kernel_outbox WHERE topic = 'inbox.wechat'"))


# -- the address check ---------------------------------------------------------------------------------------------


def test_the_vector_of_the_official_page(frozen_clock):
    query = {
        "signature": "f464b24fc39322e44b38aa78f5edd27bd1441696",
        "timestamp": "1714036504",
        "nonce": "1514711492",
        "echostr": "4375120948345356249",
    }
    settings = WeChatSettings(base_url="http://x", appid=APPID, secret="s", push_token="AAAAA", push_aes_key=KEY)
    frozen_clock.advance(seconds=1714036504 - frozen_clock.now().timestamp())
    assert PushDoor(settings).check_address(query) == "4375120948345356249"
    with pytest.raises(PushRefused):
        PushDoor(SETTINGS).check_address(query)


# -- receiving -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("xml", [False, True])
async def test_a_genuine_push_is_stored_sealed_and_promised(database, door, xml):
    query, body = push(json.dumps(EVENT), xml=xml)
    assert await door.receive(query, body)
    rows = await stored()
    assert len(rows) == 1
    assert OPENID not in repr(rows)
    assert json.loads((await inbox.load(rows[0]["id"])).body) == EVENT
    assert await promised() == 1


async def test_the_same_message_again_changes_nothing(database, door):
    query, body = push(json.dumps(EVENT))
    assert await door.receive(query, body)
    assert not await door.receive(query, body), "the same envelope"
    assert not await door.receive(*push(json.dumps(EVENT), nonce="n2")), "sent once more by WeChat, encrypted anew"
    assert await promised() == 1


async def test_two_different_messages_are_two(database, door):
    assert await door.receive(*push(json.dumps(EVENT)))
    assert await door.receive(*push(json.dumps(EVENT | {"CreateTime": 1795053601}), nonce="n2"))
    assert await promised() == 2


def damaged() -> list:
    query, body = push(json.dumps(EVENT), at_s=1795053600)
    sealed = json.loads(body)["Encrypt"]
    cut = sealed[: len(sealed) // 2]
    resigned = {"msg_signature": sign(query["timestamp"], query["nonce"], cut)}
    short = {"msg_signature": sign(query["timestamp"], query["nonce"], "AAAA")}
    foreign = push(json.dumps(EVENT), appid="wxffffffffffffffff", at_s=1795053600)
    return [
        pytest.param(query | {"msg_signature": query["signature"]}, body, id="signature of another text"),
        pytest.param(query | {"msg_signature": ""}, body, id="no signature"),
        pytest.param({k: v for k, v in query.items() if k != "msg_signature"}, body, id="plain mode"),
        pytest.param(query | {"nonce": "other"}, body, id="nonce changed"),
        pytest.param(query | {"nonce": ""}, body, id="no nonce"),
        pytest.param(query | {"timestamp": "1795053601"}, body, id="timestamp changed"),
        pytest.param(query | {"timestamp": "soon"}, body, id="timestamp is no number"),
        pytest.param(query | {"timestamp": "²"}, body, id="timestamp is no ASCII number"),
        pytest.param(query | {"msg_signature": "签名"}, body, id="signature is no ASCII"),
        pytest.param(query | resigned, json.dumps({"Encrypt": cut}).encode(), id="truncated but signed"),
        pytest.param(query | short, json.dumps({"Encrypt": "AAAA"}).encode(), id="too short but signed"),
        pytest.param(*foreign, id="for another appid"),
        pytest.param(query, b"", id="empty"),
        pytest.param(query, b"[]", id="no object"),
        pytest.param(query, b'{"Encrypt": {"a": 1}}', id="envelope is no text"),
        pytest.param(query, json.dumps(EVENT).encode(), id="plain body"),
        pytest.param(query, b"[" * 100_000, id="deep"),
        pytest.param(query, b"<xml><Encrypt>", id="half XML"),
        pytest.param(
            query,
            b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><xml><Encrypt>&b;</Encrypt></xml>',
            id="entities",
        ),
    ]


@pytest.mark.parametrize(("query", "body"), damaged())
async def test_anything_else_is_refused_alike_and_leaves_no_trace(database, door, frozen_clock, query, body):
    frozen_clock.advance(seconds=1795053600 - frozen_clock.now().timestamp())
    with pytest.raises(PushRefused) as raised:
        await door.receive(query, body)
    assert raised.value.status == 400
    assert await stored() == []


@pytest.mark.parametrize(
    ("skew_s", "believed"), [(-599, True), (599, True), (-601, False), (601, False), (-86400, False)]
)
async def test_ten_minutes_either_way_are_believed(database, door, frozen_clock, skew_s, believed):
    query, body = push(json.dumps(EVENT), at_s=int(clock.now().timestamp()) + skew_s)
    if believed:
        assert await door.receive(query, body)
    else:
        with pytest.raises(PushRefused):
            await door.receive(query, body)


async def test_without_a_push_token_nothing_is_believed(database):
    door = PushDoor(WeChatSettings(base_url="http://x", appid=APPID, secret="s"))
    query, body = push(json.dumps(EVENT))
    with pytest.raises(PushRefused):
        await door.receive(query, body)


async def test_an_unknown_event_and_a_text_are_stored_like_any_other(database, door):
    assert await door.receive(*push("not even JSON"))
    assert await door.receive(*push(json.dumps(EVENT | {"Event": "new_thing"}), nonce="n2"))


# -- shapes --------------------------------------------------------------------------------------------------------

ONE = {"TemplateId": "T1", "SubscribeStatusString": "accept", "PopupScene": "0"}
TWO = {"TemplateId": "T2", "SubscribeStatusString": "reject", "PopupScene": "0"}


def xml_of(event: str, wrapper: str, items: list[dict]) -> bytes:
    lists = "".join(
        "<List>" + "".join(f"<{k}><![CDATA[{v}]]></{k}>" for k, v in item.items()) + "</List>" for item in items
    )
    return (
        f"<xml><ToUserName>gh_1</ToUserName><FromUserName><![CDATA[{OPENID}]]></FromUserName>"
        f"<CreateTime>1795053600</CreateTime><MsgType>event</MsgType><Event><![CDATA[{event}]]></Event>"
        f"<{wrapper}>{lists}</{wrapper}></xml>"
    ).encode()


@pytest.mark.parametrize("items", [[ONE], [ONE, TWO]])
@pytest.mark.parametrize(
    ("event", "wrapper"),
    [
        ("subscribe_msg_popup_event", "SubscribeMsgPopupEvent"),
        ("subscribe_msg_change_event", "SubscribeMsgChangeEvent"),
        ("subscribe_msg_sent_event", "SubscribeMsgSentEvent"),
    ],
)
@pytest.mark.parametrize("created", [1795053600, "1795053600"])
def test_json_and_xml_one_item_and_several_number_and_text_are_the_same_event(event, wrapper, items, created):
    shaped = items[0] if len(items) == 1 else items
    from_json = read_event(json.dumps(EVENT | {"Event": event, "List": shaped, "CreateTime": created}).encode())
    from_array = read_event(json.dumps(EVENT | {"Event": event, "List": items}).encode())
    assert from_json == from_array == read_event(xml_of(event, wrapper, items))
    assert from_json.entries == tuple(items)
    assert from_json.created_at_s == 1795053600
    assert OPENID not in repr(from_json)


def test_numbers_inside_a_list_become_text():
    event = read_event(json.dumps(EVENT | {"List": {"MsgID": 17, "ErrorCode": 0, "ErrorStatus": None}}).encode())
    assert event.entries == ({"MsgID": "17", "ErrorCode": "0", "ErrorStatus": ""},)


def test_an_event_without_list_has_no_entries():
    assert read_event(json.dumps({k: v for k, v in EVENT.items() if k != "List"}).encode()).entries == ()
    assert read_event(json.dumps(EVENT | {"List": "x"}).encode()).entries == ()


@pytest.mark.parametrize("change", [{"Event": None}, {"FromUserName": 5}, {"CreateTime": "now"}, {"CreateTime": None}])
def test_a_message_that_is_no_event_is_unreadable(change):
    with pytest.raises(PushUnreadable):
        read_event(json.dumps(EVENT | change).encode())


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(raw):
    try:
        read_event(raw)
    except PushUnreadable:
        return
