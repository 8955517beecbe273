// The panels: what each played role sees and may do. Facts come from the partners; nothing is remembered here but choices.
import { alipay, alipayCalls } from "./alipay.js";
import { ask, button, call, copy, h, refresh, showPartners, toast } from "./page.js";

export const yuan = (fen) => `¥${(fen / 100).toFixed(2)}`;
export const tag = (text, kind = "") => h("span", { class: `tag ${kind}` }, text);
export const empty = (text) => h("p", { class: "empty" }, text);
export const act = (partner, verb, body = {}) => async () => { await call(partner, verb, body); toast("已办理"); };
export const newest = (list) => [...list].reverse();
const clock = (iso) => new Date(iso).toLocaleString("zh-CN", { hour12: false, timeZone: "Asia/Shanghai" });

// ---- 微信用户 ----------------------------------------------------------------------------------------------------
const phone = { who: null, given: null };

async function loadPhone() {
  const { persons } = await call("wechat", "persons");
  phone.who ??= persons[0]?.key ?? null;
  if (phone.who === null) return { persons, person: null, messages: [] };
  const [person, { messages }] = await Promise.all([
    call("wechat", `persons/${encodeURIComponent(phone.who)}`),
    call("wechat", `persons/${encodeURIComponent(phone.who)}/messages`),
  ]);
  return { persons, person, messages };
}

const KINDS = { login: ["login_code", "登录 code"], phone: ["phone_code", "手机号 code"] };

function codeButton(kind) {
  const [verb, title] = KINDS[kind];
  return button(`取${title}`, async () => {
    const { code } = await call("wechat", `persons/${encodeURIComponent(phone.who)}/${verb}`, {});
    phone.given = { who: phone.who, title, code };
  });
}

function subscription(template) {
  const verb = `persons/${encodeURIComponent(phone.who)}`;
  const tap = (choice, always) => act("wechat", `${verb}/subscriptions`, { templates: [template.template_id], choice, always });
  const left = template.long_term ? (template.accepted ? "长期有效" : "未订阅") : `还可收 ${template.quota} 条`;
  const good = template.long_term ? template.accepted : template.quota > 0;
  return h("tr", {},
    h("td", {}, template.title, h("br"), h("span", { class: "meta" }, left, template.always ? " · 总是保持选择" : "")),
    h("td", {},
      button("允许", tap("accept", false), good ? "small plain" : "small"), " ",
      button("总是", tap("accept", true), "small plain"), " ",
      button("拒绝", tap("reject", false), "small plain"), " ",
      button("关闭", act("wechat", `${verb}/turn_off`, { templates: [template.template_id] }), "small plain")));
}

function message(one) {
  return h("article", { class: "message" },
    h("div", { class: "row between" }, h("h3", {}, one.title), h("span", { class: "meta" }, clock(one.at))),
    h("dl", {}, Object.entries(one.data).map(([key, value]) => h("dd", { title: key }, value))),
    one.page ? h("p", { class: "meta code" }, one.page) : null);
}

function renderPhone({ persons, person, messages }) {
  if (!person) return empty("还没有微信用户。");
  const people = persons.map((one) => h("button", {
    type: "button", "aria-pressed": String(one.key === phone.who), title: one.role,
    onclick: () => { phone.who = one.key; phone.given = null; refresh(); },
  }, one.name, one.messages ? ` ${one.messages}` : ""));
  const given = phone.given?.who === phone.who ? phone.given : null;
  return [
    h("div", { class: "people", role: "group", "aria-label": "选择微信用户" }, people),
    h("p", { class: "meta" }, `${person.role || person.name} · 手机 ${person.phone ?? "无"} · openid ${person.openid}`),
    h("div", { class: "row" }, codeButton("login"), codeButton("phone")),
    given ? h("div", { class: "given" },
      h("div", { class: "row between" }, h("span", {}, `${given.title}（5 分钟内有效，只能用一次）`),
        button("复制", () => copy(given.code), "small plain")),
      h("code", {}, given.code)) : null,
    h("div", { class: "item" }, h("h3", {}, "订阅消息"), h("table", {}, h("tbody", {}, person.subscriptions.map(subscription)))),
    h("div", { class: "item" }, h("h3", {}, "收到的消息"), messages.length ? messages.slice(0, 12).map(message) : empty("还没有收到消息。")),
  ];
}

