// The page's machinery: elements, calls to the partners through same-origin routes, polling, tabs, questions and toasts.
import { panels } from "./panels.js";

const POLL_MS = 2000;
const byId = (id) => document.getElementById(id);

// Builds an element; text goes in as text, never as markup.
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "selected") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// A button that is disabled while its work runs and tells the person when the work was refused.
export function button(text, work, style = "") {
  const element = h("button", { type: "button", class: style }, text);
  element.addEventListener("click", async () => {
    element.disabled = true;
    try {
      await work();
    } catch (error) {
      toast(error.message, true);
    } finally {
      element.disabled = false;
      refresh();
    }
  });
  return element;
}

export async function call(partner, verb, body, method) {
  const options = { method: method ?? (body === undefined ? "GET" : "POST") };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers = { "Content-Type": "application/json" };
  }
  const answer = await fetch(`/api/${partner}${verb ? `/${verb}` : ""}`, options);
  const text = await answer.text();
  let data = {};
  try {
    data = JSON.parse(text);
  } catch {
    throw new Error(`合作方的回答读不懂（${answer.status}）`);
  }
  if (!answer.ok) throw new Error(data.error ?? `没有办成（${answer.status}）`);
  return data;
}

export function toast(text, bad = false) {
  const element = byId("toast");
  element.textContent = text;
  element.className = bad ? "toast bad" : "toast";
  element.hidden = false;
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => { element.hidden = true; }, bad ? 6000 : 2600);
}

// Asks for a few values; null when the person cancelled. A field is {name, label, value, options?, long?}.
export function ask(title, fields) {
  const dialog = byId("ask");
  const inputs = fields.map((field) => {
    const common = { name: field.name, value: field.value ?? "", required: field.required ?? false };
    if (field.options) {
      const options = field.options.map(([value, text]) => h("option", { value, selected: value === field.value }, text));
      return h("select", { name: field.name }, options);
    }
    return field.long ? h("textarea", { ...common, rows: 3 }) : h("input", { ...common, type: field.type ?? "text" });
  });
  byId("ask-title").textContent = title;
  byId("ask-fields").replaceChildren(...fields.map((field, at) => h("label", {}, field.label, inputs[at])));
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const given = Object.fromEntries(inputs.map((input) => [input.name, input.value]));
      resolve(dialog.returnValue === "ok" ? given : null);
    }, { once: true });
  });
}

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("已复制");
  } catch {
    toast("浏览器不允许复制，请手动选择文字", true);
  }
}

const sections = new Map();
let chosen = location.hash.slice(1) || panels[0].name;

function choose(name) {
  chosen = name;
  history.replaceState(null, "", `#${name}`);
  for (const [other, { section, tab }] of sections) {
    section.hidden = other !== name;
    tab.setAttribute("aria-selected", String(other === name));
  }
}

function build() {
  // Fixed columns on a desktop: a panel that grows must not push another one to the other side of the screen.
  const columns = [0, 1, 2].map(() => h("div", { class: "column" }));
  byId("panels").append(...columns);
  for (const panel of panels) {
    const body = h("div", {});
    const badge = h("span", { class: "count" });
    badge.hidden = true;
    const tab = h("button", { role: "tab", type: "button", id: `tab-${panel.name}`, "aria-controls": `panel-${panel.name}`,
      onclick: () => choose(panel.name) }, panel.tab, badge);
    const head = h("header", {}, h("div", {}, h("h2", {}, panel.title), h("p", { class: "hint" }, panel.hint)));
    const section = h("section", { class: "panel", role: "tabpanel", id: `panel-${panel.name}`, "aria-labelledby": `tab-${panel.name}` }, head, body);
    sections.set(panel.name, { panel, section, tab, badge, body, shown: null });
    byId("tabs").append(tab);
    columns[panel.column].append(section);
  }
  choose(sections.has(chosen) ? chosen : panels[0].name);
}

// A panel is drawn again only when its facts changed, so that an open list or a half-typed word is not lost.
async function draw(entry, served) {
  const { panel, body, badge } = entry;
  let facts;
  try {
    facts = panel.partner && !served.has(panel.partner) ? null : await panel.load(served);
  } catch (error) {
    facts = { failure: error.message };
  }
  const shown = JSON.stringify([facts, panel.chosen?.()]);
  if (shown === entry.shown) return;
  // Somebody is choosing or typing in this panel: the news can wait until the field is left.
  if (body.contains(document.activeElement) && document.activeElement.matches("select, input, textarea")) return;
  entry.shown = shown;
  const waiting = facts && !facts.failure ? (panel.waiting?.(facts) ?? 0) : 0;
  badge.hidden = waiting === 0;
  badge.textContent = waiting;
  if (facts === null) body.replaceChildren(h("p", { class: "empty" }, "这个合作方的沙箱没有启动。"));
  else if (facts.failure) body.replaceChildren(h("p", { class: "empty" }, facts.failure));
  else body.replaceChildren(...[panel.render(facts)].flat().filter(Boolean));
}

let busy = false;
export async function refresh() {
  if (busy || document.hidden) return;
  busy = true;
  try {
    const listed = await call("partners");
    const served = new Map(listed.map((partner) => [partner.name, partner]));
    await Promise.all([...sections.values()].map((entry) => draw(entry, served)));
  } catch {
    toast("沙箱没有回答，可能已经结束", true);
  } finally {
    busy = false;
  }
}

export function showPartners(identities) {
  byId("partners").replaceChildren(...identities.map(({ title, identity }) => {
    const state = !identity ? "off" : identity.counters.faults > 0 ? "faulty" : "";
    const hint = !identity ? "未启动" : `${identity.url} · 请求 ${identity.counters.requests} 次`;
    return h("li", { class: state, title: hint }, title, identity?.counters.faults ? ` · ${identity.counters.faults} 个故障` : "");
  }));
}

build();
refresh();
setInterval(refresh, POLL_MS);
document.addEventListener("visibilitychange", refresh);
