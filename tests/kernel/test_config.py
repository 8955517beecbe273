"""Settings come from the environment or from files, and everything that is wrong is said at once."""

from dataclasses import dataclass

import pytest

from kernel import config
from kernel.config import setting


@dataclass(frozen=True, kw_only=True)
class Example:
    url: str = setting("EXAMPLE_URL", help="地址")
    tries: int = setting("EXAMPLE_TRIES", help="次数", default=3, minimum=1, maximum=9)
    secret: str = setting("EXAMPLE_SECRET", help="密钥", secret=True)
    on: bool = setting("EXAMPLE_ON", help="开关", default=False)
    names: tuple[str, ...] = setting("EXAMPLE_NAMES", help="名单", default=())
    kind: str = setting("EXAMPLE_KIND", help="种类", default="a", choices=("a", "b"))


GOOD = {"EXAMPLE_URL": "http://x", "EXAMPLE_SECRET": "s"}


def test_defaults_and_types():
    loaded = config.load_one(Example, {**GOOD, "EXAMPLE_TRIES": "5", "EXAMPLE_ON": "true", "EXAMPLE_NAMES": "a, b"})
    assert (loaded.tries, loaded.on, loaded.names, loaded.kind) == (5, True, ("a", "b"), "a")


def test_every_complaint_at_once_naming_setting_and_remedy():
    with pytest.raises(config.ConfigError) as caught:
        config.load_one(Example, {"EXAMPLE_TRIES": "99", "EXAMPLE_ON": "maybe", "EXAMPLE_KIND": "c"})
    text = "\n".join(caught.value.complaints)
    for name in ("EXAMPLE_URL", "EXAMPLE_SECRET", "EXAMPLE_TRIES", "EXAMPLE_ON", "EXAMPLE_KIND"):
        assert name in text
    assert "不能大于 9" in text


def test_a_secret_may_come_from_a_file_that_only_its_owner_reads(tmp_path):
    path = tmp_path / "secret"
    path.write_text("from file\n")
    path.chmod(0o600)
    loaded = config.load_one(Example, {"EXAMPLE_URL": "x", "EXAMPLE_SECRET_FILE": str(path)})
    assert loaded.secret == "from file"
    path.chmod(0o644)
    with pytest.raises(config.ConfigError, match="chmod"):
        config.load_one(Example, {"EXAMPLE_URL": "x", "EXAMPLE_SECRET_FILE": str(path)})


def test_a_secret_given_twice_is_refused(tmp_path):
    with pytest.raises(config.ConfigError, match="不能同时"):
        config.load_one(Example, {**GOOD, "EXAMPLE_SECRET_FILE": str(tmp_path / "x")})


def test_a_secret_never_shows_in_repr_and_never_has_a_default():
    assert "s'" not in repr(config.load_one(Example, {**GOOD, "EXAMPLE_SECRET": "very-secret"}))
    with pytest.raises(TypeError):
        setting("X", help="x", secret=True, default="dev")


def test_an_empty_value_means_not_set_as_in_an_environment_file(tmp_path):
    loaded = config.load_one(Example, {**GOOD, "EXAMPLE_TRIES": "", "EXAMPLE_ON": " ", "EXAMPLE_KIND": ""})
    assert (loaded.tries, loaded.on, loaded.kind) == (3, False, "a")
    with pytest.raises(config.ConfigError, match="EXAMPLE_SECRET：没有设置"):
        config.load_one(Example, {**GOOD, "EXAMPLE_SECRET": ""})


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e400"])
def test_what_is_no_finite_number_is_refused(value):
    @dataclass(frozen=True, kw_only=True)
    class Waiting:
        seconds: float = setting("EXAMPLE_SECONDS", help="秒", default=1.0, minimum=0)

    with pytest.raises(config.ConfigError, match="EXAMPLE_SECONDS"):
        config.load_one(Waiting, {"EXAMPLE_SECONDS": value})


def test_a_secret_file_that_is_no_text_is_a_complaint_that_repeats_nothing_of_it(tmp_path):
    path = tmp_path / "secret"
    path.write_bytes(b"\xff\xfe very secret")
    path.chmod(0o600)
    with pytest.raises(config.ConfigError) as caught:
        config.load_one(Example, {"EXAMPLE_URL": "x", "EXAMPLE_SECRET_FILE": str(path)})
    assert "不是 UTF-8" in str(caught.value)
    assert "very" not in str(caught.value)


def test_names_that_look_like_ours_but_are_none_are_found_with_what_was_probably_meant():
    environ = {"EXAMPLE_TRYS": "3", "EXAMPLE_URL": "x", "EXAMPLE_SECRET_FILE": "x", "PATH": "/bin", "UNRELATED": "1"}
    (told,) = config.unknown(Example, environ=environ)
    assert "EXAMPLE_TRYS" in told
    assert "EXAMPLE_TRIES" in told
