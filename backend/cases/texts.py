"""What a citizen reads about each event of a case, in plain Chinese.

Personal data never enter these sentences; free text is shown beside.
"""

from collections.abc import Mapping

from backend.cases.states import Action

# kind -> sentence. {…} are the event's facts; a part in ［…］ is left out when its fact is missing.
SENTENCES: dict[str, str] = {
    Action.SUBMIT: "您提交了申请",
    Action.RETURN_FOR_EDIT: "预审没有通过，请修改后重新提交",
    Action.RESUBMIT: "您重新提交了申请",
    "received": "受理平台已收到您的申请［（{receiver}）］",
    Action.ACCEPT: "申请已受理［，承诺 {promise_on} 前办结］［，受理文书号 {document_no}］",
    Action.DECLINE: "受理单位决定不予受理［，文书号 {document_no}］",
    Action.ASK_CORRECTION: "受理单位要求您补正材料",
    Action.SUPPLY: "您已提交补正",
    Action.SUPPLY_ACCEPTED: "您已提交补正",
    Action.EXPIRE: "没有在期限内收到补正，申请已退件",
    Action.GIVE_UP: "您放弃了补正，申请已退件",
    Action.START: "受理单位开始办理",
    "step": "办理环节：{name}［（{office}）］",
    Action.OPEN_SPECIAL: "进入特别程序：{name}［，预计到 {until_on}］",
    Action.CLOSE_SPECIAL: "特别程序结束，继续办理",
    Action.SUSPEND: "办理暂停：{name}［，预计到 {until_on}］",
    Action.RESUME: "恢复办理",
    Action.TACIT: "承诺时间已到，按默许规定进入下一环节",
    Action.DECIDE_AWAITING_PAPERS: "已同意办理，请按承诺补齐材料",
    Action.PAPERS_COMPLETE: "材料已补齐，准予办理",
    Action.PROMISE_EXPIRED: "没有在承诺的日期前补齐材料，申请已退件",
    Action.GRANT: "已办结：准予",
    Action.REFUSE: "已办结：不予",
    Action.REFER_UP: "已转报上级机关",
    Action.WITHDRAW: "您撤回了申请",
    Action.VOID: "申请已作废",
    "result_file": "收到结果文件：{name}",
    "archived": "受理单位已归档",
}
# Steps that were passed through because a later message of the office proves them; nobody told us about them by
# themselves.
IMPLIED: dict[str, str] = {
    Action.SUPPLY: "受理单位不再需要补正",
    Action.SUPPLY_ACCEPTED: "受理单位不再需要补正",
    Action.ASK_CORRECTION: "受理单位曾要求补正",
    Action.ACCEPT: "申请已受理",
    Action.OPEN_SPECIAL: "继续特别程序",
    Action.SUSPEND: "办理仍在暂停",
}
LATE_NOTE = "（迟到的消息，不影响当前进度）"


def sentence(kind: str, *, note: str | None, facts: Mapping[str, str]) -> str:
    """The sentence of one event. Raises KeyError for a kind nobody wrote a sentence for, which a test rules out."""
    template = SENTENCES[kind]
    if (note == "implied" and kind in IMPLIED) or (note == "late" and kind == Action.ASK_CORRECTION):
        template = IMPLIED[kind]
    text = _fill(template, facts)
    return text + LATE_NOTE if note == "late" else text


def _fill(template: str, facts: Mapping[str, str]) -> str:
    parts = []
    for piece in template.replace("］", "［").split("［"):
        try:
            parts.append(piece.format_map(facts))
        except KeyError:
            continue
    return "".join(parts)
