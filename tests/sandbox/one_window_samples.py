"""Invented items and cases for the tests of the one-window sandbox; the people exist nowhere (province prefix 57)."""

from typing import Any

ITEM: dict[str, Any] = {
    "taskCode": "11620981MB1234567X4000114001001",
    "taskVersion": "1",
    "taskName": "老年人优待证补办",
    "catalogCode": "000114001001",
    "projectType": "2",
    "areaScope": ["620981"],
    "materials": [
        {"materialId": "PHOTO", "materialName": "一寸照片", "isNeed": 1, "materialType": "electronic", "pageNum": 1},
        {"materialId": "PROOF", "materialName": "户口簿", "isNeed": 2, "materialType": "electronic", "pageNum": 1},
    ],
    "form": [{"name": "reason", "nameCn": "补办原因", "type": "text", "required": True, "options": ["遗失", "损坏"]}],
}


def case_body(project_no: str, *, attach_ids: list[str], version: int = 1, operation: str = "I") -> dict[str, Any]:
    """A complete and correct `case.push`."""
    return {
        "cdOperation": operation,
        "dataVersion": version,
        "base": {
            "projectNo": project_no,
            "taskCode": ITEM["taskCode"],
            "taskVersion": ITEM["taskVersion"],
            "taskName": ITEM["taskName"],
            "catalogCode": ITEM["catalogCode"],
            "projectName": "测试一的老年人优待证补办",
            "projectType": "2",
            "applyType": "2",
            "applyDate": "2026-11-20 10:00:00",
            "areaCode": "620981000000",
            "orgCode": "11620981MB1234567X",
            "orgName": "玉门市民政局",
            "channel": "3",
        },
        "applicant": {
            "applyerName": "测试一",
            "applyerType": "1",
            "applyerPageType": "111",
            "applyerPageCode": "570981195603150018",
            "mobile": "13900000001",
        },
        "contact": {"contactName": "测试一", "contactType": "111", "contactMobile": "13900000001"},
        "agent": None,
        "materials": [
            {
                "materialId": "PHOTO",
                "materialName": "一寸照片",
                "getType": "electronic",
                "getNum": 1,
                "attachIds": attach_ids,
            }
        ],
        "form": [{"name": "reason", "nameCn": "补办原因", "value": "遗失"}],
        "post": {
            "way": "mail",
            "inWay": "window",
            "addressee": {
                "name": "测试一",
                "mobile": "13900000001",
                "regionCode": "620981000000",
                "address": "新市区测试路 1 号",
            },
        },
        "flags": {"tolerance": False, "assisted": False},
        "ext": {},
    }
