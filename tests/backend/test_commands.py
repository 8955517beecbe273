"""The command line: every command has a Chinese help, wrong use is explained, and a broken configuration is told whole."""

import argparse

import pytest

from backend import commands


def subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (action,) = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return action.choices


def test_every_command_explains_itself_in_chinese(capsys):
    with pytest.raises(SystemExit) as ended:
        commands.main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for name in subcommands(commands.parser()):
        assert name in text
    (action,) = [a for a in commands.parser()._actions if isinstance(a, argparse._SubParsersAction)]
    for choice in action._choices_actions:
        assert any("\u4e00" <= letter <= "\u9fff" for letter in choice.help), choice.dest


def test_a_broken_configuration_is_told_whole_with_exit_code_2(monkeypatch, capsys):
    for name in ("DATABASE_URL", "FIELD_KEYS", "WECHAT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    assert commands.main(["ledger", "check"]) == 2
    told = capsys.readouterr().err
    for name in ("DATABASE_URL", "FIELD_KEYS", "BLIND_INDEX_KEY", "WECHAT_SECRET", "EMS_AUTHORIZATION", "DELIVERY_KEY"):
        assert name in told


@pytest.mark.parametrize(
    ("role", "needed"),
    [("courier", ("--name", "--areas")), ("agent", ("--name", "--areas", "--organisation", "--since"))],
)
def test_a_new_account_needs_what_the_role_demands(role, needed, capsys):
    with pytest.raises(SystemExit) as ended:
        commands.main([role, "create", "anna"])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert "还缺少" in told
    assert all(one in told for one in needed)


@pytest.mark.parametrize("argv", [["parcels", "assign", "1", "anna"], ["pickup", "1", "0012"], ["withdraw-item", "X"]])
def test_acts_of_a_clerk_need_the_clerks_name(argv, capsys):
    with pytest.raises(SystemExit) as ended:
        commands.main(argv)
    assert ended.value.code == 2
    assert "--clerk" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        ([], "还缺少：命令"),
        (["doktor"], "没有 'doktor'"),
        (["agent", "create", "a", "--since", "gestern"], "'gestern' 写得不对"),
        (["agent", "create", "a", "--kind", "boss"], "没有 'boss'，可以写 'proxy', 'grid'"),
        (["agent"], "还缺少：动作"),
        (["courier", "fire", "anna"], "没有 'fire'，可以写 'create', 'password', 'disable', 'list'"),
        (["doctor", "now"], "不认识：now"),
        (["outbox", "--revive"], "--revive：后面"),
        (["reopen-bill", "1", "--until", "tomorrow", "--clerk", "李主任"], "'tomorrow' 写得不对"),
    ],
)
def test_what_was_typed_wrongly_is_told_in_chinese(argv, told, capsys):
    with pytest.raises(SystemExit) as ended:
        commands.main(argv)
    assert ended.value.code == 2
    text = capsys.readouterr().err
    assert told in text
    assert text.startswith("用法：")
    for english in ("usage", "invalid", "required", "choose", "error", "argument "):
        assert english not in text


def paths(parser: argparse.ArgumentParser) -> list[list[str]]:
    """Every command and every act of a command, as it is typed."""
    if not any(isinstance(action, argparse._SubParsersAction) for action in parser._actions):
        return [[]]
    below = [[name, *rest] for name, sub in subcommands(parser).items() for rest in paths(sub)]
    return [[name] for name in subcommands(parser)] + [path for path in below if len(path) > 1]


def test_every_help_is_chinese(capsys):
    typed = paths(commands.parser())
    assert ["agent", "create"] in typed and ["agent"] in typed
    for name in typed:
        with pytest.raises(SystemExit):
            commands.main([*name, "--help"])
        text = capsys.readouterr().out
        for english in ("usage:", "options:", "positional arguments", "show this help"):
            assert english not in text, name
