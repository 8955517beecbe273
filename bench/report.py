"""What a run looks like to a person: the table, the ratios, the goals."""

from typing import Any

from bench.judge import NOISY, OURS, Verdict

TITLES = {
    "status": "(a) 一件办件的状态",
    "overview": "(a') 办件全貌（办理×缴费×寄送）",
    "list": "(b) 我的办件 20 条",
    "submit": "(c) 提交申请",
    "notice": "(d) 支付通知：验签、入账、确认",
    "notice_again": "(d') 重复的支付通知",
    "guide": "(f) 办事指南",
    "items": "(f') 事项列表",
}


def render(result: dict[str, Any], verdicts: list[Verdict]) -> str:
    """The whole report."""
    lines = [_machine(result), ""]
    head = f"{'':28}{'次/秒':>8}{'最低–最高':>15}{'p50 ms':>8}{'p99 ms':>8}{'服务 µs':>9}{'库 µs':>8}{'内存 MB':>8}{'字节':>7}{'本品÷ 次/秒':>12}{'本品÷ CPU':>10}"
    for scenario, servers in result["median"].items():
        lines += [TITLES.get(scenario, scenario), head]
        ours = servers[OURS]
        lines += [_row(name, row, ours) for name, row in servers.items()]
        lines.append("")
    lines += [f"跳过：{name}：{why}" for name, why in result["skipped"].items()]
    lines += ["目标"]
    lines += [_goal(v) for v in verdicts]
    lines += [f"✗ {text}" for text in result["violations"]]
    audit, paid = result["audit"], result["paid"]
    lines.append(
        f"核对数据库：确认的提交 {audit['acknowledged']} 件，各表行数{'相符' if not audit['violations'] else '不符'}；"
        f"确认的支付 {paid['acknowledged']} 笔，单据与账{'相符' if not paid['violations'] else '不符'}"
    )
    return "\n".join(lines)


def _machine(result: dict[str, Any]) -> str:
    m = result["machine"]
    noise = (
        f"NOISY：其他进程占用 {result['strangers']:.0%}"
        if result["strangers"] > NOISY
        else f"其他进程占用 {result['strangers']:.0%}"
    )
    return (
        f"{m['cpu']} × {m['cpus']}，内存 {m['memory_mb']} MB，Python {m['python']}，{result['database']['version']}，"
        f"fsync {result['database']['fsync']}，库存办件 {result['stored']} 件，{result['rounds']} 轮取中位数，32 个连接，饱和负载。{noise}"
    )


def _row(name: str, row: dict[str, float], ours: dict[str, float]) -> str:
    times = f"{ours['rps'] / row['rps']:.2f}" if row["rps"] else "–"
    work = f"{ours['server_us'] / row['server_us']:.2f}" if row.get("server_us") else "–"
    return (
        f"  {name:26}{row['rps']:8.0f}{row['rps_min']:8.0f}–{row['rps_max']:<6.0f}{row.get('p50', 0):8.2f}{row.get('p99', 0):8.1f}"
        f"{row.get('server_us', 0):9.1f}{row.get('database_us', 0):8.1f}{row.get('pss_mb', 0):8.0f}{row.get('bytes', 0):7.0f}{times:>12}{work:>10}"
    )


def _goal(v: Verdict) -> str:
    mark = {True: "✓", False: "✗", None: "–"}[v.passed]
    reached = "未测" if v.reached is None else f"{v.reached:.2f}"
    why = f"（未判定：{v.why}）" if v.passed is None else ""
    return f"  {mark} {v.row} {v.text}：{reached}，目标 {v.wanted}{why}"
