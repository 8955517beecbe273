"""Papers: the payer's own receipt as a PDF, and what a stranger learns who verifies a paper."""

from backend import payment_papers
from backend.papers import registry
from backend.papers.registry import PaperView
from kernel.problems import NotFound
from miniprogram_api import paper_page
from miniprogram_api.endpoints import CITIZEN, PUBLIC, Call, Raw, endpoint

_TAG = "凭证"


@endpoint(
    "GET",
    "/receipts/{receipt_no}",
    summary="缴费凭证（PDF），凭证号在支付记录的 receipt_no",
    tag=_TAG,
    roles=CITIZEN,
    raw_answer="application/pdf",
    etag=True,
    limit="30/minute",
)
async def receipt(call: Call) -> Raw:
    body = await payment_papers.pdf(actor=call.actor, receipt_no=call.path["receipt_no"])
    headers = {"Content-Disposition": 'attachment; filename="receipt.pdf"', "Cache-Control": "private, no-cache"}
    return Raw(body=body, content_type="application/pdf", headers=headers)


@endpoint(
    "GET",
    "/documents/{code}",
    summary="核验凭证：凭核验码查真伪和现在的状态",
    tag=_TAG,
    roles=PUBLIC,
    answer=PaperView,
    limit="30/minute",
)
async def document(call: Call) -> PaperView:
    return await registry.verify(code=call.path["code"])


@endpoint(
    "GET",
    "/verify/{code}",
    summary="核验凭证的网页，凭证二维码指向这里",
    tag=_TAG,
    roles=PUBLIC,
    raw_answer="text/html",
    limit="30/minute",
    prefix="",
)
async def verification(call: Call) -> Raw:
    try:
        paper = await registry.verify(code=call.path["code"])
    except NotFound:
        return _page(paper_page.unknown(), 404)
    return _page(paper_page.known(paper), 200)


def _page(body: bytes, status: int) -> Raw:
    return Raw(body=body, status=status, content_type="text/html; charset=utf-8", headers=paper_page.HEADERS)