// ---- 微信支付 ----------------------------------------------------------------------------------------------------
const ORDER = { NOTPAY: ["待支付", "wait"], SUCCESS: ["已支付", "good"], REFUND: ["有退款", "wait"], CLOSED: ["已关闭", ""] };
const REFUND = { PROCESSING: ["退款处理中", "wait"], SUCCESS: ["退款成功", "good"], CLOSED: ["退款关闭", ""], ABNORMAL: ["退款异常", "bad"] };

async function loadPay() {
  const [{ orders }, { refunds }] = await Promise.all([call("wechat_pay", "orders"), call("wechat_pay", "refunds")]);
  return { orders: newest(orders).slice(0, 30), refunds: newest(refunds).slice(0, 30) };
}

function order(one) {
  const verb = `orders/${encodeURIComponent(one.out_trade_no)}`;
  const open = one.state === "NOTPAY";
  return h("div", { class: "item" },
    h("div", { class: "row between" }, h("h3", {}, one.request?.description ?? "订单"), tag(...(ORDER[one.state] ?? [one.state]))),
    h("div", { class: "row between" }, h("span", { class: "meta code" }, one.out_trade_no), h("span", { class: "money" }, yuan(one.amount_fen))),
    open ? h("div", { class: "row" },
      button("支付", act("wechat_pay", `${verb}/pay`)),
      button("支付但不通知", act("wechat_pay", `${verb}/pay`, { notify: false }), "plain"),
      button("银行拒付", act("wechat_pay", `${verb}/fail`), "plain"),
      button("超时关闭", act("wechat_pay", `${verb}/close`), "plain")) : null);
}

function refund(one) {
  const verb = `refunds/${encodeURIComponent(one.out_refund_no)}/finish`;
  return h("div", { class: "item" },
    h("div", { class: "row between" }, h("h3", {}, "退款"), tag(...(REFUND[one.status] ?? [one.status]))),
    h("div", { class: "row between" }, h("span", { class: "meta code" }, one.out_refund_no), h("span", { class: "money" }, yuan(one.refund_fen))),
    one.status === "PROCESSING" ? h("div", { class: "row" },
      button("退款成功", act("wechat_pay", verb, { status: "SUCCESS" })),
      button("退款异常", act("wechat_pay", verb, { status: "ABNORMAL" }), "plain"),
      button("退款关闭", act("wechat_pay", verb, { status: "CLOSED" }), "plain")) : null);
}

const renderPay = ({ orders, refunds }) => [
  orders.length ? orders.map(order) : empty("还没有支付订单。"),
  refunds.length ? h("div", { class: "item" }, h("h3", {}, "退款单"), refunds.map(refund)) : null,
].flat();

// ---- 统一公共支付（非税） ----------------------------------------------------------------------------------------
const DEMAND = { OPEN: ["待缴款", "wait"], PAID: ["已缴款", "good"], CLOSED: ["已关闭", ""], LAPSED: ["订单已失效", ""] };
const RECEIPT = { RESERVED: ["已取号", ""], ISSUED: ["已开具", "good"], PAPER: ["已换开纸质", "wait"], REVERSED: ["已冲红", ""] };

async function loadTreasury() {
  const [{ orders }, { receipts }] = await Promise.all([call("unified_pay", "orders"), call("unified_pay", "receipts")]);
  return { orders: newest(orders).slice(0, 30), receipts: newest(receipts).slice(0, 30) };
}

function demand(one) {
  const verb = `orders/${encodeURIComponent(one.order_no)}`;
  const pay = (body) => act("unified_pay", `${verb}/pay`, body);
  const open = one.state === "OPEN" && one.bill_state !== "PAID";
  return h("div", { class: "item" },
    h("div", { class: "row between" }, h("h3", {}, one.title || "缴款单"), tag(...(DEMAND[one.state] ?? [one.state]))),
    h("div", { class: "row between" }, h("span", { class: "meta code" }, `缴款码 ${one.pay_code}`), h("span", { class: "money" }, yuan(one.amount_fen))),
    h("p", { class: "meta code" }, `订单 ${one.order_no}`),
    h("div", { class: "row" },
      open ? button("手机支付", pay({})) : null,
      open ? button("支付但不通知", pay({ notify: false }), "plain") : null,
      one.bill_state !== "PAID" ? button("柜面缴款", act("unified_pay", `bills/${one.pay_code}/pay-at-counter`), "plain") : null,
      open ? button("放弃支付", act("unified_pay", `${verb}/fail`), "plain") : null,
      open ? button("订单失效", act("unified_pay", `${verb}/close`), "plain") : null,
      one.state === "PAID" ? button("再付一次", pay({ force: true }), "plain") : null,
      one.state === "LAPSED" || one.state === "CLOSED" ? button("失效后仍付款", pay({ force: true }), "plain") : null));
}

