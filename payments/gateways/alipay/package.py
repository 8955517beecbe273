"""Whether the official SDK is the one that is installed. Two packages own the name `alipay`; this module imports neither."""

from importlib import metadata

NAME = "alipay-sdk-python"


def clash() -> str:
    """What is wrong, in Chinese with the remedy; "" when the top-level package `alipay` comes from the official SDK alone."""
    owners = sorted(set(metadata.packages_distributions().get("alipay", ())))
    if owners == [NAME]:
        return ""
    return f"Python 包 alipay 应只来自 {NAME}，实际来自 {'、'.join(owners) or '无'}，请按 requirements.txt 重新安装"
