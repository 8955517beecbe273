"""A field with a fixed set of words names them when another word was sent."""

from enum import StrEnum
from typing import Literal

import msgspec
import pytest

from kernel.problems import Invalid
from miniprogram_api.validation import convert


class Reason(StrEnum):
    NOBODY = "nobody_home"
    REFUSED = "refused"


class Body(msgspec.Struct):
    reason: Reason
    again: Reason | None = None
    way: Literal["pickup", "mail"] = "pickup"


def test_every_choice_is_named_and_the_input_is_not_repeated():
    with pytest.raises(Invalid) as refused:
        convert({"reason": "made-up", "again": 3, "way": "pigeon"}, Body)
    assert [(error.pointer, error.message) for error in refused.value.errors] == [
        ("/reason", "只能是：nobody_home、refused"),
        ("/again", "只能是：nobody_home、refused"),
        ("/way", "只能是：pickup、mail"),
    ]