function treasuryReceipt(one) {
  const verb = `receipts/${encodeURIComponent(one.request_no)}`;
  return h("div", { class: "item" },
    h("div", { class: "row between" }, h("h3", {}, "财政电子票据"), tag(...(RECEIPT[one.state] ?? [one.state]))),
    h("div", { class: "row between" }, h("span", { class: "meta code" }, `${one.code} ${one.number}`), h("span", { class: "money" }, yuan(one.amount_fen))),
    one.state === "ISSUED" ? h("div", { class: "row" }, button("换开纸质票据", act("unified_pay", `${verb}/exchange-to-paper`), "plain")) : null,
    one.state === "PAPER" ? h("div", { class: "row" }, button("交回并作废纸质票据", act("unified_pay", `${verb}/void-paper`), "plain")) : null);
}

const renderTreasury = ({ orders, receipts }) => [
  orders.length ? orders.map(demand) : empty("还没有缴款订单。"),
  receipts.length ? h("div", { class: "item" }, h("h3", {}, "电子票据"), receipts.map(treasuryReceipt)) : null,
].flat();

// ---- 一窗受理窗口 ------------------------------------------------------------------------------------------------
const CASE = {
  DRAFT: ["已取号", ""], SUBMITTED: ["待收件", "wait"], RECEIVED: ["已收件", "wait"], ACCEPTED: ["已受理", ""],
  NOT_ACCEPTED: ["不予受理", "bad"], CORRECTION: ["待申请人补正", ""], SUPPLEMENTED: ["已补正", "wait"],
  PROCESSING: ["办理中", ""], SUSPENDED: ["特别程序中", ""], FINISHED: ["已办结", "good"],
  DELIVERING: ["送达中", "good"], DELIVERED: ["已送达", "good"], WITHDRAWN: ["已撤回", ""],
};
const RESULTS = [["0", "准予"], ["7", "不予许可（7）"], ["1", "退件（1）"], ["2", "作废（2）"], ["3", "删除（3）"], ["5", "补正逾期（5）"], ["6", "其他准予（6）"]];
const reasonOf = (value) => [{ name: "reason", label: "理由", value, long: true, required: true }];

// What the clerk may do in a state: [action, label, questions]. The platform itself refuses what is not allowed.
const DECIDE = ["decide", "办结", [{ name: "code", label: "办结结果", value: "0", options: RESULTS }]];
const CORRECT = ["correction", "要求补正", reasonOf("照片不清晰，请重新拍摄上传")];
const NOT_ACCEPT = ["not_accept", "不予受理", reasonOf("不符合受理条件")];
const CLOSE = ["close", "归档"];
const STEP = ["step", "办理环节", [
  { name: "processName", label: "环节", value: "审核" }, { name: "opinion", label: "意见", value: "材料齐全，情况属实" }]];
const ISSUE = ["result_file", "签发结果文件", [
  { name: "format", label: "格式", value: "pdf", options: [["pdf", "PDF 证照"], ["jpeg", "图片"]] }]];
const CLERK = {
  SUBMITTED: [["receive", "收件"]],
  RECEIVED: [["accept", "受理"], CORRECT, NOT_ACCEPT],
  SUPPLEMENTED: [["accept", "受理"], STEP, DECIDE, CORRECT, NOT_ACCEPT],
  ACCEPTED: [STEP, DECIDE],
  PROCESSING: [DECIDE, STEP, CORRECT, ["suspend", "特别程序", reasonOf("需向原发证机关核实原证信息")]],
  SUSPENDED: [["resume", "结束特别程序"]],
  CORRECTION: [["decide", "逾期未补正办结", [{ name: "code", label: "办结结果", value: "5", options: [["5", "补正逾期（5）"]] }]]],
  FINISHED: [ISSUE, CLOSE], DELIVERING: [ISSUE, CLOSE], DELIVERED: [ISSUE, CLOSE], NOT_ACCEPTED: [CLOSE], WITHDRAWN: [CLOSE],
};
const details = new Map();

