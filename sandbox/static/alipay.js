// The Alipay panel: the payer, the bank behind the payer, and what Alipay itself does to a trade.
import { button, call, h } from "./page.js";
import { act, empty, newest, tag, yuan } from "./panels.js";

const TRADE = {
  WAIT_BUYER_PAY: ["待付款", "wait"], TRADE_SUCCESS: ["已付款", "good"], TRADE_FINISHED: ["已付款，不可退", "good"], TRADE_CLOSED: ["已关闭", ""],
};
const REFUND = { PROCESSING: ["退款处理中", "wait"], SUCCESS: ["退款成功", "good"], CLOSED: ["退款失败", "bad"] };

async function load() {
  const [{ orders }, { refunds }] = await Promise.all([call("alipay", "orders"), call("alipay", "refunds")]);
  return { orders: newest(orders).slice(0, 30), refunds: newest(refunds).slice(0, 30) };
}

// What a person may do in each state. Alipay itself refuses a second payment; the button shows that it does.
function choices(one) {
  const verb = `orders/${encodeURIComponent(one.out_trade_no)}`;
  const pay = (wish) => act("alipay", `${verb}/pay`, wish);
  const unpaid = one.payments.length === 0;
  if (one.state === "WAIT_BUYER_PAY") {
    return [
      button("付款", pay({})), button("付款但不通知", pay({ notify: false }), "plain"),
      button("一分钟后才通知", pay({ notify_delay_ms: 60000 }), "plain"),
      button("余额不足", act("alipay", `${verb}/fail`), "plain"), button("超时关闭", act("alipay", `${verb}/close`), "plain"),
    ];
  }
  if (unpaid) return [button("关闭后仍付款", pay({ force: true }), "plain")];
  return [
    button("再付一次", pay({}), "plain"),
    button("再通知一次", act("alipay", "notifications", { about: { out_trade_no: one.out_trade_no } }), "plain"),
    one.state === "TRADE_SUCCESS" ? button("过退款期限", act("alipay", `${verb}/finish`), "plain") : null,
  ];
}

function trade(one) {
  return h("div", { class: "item" },
    h("div", { class: "row between" }, h("h3", {}, one.request.subject), tag(...(TRADE[one.state] ?? [one.state]))),
    h("div", { class: "row between" }, h("span", { class: "meta code" }, one.out_trade_no), h("span", { class: "money" }, yuan(one.amount_fen))),
    one.refunded_fen ? h("p", { class: "meta" }, `已退 ${yuan(one.refunded_fen)}`) : null,
    h("div", { class: "row" }, choices(one)));
}

function refund(one) {
  const verb = `refunds/${encodeURIComponent(`${one.out_trade_no}:${one.out_request_no}`)}/finish`;
  return h("div", { class: "item" },
    h("div", { class: "row between" }, h("h3", {}, "退款"), tag(...(REFUND[one.status] ?? [one.status]))),
    h("div", { class: "row between" }, h("span", { class: "meta code" }, one.out_request_no), h("span", { class: "money" }, yuan(one.refund_fen))),
    one.status === "PROCESSING" ? h("div", { class: "row" },
      button("退款成功", act("alipay", verb, { status: "SUCCESS" })),
      button("退款失败", act("alipay", verb, { status: "CLOSED" }), "plain")) : null);
}

const render = ({ orders, refunds }) => [
  orders.length ? orders.map(trade) : empty("还没有支付宝交易。手机网站支付在打开收银台之后才有交易。"),
  refunds.length ? h("div", { class: "item" }, h("h3", {}, "退款单"), refunds.map(refund)) : null,
].flat();

export const alipay = {
  name: "alipay", column: 1, tab: "支付宝", title: "支付宝", hint: "扮演付款人与支付宝", partner: "alipay", load, render,
  waiting: ({ orders }) => orders.filter((one) => one.state === "WAIT_BUYER_PAY").length,
};

export const alipayCalls = {
  "alipay.trade.wap.pay": "打开收银台", "alipay.trade.create": "创建交易", "alipay.trade.query": "查交易", "alipay.trade.close": "关交易",
  "alipay.trade.refund": "退款", "alipay.trade.fastpay.refund.query": "查退款",
  "alipay.data.dataservice.bill.downloadurl.query": "取账单地址", "alipay.open.app.alipaycert.download": "下载支付宝证书", bill_download: "下载账单", cashier: "收银台按钮",
};
