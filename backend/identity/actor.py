"""Who is asking: the small frozen value every service function takes. Made only by `login.authenticate`; never
stored.
"""

from typing import Literal

import msgspec

from kernel.problems import Problem

Role = Literal["citizen", "courier", "agent"]
# Who works outside and has an account with a login name, given by an operator.
FieldRole = Literal["courier", "agent"]

# Assurance levels (可信等级): how sure we are who the person is. Adapters map other scales onto this one.
NO_ASSURANCE = 0
PHONE = 1  # the phone was proven
NAME_AND_ID = 2  # name and number agree with the population register
FACE = 3  # a live face was compared

ASSURANCE_LABELS = {
    NO_ASSURANCE: "未验证",
    PHONE: "已验证手机号",
    NAME_AND_ID: "已实名",
    FACE: "已刷脸核验",
}


class AssuranceTooLow(Problem):
    """What is wanted asks for a surer identity than this session has; `extra.action` names the step that helps."""

    status, code, title = 428, "assurance-too-low", "办理这个事项前，请先完成身份认证"


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """A logged-in person. `account_ref` is the public id other slices store; `account_id` never leaves the process."""

    account_id: int
    account_ref: str
    role: Role
    session_id: int
    assurance_level: int
    carrier: str | None = None
