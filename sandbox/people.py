"""The invented people of the demo county whom WeChat and the population register both know.

Numbers carry a right check character and a province prefix (57) that was never assigned, so that no real person is hit.
"""

from dataclasses import dataclass

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK = "10X98765432"


def with_check(first_17: str) -> str:
    """The 18-character citizen number of 17 digits (ISO 7064 MOD 11-2, GB 11643)."""
    return first_17 + _CHECK[sum(int(d) * w for d, w in zip(first_17, _WEIGHTS, strict=True)) % 11]


def check_is_right(number: str) -> bool:
    """Whether an 18-character citizen number is well formed; real dates and areas are not looked at."""
    body = number[:17]
    return len(number) == 18 and body.isascii() and body.isdigit() and with_check(body) == number


@dataclass(frozen=True)
class DemoPerson:
    """One invented person. `key` is the short name used in control addresses."""

    key: str
    name: str
    id_number: str
    phone: str
    role: str
    state: str = "alive"
    guardian: str | None = None  # key of the guardian, for minors
    wechat: bool = True
    placeholder: str | None = None  # the name as the register writes it when it lacks a rare character


def _person(key: str, name: str, born_and_serial: str, phone_tail: int, role: str, **more: object) -> DemoPerson:
    number = with_check("570981" + born_and_serial)
    return DemoPerson(key, name, number, f"1390000{phone_tail:04d}", role, **more)  # type: ignore[arg-type]


DEMO_PEOPLE = (
    _person("zhangguilan", "张桂兰", "19530412002", 1, "七旬老人，补办老年人优待证"),
    _person("lijianguo", "李建国", "19500823001", 2, "老年人，张桂兰的老伴"),
    _person("lixiaojun", "李晓军", "19810607003", 3, "张桂兰的儿子，代老人办理"),
    _person("wangxiuying", "王秀英", "19550219004", 4, "老年人，住乡镇"),
    _person("zhaolei", "赵磊", "19920311005", 5, "青年居民"),
    _person("chenxiaoyu", "陈小雨", "20150518006", 6, "未成年人，监护人赵磊", guardian="zhaolei", wechat=False),
    _person("sunfuhai", "孙福海", "19380101007", 7, "登记为已故", state="deceased", wechat=False),
    _person("malong", "马\U00030edd", "19620915009", 8, "姓名含生僻字", placeholder="马〓"),
    _person("guli", "古丽·阿依努尔", "19580730008", 9, "姓名含间隔号"),
)
