"""Regional profiles are data: shipped ones are sound, a county's own file extends one, and every fault is told at once."""

import pytest

from kernel.config import ConfigError, load
from payments.gateways.unified_pay import codes, profile
from payments.gateways.unified_pay.profile import ProfileInvalid
from payments.unified_settings import UnifiedPaySettings

SHIPPED = ("cnnontax", "demo_county", "provincial_xml")


def tables(**changed) -> dict:
    found = profile._merged(
        profile._read(profile._SHIPPED / "cnnontax.toml"), profile._read(profile._SHIPPED / "demo_county.toml")
    )
    found.pop("extends")
    found["name"] = "own"
    for path, value in changed.items():
        *parents, last = path.split("__")
        place = found
        for name in parents:
            place = place[name]
        if value is None:
            del place[last]
        else:
            place[last] = value
    return found


@pytest.mark.parametrize("name", SHIPPED)
def test_what_is_shipped_is_sound_and_says_what_nobody_confirmed(name):
    found = profile.load(name)
    assert found.name == name and found.title and found.unconfirmed


def test_a_county_writes_down_only_what_differs(tmp_path):
    own = tmp_path / "jiuquan.toml"
    own.write_text(
        'extends = "cnnontax"\n[amount]\nunit = "fen"\n[results]\nalready_paid = ["777"]\n', encoding="utf-8"
    )
    found = profile.load(str(own))
    assert (found.name, found.amount.unit, found.results["already_paid"]) == ("jiuquan", "fen", ["777"])
    assert found.results["done"] == ["00000"] and found.framing.magic == "CNNONTAX1.0"


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"title": None}, "缺少 title"),
        ({"colour": "red"}, "不认识的配置 colour"),
        ({"transport__kind": "pigeon"}, "transport"),
        ({"transport__total_seconds": 60.0}, "总时限"),
        ({"framing__length_digits": 1}, "长度域应为"),
        ({"framing__most_bytes": 10}, "most_bytes"),
        ({"proof__kind": "none"}, "必须有校验码"),
        ({"envelope__charset": "klingon"}, "没有字符集"),
        ({"envelope__kind": "plain"}, "不配"),
        ({"pay_code__template": "{region}{serial:4}"}, "不符合 pattern"),
        ({"pay_code__template": "{region}{secret}{serial:10}"}, "只能用"),
        ({"pay_code__template": "{region}"}, "正好有一个 serial"),
        ({"pay_code__pattern": "[0-9"}, "pay_code"),
        ({"order__life_seconds": 5}, "life_seconds"),
        ({"hours__open": "25:00"}, "HH:MM"),
        ({"results__done": []}, "done 至少"),
        ({"results__already_paid": ["00000"]}, "既表示成功又表示别的"),
        ({"results__maybe": ["1"]}, "不认识的含义 maybe"),
        ({"words__bill": {"0": "unpaid"}}, "同时说明已缴与未缴"),
        ({"words__bill": {"0": "unpaid", "1": "paid", "2": "lost"}}, "不认识的词 lost"),
        ({"words__mood": {}}, "不认识的类别 mood"),
        ({"operations__query": None}, "缺少 query"),
        ({"operations__order__fields__Memo": "{openid}"}, "不能用 openid"),
        ({"operations__order__fields__Memo": "{title"}, "不能用 {}"),
        ({"operations__order__read__pay_url": None}, "缺少 pay_url"),
        ({"operations__query__read__txn": None}, "缺少 txn"),
        ({"operations__query__read__colour": "C"}, "不认识的词 colour"),
        ({"operations__refund_query": None}, "一起有或一起没有"),
        ({"refunds": None}, "必须说明退款能力"),
        ({"statement": None}, "必须说明对账单格式"),
        ({"statement__columns__txn": None}, "缺少 txn"),
        ({"push__read__amount": None}, "push.read：缺少 amount"),
        ({"push__number": ""}, "push：需要 number"),
    ],
)
def test_every_fault_has_its_sentence(changed, complaint):
    with pytest.raises(ProfileInvalid, match=complaint.replace("{", r"\{").replace("}", r"\}")):
        profile.build(tables(**changed))


