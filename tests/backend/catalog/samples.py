"""A tiny county in files: one department, one window, one fee, one item. Tests change a word of it and see what the import says."""

from pathlib import Path

REGIONS = """
[[region]]
code = "62"
name = "甘肃省"
valid_from = 1949-10-01
[[region]]
code = "6209"
name = "酒泉市"
valid_from = 2002-06-01
[[region]]
code = "620902"
name = "肃州区"
valid_from = 2002-06-01
[[region]]
code = "620981"
name = "玉门市"
valid_from = 1955-12-01
served = true
[[region]]
code = "620981001"
name = "老市区街道"
valid_from = 2000-01-01
valid_to = 2016-12-31
successor = "620981101"
served = true
urban = true
[[region]]
code = "620981101"
name = "玉门镇"
valid_from = 2000-01-01
served = true
[[region]]
code = "620981101201"
name = "代家滩村"
valid_from = 2000-01-01
served = true
"""
DEPARTMENTS = """
[[department]]
key = "mzj"
code = "11620981013953011H"
name = "玉门市民政局"
short_name = "市民政局"
region = "620981"
consult_phone = "0937-0000102"
complaint_phone = "0937-3212345"
"""
PLACES = """
[[place]]
key = "hall"
name = "市民中心综合受理窗口"
address = "玉门市市民中心一楼大厅 1 号窗口"
hours = "工作日 8:30—12:00"
phone = "0937-0000121"
region = "620981"
"""
FEES = """
[[fee]]
code = "YDZ-GBF"
unit_code = "11620981013953011H"
unit_name = "玉门市民政局"
kind = "administrative"
name = "老年人优待证补办工本费"
charge_unit = "证"
price_fen = 1000
basis = "演示收费，不是真实的收费项目"
approval_no = "演示〔2026〕第1号"
valid_from = 2020-01-01
"""
ITEM = """
[[item]]
item_code = "YM-YDZ-BB"
name = "老年人优待证补办"
main_name = "老年人优待证办理"
summary = "优待证丢了，手机上就能补办，3 个工作日做好。"
department = "mzj"
catalog_code = "620200200100"
task_code = "11620981013953011H4620200200100"
task_type = "20"
audience = "person"
theme = "养老服务"
project_type = "promised"
review_type = "前审后批"
legal_days = 20
promise_days = 3
visits = 0
online_depth = 4
ways = ["window", "mobile"]
synonyms = ["敬老证"]
fees = [{ code = "YDZ-GBF" }]
pay_online = true
pay_before_forward = true
delivery = ["pickup", "mail"]
conditions = ["年满 60 周岁", "证件遗失或者损坏"]
materials = [
  { code = "PHOTO", name = "近期免冠照片", purpose = "印在新证上", how = "正面、浅色背景，手机拍摄" },
  { code = "IDCARD", name = "身份证照片", purpose = "核对身份", how = "人像面，四角完整", need = "tolerable" },
]
steps = [
  { name = "受理", who = "综合窗口", hours = 4, standard = "照片清楚" },
  { name = "审核", who = "养老服务股", hours = 8, standard = "查到原证记录" },
  { name = "审批", who = "股长", hours = 4, standard = "原证编号注销" },
  { name = "办结", who = "制证室", hours = 8, standard = "新证印好" },
  { name = "送达", who = "出件窗口", hours = 16, standard = "当面交付" },
]
results = [{ name = "老年人优待证", kind = "出证办结", note = "长期有效" }]
places = ["hall"]
legal_basis = ["《中华人民共和国老年人权益保障法》第五十三条"]
faqs = [{ q = "子女能替老人办吗？", a = "能，照片拍老人的。" }]
form = [
  { key = "reason", label = "补办原因", kind = "choice", options = ["遗失", "损坏"] },
  { key = "lost_on", label = "哪天丢的", kind = "date", when = { reason = "遗失" } },
]
"""


def write(folder: Path, **files: str) -> Path:
    """The sample county in `folder`; keyword arguments replace whole files (`items` is items/all.toml)."""
    texts = {"regions": REGIONS, "departments": DEPARTMENTS, "places": PLACES, "fees": FEES} | {
        name: text for name, text in files.items() if name != "items"
    }
    (folder / "items").mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    (folder / "items" / "all.toml").write_text(files.get("items", ITEM), encoding="utf-8")
    return folder


def changed(*pairs: tuple[str, str]) -> str:
    """The sample item with words replaced; each must occur."""
    text = ITEM
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text


def second(*pairs: tuple[str, str], code: str = "YM-YDZ-SL") -> str:
    """Another item beside the sample item."""
    return ITEM + changed(("YM-YDZ-BB", code), *pairs)
