"""Settings of the cases slice."""

from dataclasses import dataclass

from kernel.config import setting


@dataclass(frozen=True, kw_only=True)
class CasesSettings:
    """Deadlines and limits of applications and uploads."""

    correction_days: int = setting(
        "CASES_CORRECTION_DAYS", help="受理单位没有写明补正期限时使用的自然日数", default=15, minimum=1, maximum=365
    )
    correction_grace_days: int = setting(
        "CASES_CORRECTION_GRACE_DAYS",
        help="补正期限过后再等几个自然日才按逾期退件（等受理单位的消息先到）",
        default=3,
        minimum=0,
        maximum=30,
    )
    bill_days: int = setting("CASES_BILL_DAYS", help="提交申请后缴费单的有效天数", default=30, minimum=1, maximum=365)
    open_drafts: int = setting(
        "CASES_OPEN_DRAFTS", help="每个账号同时可以保留的草稿数", default=30, minimum=1, maximum=1000
    )
    photo_workers: int = setting("CASES_PHOTO_WORKERS", help="检查照片的子进程数", default=2, minimum=1, maximum=16)
    upload_files_a_day: int = setting(
        "CASES_UPLOAD_FILES_A_DAY", help="每个账号每 24 小时最多上传的文件数", default=200, minimum=1, maximum=100000
    )
    upload_mb_a_day: int = setting(
        "CASES_UPLOAD_MB_A_DAY", help="每个账号每 24 小时最多上传的总量（MB）", default=500, minimum=1, maximum=1000000
    )
