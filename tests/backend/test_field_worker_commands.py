"""An operator makes, lists and ends accounts of couriers and agents from the command line."""

from contextlib import asynccontextmanager

import pytest

from backend import commands, seed
from backend.catalog import queries as catalog
from backend.commands import field_workers
from backend.commands.terminal import Refused
from backend.identity import field_login, login
from kernel.problems import Invalid, NotFound
from tests.backend.identity import fakes

AGENT = (
    "agent create li.dai --name 李大年 --phone 13900000011 --areas 620981101,620981102 --kind grid "
    "--organisation 玉门镇便民服务中心 --skills 优待证，高龄津贴 --since 2023-05-01"
)
COURIER = "courier create ems.zhao --name 赵建军 --areas 620981"


@pytest.fixture
async def county(database, frozen_clock, monkeypatch):
    """Commands work on this test's database, which knows the county."""

    @asynccontextmanager
    async def opened():
        yield

    monkeypatch.setattr(field_workers, "opened", opened)
    catalog.forget_cached()
    fakes.configure()
    await seed.load()


@pytest.fixture
def typed(county, capsys):
    """Types a command; answers what was said."""

    async def run(line):
        arguments = commands.parser().parse_args(line.split())
        await arguments.run(arguments)
        return capsys.readouterr().out

    return run


async def enter(role, name, said):
    password = said.split("密码 ")[1].split("（")[0]
    return await field_login.log_in(role=role, login_name=name, password=password, ip="192.0.2.1")


async def test_an_agent_is_made_and_comes_in_with_the_password_that_was_shown(typed):
    said = await typed(AGENT)
    assert "已建立网格员 李**，登录名 li.dai" in said and "只显示这一次" in said
    me = (await enter("agent", "li.dai", said)).agent
    assert (me.kind, me.areas, me.skills) == ("grid", ("620981101", "620981102"), ("优待证", "高龄津贴"))
    assert me.serving_since_on.isoformat() == "2023-05-01"


async def test_a_courier_is_made_and_comes_in(typed):
    said = await typed(COURIER)
    assert "已建立快递员 赵**" in said
    assert (await enter("courier", "ems.zhao", said)).courier.carrier == "ems"


async def test_a_new_password_replaces_the_old_one(typed):
    first = await typed(AGENT)
    answer = await enter("agent", "li.dai", first)
    second = await typed("agent password li.dai")
    assert await login.authenticate(token=answer.access_token) is None
    with pytest.raises(field_login.WrongPassword):
        await enter("agent", "li.dai", first)
    assert await enter("agent", "li.dai", second)


async def test_the_list_says_where_who_serves_and_who_is_disabled(typed):
    await typed(AGENT)
    await typed(COURIER)
    await typed("agent create an.other --name 王秀兰 --areas 620981 --organisation 赤金镇 --since 2020-01-01")
    assert "所有登录立即失效" in await typed("agent disable an.other")
    lines = (await typed("agent list")).splitlines()
    assert lines[0].startswith("an.other  王**  代办员  赤金镇  620981  2020-01-01 起  ") and lines[0].endswith(" 停用")
    assert lines[1] == (
        "li.dai  李**  网格员  玉门镇便民服务中心  620981101、620981102  2023-05-01 起  擅长 优待证、高龄津贴"
    )
    assert lines[2:] == ["共 2 个代办员账号，其中停用 1 个"]
    assert (await typed("courier list")).splitlines() == [
        "ems.zhao  赵**  ems  620981", "共 1 个快递员账号，其中停用 0 个"
    ]  # fmt: skip


@pytest.mark.parametrize(("line", "role"), [(AGENT, "代办员"), (COURIER, "快递员")])
async def test_nobody_serves_outside_the_county(typed, line, role):
    with pytest.raises(Refused, match=f"110101 不在本县范围内，这样的{role}"):
        await typed(line.replace("--areas ", "--areas 110101,"))
    assert "共 0 个" in await typed(line.split(maxsplit=1)[0] + " list")


@pytest.mark.parametrize("act", ["password", "disable"])
async def test_a_command_of_one_role_does_not_touch_the_other(typed, act):
    said = await typed(COURIER)
    with pytest.raises(NotFound) as refused:
        await typed(f"agent {act} ems.zhao")
    assert refused.value.detail == "没有这个登录名的代办员"
    assert await enter("courier", "ems.zhao", said)


async def test_nobody_serves_since_tomorrow(typed):
    with pytest.raises(Invalid) as refused:
        await typed(AGENT.replace("2023-05-01", "2999-01-01"))
    assert [e.pointer for e in refused.value.errors] == ["/serving_since_on"]
