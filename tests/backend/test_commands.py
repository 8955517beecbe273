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


def test_a_courier_needs_a_name_and_an_area(capsys):
    assert commands.main(["courier", "create", "anna"]) == 1
    assert "--name" in capsys.readouterr().err


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
        (["courier", "fire", "anna"], "没有 'fire'，可以写 'create', 'password', 'disable'"),
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


def test_every_help_is_chinese(capsys):
    for name in subcommands(commands.parser()):
        with pytest.raises(SystemExit):
            commands.main([name, "--help"])
        text = capsys.readouterr().out
        for english in ("usage:", "options:", "positional arguments", "show this help"):
            assert english not in text, name
