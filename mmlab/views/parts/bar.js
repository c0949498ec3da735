// The head of every page: which run, its state in words, the age of the data, KILL, and the views to choose from.
// It also keeps the page alive: when the server has been lost it asks for it once a second, and reloads.

const LOST_MS = 10000;

export function render({ model, el }) {
  const bar = document.createElement("header");
  bar.innerHTML = `
    <div class="lost" role="alert" hidden>The dashboard's server does not answer. What you see is old; this page loads
      itself again as soon as it does. Orders: <code>mmlab kill</code> works without it.</div>
    <div class="top">
      <label class="pick"><span class="hush">Run</span><select></select></label>
      <div class="state" role="status" aria-live="polite"><span class="badge"></span><span class="why"></span></div>
      <div class="age" title="Time since the newest data came from the engine or its files"></div>
      <div class="acts">
        <button class="theme" type="button" aria-label="Switch between light and dark">Dark</button>
        <span class="readonly">read only</span>
        <span class="sure" hidden>Quote again?
          <button class="yes" type="button">Yes, re-arm</button><button class="no" type="button">No</button></span>
        <button class="rearm" type="button">Re-arm…</button>
        <button class="kill" type="button" title="Cancel all orders and halt; latched until re-armed">KILL</button>
      </div>
    </div>
    <div class="said" role="status" aria-live="assertive" hidden><span></span><button type="button" aria-label="Close this message">×</button></div>
    <dl class="chips"></dl>
    <nav role="tablist" aria-label="Views"></nav>`;
  const at = (name) => bar.querySelector(name);
  const select = at("select"), nav = at("nav"), age = at(".age"), root = document.documentElement;

  // --- runs and views
  const fill = () => {
    select.replaceChildren(...model.runs.map(({ name, label }) => new Option(label, name)));
    if (!model.runs.some(({ name }) => name === model.run))
      select.prepend(new Option(model.run || "no run yet", model.run));
    select.value = model.run;
  };
  select.onchange = () => { model.run = select.value; };
  const tabs = () => {
    nav.replaceChildren(...model.views.map(([id, title]) => {
      const tab = document.createElement("button");
      Object.assign(tab, { type: "button", textContent: title, id });
      tab.setAttribute("role", "tab");
      tab.onclick = () => { model.view = id; };
      return tab;
    }));
    choose();
  };
  const choose = () => {
    for (const tab of nav.children) {
      const on = tab.id === model.view;
      tab.setAttribute("aria-selected", on);
      tab.setAttribute("aria-busy", on && model.shown !== model.view);
      tab.tabIndex = on ? 0 : -1;
      if (on) nav.scrollLeft = tab.offsetLeft - (nav.clientWidth - tab.offsetWidth) / 2;
    }
    remember();
  };
  nav.onkeydown = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const all = [...nav.children], next = all[(all.findIndex((t) => t.id === model.view) + step + all.length) % all.length];
    next.click();
    next.focus();
    event.preventDefault();
  };
  const remember = () => {
    if (!model.page) return;
    const query = new URLSearchParams(location.search);
    query.set("view", model.view);
    if (model.run) query.set("run", model.run);
    history.replaceState(null, "", `${location.pathname}?${query}`);
  };

  // --- state
  const show = () => {
    const { badge, tone, why, chips, can_kill, can_rearm, read_only } = model.status;
    at(".badge").textContent = badge || "…";
    at(".badge").dataset.tone = tone || "";
    at(".why").textContent = why || "";
    at(".chips").replaceChildren(...(chips || []).map(([label, value, kind]) => {
      const chip = document.createElement("div");
      const [dt, dd] = [document.createElement("dt"), document.createElement("dd")];
      Object.assign(dt, { textContent: label });
      Object.assign(dd, { textContent: value });
      dd.dataset.tone = kind || "";
      chip.append(dt, dd);
      return chip;
    }));
    at(".kill").disabled = !can_kill;
    at(".kill").hidden = read_only;
    at(".readonly").hidden = !read_only;
    at(".rearm").hidden = read_only || !can_rearm || !at(".sure").hidden;
    if (!can_rearm) at(".sure").hidden = true;
    if (model.page) document.title = `${badge || "mmlab"} · ${model.run || "mmlab"}`;
  };
  at(".kill").onclick = () => model.send_msg({ what: "kill" });
  at(".rearm").onclick = () => { at(".sure").hidden = false; at(".rearm").hidden = true; at(".yes").focus(); };
  at(".no").onclick = () => { at(".sure").hidden = true; show(); at(".rearm").focus(); };
  at(".yes").onclick = () => { at(".sure").hidden = true; model.send_msg({ what: "rearm" }); show(); };
  const say = () => {
    const { text, tone } = model.said;
    at(".said").hidden = !text;
    at(".said").dataset.tone = tone || "";
    at(".said span").textContent = text || "";
  };
  at(".said button").onclick = () => { at(".said").hidden = true; };

  // --- light and dark
  const paint = () => {
    at(".theme").textContent = model.dark ? "Light" : "Dark";
    bar.classList.toggle("dark", model.dark);
    if (model.page) root.dataset.theme = model.dark ? "dark" : "light";
  };
  const remembered = () => { try { return localStorage.getItem("mmlab-theme"); } catch { return null; } };
  if (model.page) {
    const known = remembered();
    model.dark = known ? known === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  } else {
    const jupyter = document.body.dataset.jpThemeLight;
    model.dark = jupyter ? jupyter === "false" : false;
  }
  at(".theme").onclick = () => {
    model.dark = !model.dark;
    try { localStorage.setItem("mmlab-theme", model.dark ? "dark" : "light"); } catch { /* private window */ }
  };

  // --- age of the data, and life of the page
  let beat = performance.now(), asking = false;
  const words = (s) => s < 10 ? `${s.toFixed(1)} s` : s < 120 ? `${Math.round(s)} s` : s < 7200 ? `${Math.round(s / 60)} min` : `${Math.round(s / 3600)} h`;
  const tick = () => {
    const since = (performance.now() - beat) / 1000, known = model.pulse[1];
    const old = known === null ? null : known + since;
    age.textContent = old === null ? model.status.ended_words || "no data yet" : `data ${words(old)} old`;
    age.dataset.tone = old !== null && old > 5 ? "bad" : "";
    if (model.page && since * 1000 > LOST_MS && document.visibilityState === "visible") lost();
  };
  const lost = async () => {
    if (asking) return;
    asking = true;
    at(".lost").hidden = false;
    for (;;) {
      await new Promise((done) => setTimeout(done, 1000));
      try {
        const answer = await fetch(location.href, { cache: "no-store", credentials: "same-origin" });
        if (answer.ok) { location.reload(); return; }
      } catch { /* not yet */ }
    }
  };
  if (model.page) window.mmlabLost = lost;
  const timer = setInterval(tick, 250);

  model.on("runs", fill);
  model.on("run", () => { select.value = model.run; if (select.value !== model.run) fill(); remember(); });
  model.on("views", tabs);
  model.on("view", choose);
  model.on("shown", choose);
  model.on("status", show);
  model.on("said", say);
  model.on("dark", paint);
  model.on("pulse", () => { beat = performance.now(); tick(); });
  model.on("remove", () => clearInterval(timer));
  fill(); tabs(); show(); say(); paint(); tick();
  if (!model.page) {  // a cell asks for its ticks, so that all that changes it comes from one thread of the kernel
    model.send_msg({ what: "here" });
    let asked = 0;
    const ask = setInterval(() => {
      const now = performance.now();
      if (beat > asked || now - asked > 2000) { asked = now; model.send_msg({ what: "tick" }); }
    }, 200);
    model.on("remove", () => clearInterval(ask));
  }
  return bar;
}