async function loadWindow() {
  const [{ cases }, { config }] = await Promise.all([call("one_window", "cases"), call("one_window", "")]);
  const shown = newest(cases).slice(0, 30);
  await Promise.all(shown.map(async (one) => {
    const key = `${one.projectNo} ${one.dataVersion}`;
    if (!details.has(key) && one.dataVersion > 0) details.set(key, await call("one_window", `cases/${encodeURIComponent(one.projectNo)}`));
    const body = details.get(key)?.body;
    one.label = body?.base?.taskName ?? one.taskCode;
    one.applicant = body?.applicant?.applyerName ?? "";
    one.way = { mail: "邮寄", self: "窗口自取" }[body?.post?.way] ?? "";
    one.materials = body?.materials?.length ?? 0;
  }));
  return { cases: shown, auto: config.auto_clerk ?? null };
}

function clerkButton(number, [action, label, questions], at) {
  return button(label, async () => {
    const given = questions ? await ask(label, questions) : {};
    if (given === null) return;
    await call("one_window", `cases/${encodeURIComponent(number)}/${action}`, given);
    toast(`已${label}`);
  }, at === 0 ? "" : "plain");
}

function windowCase(one) {
  const verbs = (CLERK[one.state] ?? []).filter(([action]) =>
    !(one.accepted && ["accept", "not_accept"].includes(action)) && !(one.archived && action === "close") &&
    !(one.state === "SUPPLEMENTED" && !one.accepted && ["step", "decide"].includes(action)));
  const facts = [one.applicant, one.materials ? `材料 ${one.materials} 份` : "", one.way, `第 ${one.dataVersion} 版`].filter(Boolean);
  return h("div", { class: "item" },
    h("div", { class: "row between" }, h("h3", {}, one.label), tag(...(CASE[one.state] ?? [one.state]))),
    h("p", { class: "meta" }, facts.join(" · "), one.archived ? " · 已归档" : "", h("br"), h("span", { class: "code" }, one.projectNo)),
    h("div", { class: "row" }, verbs.map((verb, at) => clerkButton(one.projectNo, verb, at))));
}

function renderWindow({ cases, auto }) {
  const toggle = auto
    ? button("改为手工办理", act("one_window", "script", { name: null }), "small plain")
    : button("自动办理新办件", act("one_window", "script", { name: "smooth" }), "small plain");
  return [
    h("div", { class: "row between" }, h("span", { class: "meta" }, auto ? `新办件由脚本“${auto}”自动办理` : "每一步由您在这里点选"), toggle),
    ...(cases.length ? cases.map(windowCase) : [empty("窗口还没有收到办件。")]),
  ];
}

// ---- 快递 --------------------------------------------------------------------------------------------------------
const PARCEL = {
  BOOKED: ["待揽收", "wait"], ASSIGNED: ["已派单", "wait"], PICKED_UP: ["已揽收", ""], IN_TRANSIT: ["运输中", ""],
  OUT: ["派送中", ""], PROBLEM: ["未妥投", "bad"], REFUSED: ["拒收", "bad"], SIGNED: ["已签收", "good"],
  RETURNING: ["退回途中", "wait"], RETURNED: ["已退回", ""], LOST: ["丢失", "bad"], CANCELLED: ["已取消", ""],
};
const MOVES = {
  BOOKED: [["pickup", "揽收"]], ASSIGNED: [["pickup", "揽收"]],
  PICKED_UP: [["transit", "运输中"], ["lost", "丢失"]],
  IN_TRANSIT: [["out", "派送"], ["arrive", "到达下一站"], ["return", "退回"], ["lost", "丢失"]],
  OUT: [["sign", "签收"], ["problem", "未妥投"], ["refuse", "拒收"], ["return", "退回"], ["lost", "丢失"]],
  PROBLEM: [["out", "再次派送"], ["return", "退回"], ["lost", "丢失"]],
  REFUSED: [["return", "退回"]], RETURNING: [["returned", "退回妥投"], ["lost", "丢失"]],
};

async function loadParcels() {
  const { parcels } = await call("ems", "parcels");
  return { parcels: newest(parcels).slice(0, 30) };
}

function parcel(one) {
  const receiver = one.order?.receiver ?? one.receiver ?? {};
  const address = [receiver.prov, receiver.city, receiver.county, receiver.address].filter(Boolean).join("");
  const verb = `parcels/${encodeURIComponent(one.waybillNo)}/event`;
  const last = one.track?.at(-1);
  return h("div", { class: "item" },
    h("div", { class: "row between" }, h("h3", {}, receiver.name ? `寄给 ${receiver.name}` : "邮件"), tag(...(PARCEL[one.state] ?? [one.state]))),
    h("p", { class: "meta" }, address, address ? h("br") : null, h("span", { class: "code" }, one.waybillNo),
      last ? ` · ${last.opDesc ?? last.opName ?? ""}` : ""),
    h("div", { class: "row" }, (MOVES[one.state] ?? []).map(([name, label], at) =>
      button(label, act("ems", verb, { name }), at === 0 ? "" : "plain"))));
}