def test_all_faults_come_together():
    with pytest.raises(ProfileInvalid) as refused:
        profile.build(tables(hours__open="9", order__life_seconds=1, results__done=[], operations__query=None))
    assert len(refused.value.complaints) >= 4


def test_without_a_proof_a_statement_is_demanded():
    """Query and statement are the proof where messages carry none."""
    found = profile._read(profile._SHIPPED / "provincial_xml.toml") | {"name": "own"}
    del found["statement"], found["operations"]["statement"]
    with pytest.raises(ProfileInvalid, match="必须有对账单"):
        profile.build(found)


def test_a_file_that_is_missing_or_no_toml_is_named(tmp_path):
    with pytest.raises(ProfileInvalid, match=r"读不到模板文件 nowhere\.toml"):
        profile.load("nowhere")
    (tmp_path / "own.toml").write_text("title = ", encoding="utf-8")
    with pytest.raises(ProfileInvalid, match="不是 TOML"):
        profile.load(str(tmp_path / "own.toml"))


def test_a_code_is_text_with_its_leading_zeros():
    assert codes.make("{region}{yy}30{serial:10}", region="320682", serial=7, year=2022) == "32068222300000000007"
    assert codes.make("{yyyy}{serial}", region="", serial=12, year=2026) == "202612"
    assert codes.make("{serial:16}", region="", serial=1, year=2026) == "0000000000000001"
    with pytest.raises(ValueError, match="用完"):
        codes.make("{serial:2}", region="", serial=100, year=2026)


GOOD = {
    "UNIFIED_PAY_PROFILE": "demo_county", "UNIFIED_PAY_URL": "tcp://10.1.2.3:9001", "UNIFIED_PAY_TOKEN": "s" * 32,
    "UNIFIED_PAY_REGION": "620981", "UNIFIED_PAY_OUR_NODE": "K1", "UNIFIED_PAY_FINANCE_NODE": "F1",
}  # fmt: skip


def test_the_channel_is_off_until_a_profile_is_named():
    (settings,) = load(UnifiedPaySettings, environ={})
    assert not settings.enabled and settings.production_complaints() == []
    (settings,) = load(UnifiedPaySettings, environ=GOOD)
    assert settings.enabled and "s" * 32 not in repr(settings)


def test_every_wrong_setting_is_told_at_once():
    wrong = GOOD | {
        "UNIFIED_PAY_URL": "https://x",
        "UNIFIED_PAY_TOKEN": "short",
        "UNIFIED_PAY_REGION": "62",
        "UNIFIED_PAY_OUR_NODE": "",
    }
    with pytest.raises(ConfigError) as refused:
        load(UnifiedPaySettings, environ=wrong)
    told = "\n".join(refused.value.complaints)
    assert all(
        name in told for name in ("UNIFIED_PAY_URL", "UNIFIED_PAY_TOKEN", "UNIFIED_PAY_REGION", "UNIFIED_PAY_OUR_NODE")
    )
    assert "short" not in told


@pytest.mark.parametrize("url", ["tcp://host", "tcp://host:99999", "tcp://host:1/path", "ftp://host:1", "host:1"])
def test_an_address_that_cannot_be_is_refused(url):
    with pytest.raises(ConfigError, match="UNIFIED_PAY_URL"):
        load(UnifiedPaySettings, environ=GOOD | {"UNIFIED_PAY_URL": url})


def test_production_wants_no_demo_and_no_sandbox():
    (settings,) = load(UnifiedPaySettings, environ=GOOD | {"UNIFIED_PAY_URL": "tcp://127.0.0.1:18108"})
    assert len(settings.production_complaints()) == 2
    (settings,) = load(
        UnifiedPaySettings,
        environ=GOOD | {"UNIFIED_PAY_PROFILE": "provincial_xml", "UNIFIED_PAY_URL": "http://pay.example.gov.cn"},
    )
    assert "https" in settings.production_complaints()[0]
