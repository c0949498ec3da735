// Parameters by section: a slider where one makes sense, the number beside it, what is in force, and what waits.
// A slider speaks when it is let go, so that one drag is one change.

export function render({ model }) {
  const form = document.createElement("form");
  form.onsubmit = (event) => event.preventDefault();
  form.innerHTML = `
    <div class="deed">
      <span class="count" role="status" aria-live="polite"></span>
      <button class="apply" type="button">Apply</button>
      <button class="revert" type="button">Revert</button>
      <button class="try" type="button">What if?</button>
      <label class="auto"><input type="checkbox"> at every change</label>
      <span class="locked"></span>
    </div>
    <div class="complaint" role="alert" hidden></div>
    <div class="sections"></div>`;
  const at = (name) => form.querySelector(name);
  const rows = new Map();  // dotted name -> function that shows the values
  let typing = 0;  // edits under way, which an echo from the server must not disturb

  const value = (name) => (name in model.pending ? model.pending[name] : model.applied[name]);
  const edit = (name, next) => {
    const pending = { ...model.pending };
    const same = JSON.stringify(next) === JSON.stringify(model.applied[name]);
    if (same) delete pending[name]; else pending[name] = next;
    model.pending = pending;
    show();
    model.send_msg({ what: "edit", name, version: model.version });
  };
  const text = (v) => v === null || v === undefined ? "none" : Array.isArray(v) ? v.map(text).join(", ")
    : typeof v === "boolean" ? (v ? "on" : "off") : String(v);
  const make = (tag, properties = {}, ...inside) => {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...inside);
    return node;
  };

  // One number: a slider if the field has one, and a box. `get` and `set` reach its value.
  const number = (field, label, get, set) => {
    const box = make("input", { type: "number", step: field.whole ? "1" : "any", min: field.low ?? "", max: field.high ?? "" });
    box.setAttribute("aria-label", label);
    if (field.none) box.placeholder = "none";
    const take = (raw) => {
      if (raw === "" && field.none) set(null);
      else if (raw !== "" && Number.isFinite(Number(raw))) set(Number(raw));
      else showBox();
    };
    const showBox = () => { const v = get(); box.value = v === null || v === undefined ? "" : v; };
    box.onchange = () => take(box.value);
    if (!field.slide) return [[box], showBox];
    const [low, high, step] = field.slide;
    const slider = make("input", { type: "range", min: low, max: high, step });
    slider.setAttribute("aria-label", label);
    slider.oninput = () => { typing = 1; box.value = slider.value; };
    slider.onchange = () => { typing = 0; take(slider.value); };
    return [[slider, box], () => {
      const v = get();
      if (v !== null && v !== undefined) {
        if (v > Number(slider.max)) slider.max = v;
        if (v < Number(slider.min)) slider.min = v;
        slider.value = v;
      }
      showBox();
    }];
  };

  const inputs = (field) => {
    const { name, kind } = field, shows = [], nodes = [];
    if (kind === "flag") {
      const box = make("input", { type: "checkbox" });
      box.setAttribute("aria-label", name);
      box.onchange = () => edit(name, box.checked);
      nodes.push(make("label", { className: "flag" }, box));
      shows.push(() => { box.checked = Boolean(value(name)); });
    } else if (kind === "choice") {
      const select = make("select", {}, ...field.choices.map((c) => new Option(c, c)));
      select.setAttribute("aria-label", name);
      select.onchange = () => edit(name, select.value);
      nodes.push(select);
      shows.push(() => { select.value = value(name); });
    } else if (kind === "list") {
      const place = make("div", { className: "list" });
      let n = -1;
      nodes.push(place);
      let inner = [];
      shows.push(() => {
        const values = value(name) || [];
        if (values.length !== n) {
          n = values.length;
          inner = [];
          place.replaceChildren(...values.map((_, i) => {
            const [parts, showOne] = number(field, `${name}, level ${i + 1}`, () => (value(name) || [])[i], (v) => {
              const next = [...value(name)];
              if (v === null) { showOne(); return; }
              next[i] = v;
              edit(name, next);
            });
            inner.push(showOne);
            return make("div", { className: "one" }, make("span", { className: "level", textContent: i + 1 }), ...parts);
          }));
        }
        inner.forEach((f) => f());
      });
    } else {
      const [parts, showOne] = number(field, name, () => value(name), (v) => edit(name, v));
      nodes.push(make("div", { className: "one" }, ...parts));
      shows.push(showOne);
    }
    return [nodes, () => shows.forEach((f) => f())];
  };

  const build = () => {
    const opened = new Set([...form.querySelectorAll("details[open]")].map((d) => d.dataset.name));
    rows.clear();
    at(".sections").replaceChildren(...model.groups.map((group, place) => {
      const list = group.fields.map((field) => {
        const [nodes, showIt] = inputs(field);
        const now = make("span", { className: "now" });
        const row = make("div", { className: "row" },
          make("div", { className: "what" }, make("b", { textContent: field.label }),
            make("span", { className: "unit", textContent: field.unit }),
            make("span", { className: "help", textContent: field.help }),
            make("span", { className: "bounds", textContent: field.bounds })),
          make("div", { className: "how" }, ...nodes, now));
        rows.set(field.name, () => {
          showIt();
          const waits = field.name in model.pending;
          row.classList.toggle("waits", waits);
          now.textContent = waits ? `in force: ${text(model.applied[field.name])}` : "";
        });
        return row;
      });
      const mark = make("span", { className: "mark" });
      const details = make("details", { open: opened.size ? opened.has(group.name) : place === 0 },
        make("summary", {}, group.title, " ", make("small", { textContent: group.help }), " ", mark), ...list);
      details.dataset.name = group.name;
      rows.set(`#${group.name}`, () => {
        const n = group.fields.filter(({ name }) => name in model.pending).length;
        mark.textContent = n ? `${n} pending` : "";
      });
      return details;
    }));
    show();
  };

  const show = () => {
    if (typing) return;
    for (const showRow of rows.values()) showRow();
    const n = Object.keys(model.pending).length;
    at(".count").textContent = n ? `${n} pending` : "Nothing pending";
    at(".count").classList.toggle("some", n > 0);
    at(".apply").disabled = !n || Boolean(model.locked);
    at(".revert").disabled = !n;
    at(".try").disabled = !n || !model.can_try;
    at(".locked").textContent = model.locked;
    at(".complaint").hidden = !model.complaint;
    at(".complaint").textContent = model.complaint;
  };
  at(".apply").onclick = () => model.send_msg({ what: "apply" });
  at(".revert").onclick = () => { model.pending = {}; show(); model.send_msg({ what: "revert" }); };
  at(".try").onclick = () => model.send_msg({ what: "try" });
  at(".auto input").onchange = (event) => model.send_msg({ what: "auto", on: event.target.checked });
  model.on("groups", build);
  for (const name of ["applied", "pending", "complaint", "locked", "can_try"]) model.on(name, show);
  build();
  return form;
}
