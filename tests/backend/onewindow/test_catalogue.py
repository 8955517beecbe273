"""Our items in the platform's words: what the county seeds is what the platform's rule engine understands."""

from pathlib import Path

import backend
from backend.catalog import importer, queries
from backend.catalog.views import version_of
from backend.onewindow import catalogue
from sandbox.one_window_catalogue import check_area, checked_item, choose, item_key
from tests.backend.onewindow.samples import guide


def test_one_item() -> None:
    task = catalogue.task(version_of(guide(), 1))
    assert (task["taskVersion"], task["projectType"], task["isExpress"]) == ("1", "2", "1")
    assert task["areaScope"] == ["620981"]
    assert task["form"] == [
        {"name": "reason", "nameCn": "补办原因", "type": "string", "required": True, "options": ["遗失", "损坏"]}
    ]
    assert [(rule["materialId"], rule["isNeed"]) for rule in task["materials"]] == [("photo", 1)]


async def test_the_seeded_county_is_taught_whole(database: None) -> None:
    folder = Path(backend.__file__).parent / "seed"
    queries.forget_cached()
    report = await importer.import_catalogue(folder=folder, author="测试", reason="测试")
    tasks = [checked_item(task) for task in await catalogue.tasks()]
    assert 0 < len(tasks) <= len(report.items_new)
    replacement = next(task for task in tasks if task["taskName"] == "老年人优待证补办")
    handle = replacement["taskHandleItems"][0]
    assert choose(tasks, replacement["taskCode"], None, handle) == replacement
    assert len({item_key(task) for task in tasks}) == len(tasks)
    check_area(replacement, "620981102000")
    assert {str(rule["isNeed"]) for rule in replacement["materials"]} <= {"0", "1", "2"}