const renderParcels = ({ parcels }) => (parcels.length ? parcels.map(parcel) : [empty("还没有邮件。")]);

// ---- 故障与日志 --------------------------------------------------------------------------------------------------
const BROKEN = { wechat: { code: -1 }, register: { status: 503, code: "BUSY" }, wechat_pay: { status: 500, code: "SYSTEM_ERROR" }, one_window: { code: 500 }, alipay: { code: "20000" } };
const EFFECTS = [
  ["error", "出错"], ["slow", "变慢 9 秒"], ["before", "办成前断线"], ["after", "办成后断线"], ["html", "网页错误 502"], ["garbage", "回答乱码"],
];
const EFFECT = {
  error: (name) => BROKEN[name] ?? { status: 500 }, slow: () => ({ delay_ms: 9000 }), before: () => ({ drop: "before" }),
  after: () => ({ drop: "after" }), html: () => ({ body: "html", status: 502 }), garbage: () => ({ body: "garbage" }),
};
const CALLS = {
  wechat: { token: "取普通令牌", stable_token: "取稳定令牌", jscode2session: "登录", checksession: "校验登录态", getuserphonenumber: "取手机号", send: "发订阅消息" },
  register: { verify: "核验姓名与身份号码" },
  wechat_pay: { jsapi: "下单（小程序）", h5: "下单（网页）", query: "查订单", close: "关订单", refund: "申请退款", refund_query: "查退款", certificates: "取平台证书", bill: "申请账单", download: "下载账单" },
  one_window: { "serial.new": "取号", "task.get": "取事项", "attach.put": "传材料", "attach.get": "取文件", "case.push": "推送办件", "case.supplement": "提交补正", "case.withdraw": "撤回", "event.pull": "拉取进度", "event.ack": "确认进度", "delivery.push": "回传寄递" },
  ems: { "020003": "下单取号", "020006": "取消", "030005": "查揽收范围", "040001": "查轨迹", "010004": "取面单", "050005": "估价" },
  alipay: alipayCalls,
};
const trouble = { wish: {} };

async function loadTrouble(served) {
  const names = ["wechat", "register", "wechat_pay", "one_window", "ems", "alipay"];
  const titles = { wechat: "微信", register: "人口库", wechat_pay: "微信支付", one_window: "一窗受理", ems: "快递 EMS", alipay: "支付宝" };
  const found = await Promise.all(names.map(async (name) => {
    const title = served.get(name)?.title ?? titles[name];
    if (!served.has(name)) return { name, title, identity: null };
    const [identity, { faults }] = await Promise.all([call(name, ""), call(name, "faults")]);
    return { name, title, identity, faults };
  }));
  showPartners(found);
  return found.filter((one) => one.identity).map(({ name, title, identity, faults }) => ({ name, title, calls: identity.calls, faults, counters: identity.counters }));
}

function describe(name, fault) {
  const { effect } = fault;
  const words = [];
  if (effect.delay_ms) words.push(`慢 ${effect.delay_ms / 1000} 秒`);
  if (effect.drop) words.push(effect.drop === "before" ? "办成前断线" : "办成后断线");
  if (effect.body) words.push({ html: "网页错误", garbage: "回答乱码", truncated: "回答截断", empty: "回答为空" }[effect.body]);
  if (!effect.body && (effect.status || effect.code !== undefined)) words.push(`出错 ${effect.code ?? effect.status}`);
  const left = fault.times === null ? "直到撤销" : `还有 ${fault.times - fault.used} 次`;
  return `${fault.match.call === "*" ? "全部调用" : (CALLS[name]?.[fault.match.call] ?? fault.match.call)}：${words.join("、") || JSON.stringify(effect)}（${left}）`;
}

// Calls with a Chinese name come first; a call that only the partner knows is offered under its own word.
function callsOf(name, calls) {
  const known = Object.entries(CALLS[name] ?? {});
  const covered = name === "ems" ? calls : Object.keys(CALLS[name] ?? {});
  return [...known, ...calls.filter((one) => !covered.includes(one)).map((one) => [one, one])];
}

