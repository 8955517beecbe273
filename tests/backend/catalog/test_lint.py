"""What a guide must say before it may be published: one row per rule, changing one word of a right item."""

from datetime import date

import pytest

from backend.catalog import files, lint
from tests.backend.catalog import samples

DAY = date(2026, 11, 20)


def complaints(folder, **texts):
    return files.load(samples.write(folder, **texts), on=DAY)[1]


def test_the_sample_is_right(tmp_path):
    assert complaints(tmp_path) == []


@pytest.mark.parametrize(
    ("old", "new", "field", "words"),
    [
        ("promise_days = 3", "promise_days = 0", "promise_days", "L01"),
        ("前审后批", "即审即办", "review_type", "L01"),
        ("promise_days = 3", "promise_days = 20", "promise_days", "应短于法定时限"),
        ('kind = "出证办结"', 'kind = "出文办结"', "results[0].kind", "L02"),
        ("visits = 0", "visits = 1", "visits_reason", "L03"),
        ("visits = 0", 'visits = 0\nvisits_reason = "要当面核对"', "visits_reason", "L03"),
        ('ways = ["window", "mobile"]', 'ways = ["window"]', "ways", "L04"),
        ("visits = 0", 'visits = 1\nvisits_reason = "要当面核对"', "visits", "L04"),
        ("pay_online = true\n", "", "pay_online", "L05"),
        ('fees = [{ code = "YDZ-GBF" }]\n', "", "pay_online", "L05"),
        ('fees = [{ code = "YDZ-GBF" }]\n', "", "pay_before_forward", "L05"),
        ("visits = 0", 'visits = 0\ncomplaint_phone = "0937-0000102"', "complaint_phone", "L06 投诉电话不能和咨询电话相同"),
        ("visits = 0", 'visits = 0\ncomplaint_phone = "12345"', "complaint_phone", "L06"),
        ("visits = 0", 'visits = 0\nconsult_phone = "3336666"', "consult_phone", "L06"),
        ("养老服务", "企业开办", "theme", "L08"),
        ('name = "办结"', 'name = "制证"', "steps", "L09"),
        ("hours = 8, standard = \"新证印好\"", "hours = 80, standard = \"新证印好\"", "steps", "L09 各环节共"),
        ('legal_basis = ["《中华人民共和国老年人权益保障法》第五十三条"]', "legal_basis = []", "legal_basis", "L10"),
        ("年满 60 周岁", "符合条件的老人", "conditions[0]", "L11"),
        ("年满 60 周岁", "其他", "conditions[0]", "L11"),
        ("年满 60 周岁", "。", "conditions[0]", "L11"),
        ("印在新证上", "按规定提供", "materials[0].purpose", "L11"),
        ("照片清楚", "详见附件", "steps[0].standard", "L11"),
        ("能，照片拍老人的。", "请咨询窗口", "faqs[0].a", "L11"),
        ('code = "IDCARD"', 'code = "PHOTO"', "materials", "重复"),
        ('task_type = "20"', 'task_type = "99"', "task_type", "事项类型只能是"),
        ('online_depth = 4', 'online_depth = 5', "online_depth", "1 至 4"),
    ],
)  # fmt: skip
def test_each_rule_refuses(tmp_path, old, new, field, words):
    found = complaints(tmp_path, items=samples.changed((old, new)))
    assert any(c.field == field and words in c.message for c in found), [str(c) for c in found]
    assert all(c.file == "all.toml" and c.row == 2 for c in found), "every complaint names file and row"


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("工作日 8:30—12:00", "每天早上", "hours"),
        ("1 号窗口", "大厅里", "address"),
        ("0937-0000121", "3336666", "phone"),
        ('region = "620981"', 'region = "62098"', "region"),
    ],
)
def test_a_window_is_named_exactly(tmp_path, old, new, field):
    found = complaints(tmp_path, places=samples.PLACES.replace(old, new))
    assert [(c.file, c.field) for c in found][:1] == [("places.toml", field)]


def test_filler_is_recognised_only_where_it_says_nothing():
    assert lint.filler("其他县市的户口也能办") is None
    assert lint.filler("按规定办理") and lint.filler("略") and lint.filler(" ")