function troubleOf({ name, title, calls, faults, counters }) {
  const wish = (trouble.wish[name] ??= { call: "*", effect: "error", times: "3" });
  const keep = (field) => (event) => { wish[field] = event.target.value; };
  const pick = (field, options, label) => h("select", { onchange: keep(field), "aria-label": label },
    options.map(([value, text]) => h("option", { value, selected: wish[field] === value }, text)));
  return h("div", { class: "item" },
    h("div", { class: "row between" }, h("h3", {}, title), h("span", { class: "meta" }, `请求 ${counters.requests} 次 · 待发回调 ${counters.pending_callbacks} 个`)),
    h("div", { class: "order-fault" },
      pick("call", [["*", "全部调用"], ...callsOf(name, calls)], `${title}的哪个调用`),
      pick("effect", EFFECTS, `${title}出什么故障`),
      h("input", { type: "number", min: 1, max: 999, value: wish.times, oninput: keep("times"), "aria-label": "接下来几次", title: "接下来几次" }),
      button("加上", async () => {
        await call(name, "faults", { match: { call: wish.call }, times: Number(wish.times), effect: EFFECT[wish.effect](name) });
        toast("接下来的调用会出故障");
      })),
    faults.map((fault) => h("div", { class: "row between" }, h("span", { class: "tag wait" }, describe(name, fault)),
      button("撤销", () => call(name, `faults/${fault.id}`, undefined, "DELETE"), "small plain"))),
    h("div", { class: "row end" },
      button("看最近的请求", () => showLog(name, title), "small plain"),
      button("清空状态", async () => {
        if (await ask(`清空${title}的状态？订单、办件、日志都会忘掉，密钥与配置保留。`, [])) await act(name, "reset")();
      }, "small danger")));
}

async function showLog(name, title) {
  const { requests } = await call(name, "requests?last=15");
  const text = newest(requests).map((line) =>
    h("details", {}, h("summary", {}, `${clock(line.at)} ${line.call} → ${line.answer.dropped ? "断线" : line.answer.status} 验签：${line.verdict ?? "–"}`),
      h("pre", {}, `${line.method} ${line.path}\n\n${decode(line.body)}\n\n→ ${line.answer.body}`)));
  trouble.log = { title, lines: text };
  const panel = document.getElementById("log");
  panel.replaceChildren(h("h3", {}, `${title}最近的请求`), ...(text.length ? text : [empty("还没有请求。")]));
  panel.scrollIntoView({ block: "nearest" });
}

function decode(base64) {
  return new TextDecoder().decode(Uint8Array.from(atob(base64), (character) => character.charCodeAt(0)));
}

function renderTrouble(partners) {
  const log = h("div", { id: "log", class: "item" });
  if (trouble.log) log.append(h("h3", {}, `${trouble.log.title}最近的请求`), ...trouble.log.lines);
  return [...partners.map(troubleOf), log];
}

export const panels = [
  { name: "phone", column: 0, tab: "微信", title: "微信用户", hint: "取登录 code、点订阅弹窗、看收到的消息", partner: "wechat", load: loadPhone, render: renderPhone, chosen: () => phone },
  { name: "pay", column: 0, tab: "支付", title: "微信支付", hint: "扮演付款人与银行", partner: "wechat_pay", load: loadPay, render: renderPay,
    waiting: ({ orders }) => orders.filter((one) => one.state === "NOTPAY").length },
  { name: "treasury", column: 0, tab: "缴款", title: "统一公共支付", hint: "扮演缴款人、银行柜面与财政票据窗口", partner: "unified_pay", load: loadTreasury, render: renderTreasury,
    waiting: ({ orders }) => orders.filter((one) => one.state === "OPEN" && one.bill_state !== "PAID").length },
  { name: "window", column: 1, tab: "窗口", title: "受理窗口", hint: "扮演政务大厅的窗口人员", partner: "one_window", load: loadWindow, render: renderWindow,
    waiting: ({ cases }) => cases.filter((one) => ["SUBMITTED", "RECEIVED", "SUPPLEMENTED"].includes(one.state)).length },
  { name: "carrier", column: 1, tab: "快递", title: "快递", hint: "扮演揽收、运输与派送", partner: "ems", load: loadParcels, render: renderParcels,
    waiting: ({ parcels }) => parcels.filter((one) => one.state === "BOOKED").length },
  alipay,
  { name: "trouble", column: 2, tab: "故障", title: "故障与日志", hint: "让合作方接下来几次出错、变慢或断线", load: loadTrouble, render: renderTrouble },
];
