"use strict";
(() => {
  const texts = JSON.parse(document.getElementById("data").textContent).texts;
  const byId = (id) => document.getElementById(id);
  const BINS = 240; // bars of a chart; a bar of a longer text stands for several steps
  let text, at, spans;

  // Everything that is shown is text of a node or a plain attribute; no markup is ever made of data.
  const make = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "class") node.className = value;
      else if (value !== undefined) node.setAttribute(name, value);
    }
    node.append(...children);
    return node;
  };
  const draw = (tag, attributes) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    return node;
  };
  const number = (value) => (typeof value === "number" ? value : { inf: Infinity, "-inf": -Infinity }[value] ?? NaN);
  const short = (value, digits = 3) => {
    const found = number(value);
    if (Number.isNaN(found)) return "–";
    if (!Number.isFinite(found)) return found > 0 ? "∞" : "−∞";
    const large = Math.abs(found) >= 1e5 || (found !== 0 && Math.abs(found) < 1e-3);
    return (large ? found.toExponential(1) : String(Number(found.toPrecision(digits)))).replace("-", "−");
  };
  const percent = (value) => (Number.isFinite(value) ? `${Math.round(100 * value)} %` : "–");
  const time = (value) => (value >= 1 ? `${value.toFixed(1)} s` : `${short(1000 * value)} ms`);
  const mean = (values) => (values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : NaN);
  const visible = (value) => value.replaceAll(" ", "·").replaceAll("\n", "⏎").replaceAll("\t", "⇥");
  const winner = (step) => step.candidates[step.winner];
  const style = (member) => `m${member % 8} u${member % 5}`;
  const called = (members) =>
    members.length === text.members.length && members.length > 1
      ? "all" : members.map((member) => text.members[member]).join(", ");
  const name = (member) => make("span", { class: `name ${style(member)}` }, text.members[member]);

  const segment = (step, index) => {
    const chosen = winner(step);
    const authors = chosen.members;
    const kinds = ["seg"];
    if (authors.length === 1 && text.members.length > 1) kinds.push("by", style(authors[0]));
    else if (authors.length < text.members.length) kinds.push("some");
    if (step.overridden) kinds.push("over");
    if (step.text === "") kinds.push("chip");
    const node = make("span", { class: kinds.join(" "), role: "option", tabindex: -1, "aria-selected": "false" });
    node.textContent = step.text || (chosen.end ? "END" : "…");
    node.title = `step ${step.index}, by ${called(authors)}`;
    node.dataset.step = index;
    if (authors.length < text.members.length) node.dataset.by = authors.map((each) => text.initials[each]).join("");
    return node;
  };

  const select = (index, focus = true) => {
    if (!text.steps.length) return;
    spans[at]?.setAttribute("aria-selected", "false");
    spans[at]?.setAttribute("tabindex", -1);
    at = Math.max(0, Math.min(index, text.steps.length - 1));
    spans[at].setAttribute("aria-selected", "true");
    spans[at].setAttribute("tabindex", 0);
    if (focus) {
      spans[at].focus({ preventScroll: true });
      spans[at].scrollIntoView({ block: "nearest" });
    }
    for (const cursor of document.querySelectorAll(".cursor")) cursor.setAttribute("x", at);
    showStep(text.steps[at]);
  };

  const scores = (score) => {
    const logprob = number(score.logprob);
    const cell = make("td", {}, score.n_tokens ? short(Math.exp(-logprob / score.n_tokens)) : "–");
    cell.append(make("small", {}, `${short(logprob)} / ${score.n_tokens}`));
    cell.title = `ln p = ${short(logprob, 6)} over ${score.n_tokens} tokens`;
    return cell;
  };

  const showStep = (step) => {
    const go = (to, label, sign) => {
      const button = make("button", { type: "button", "aria-label": label }, sign);
      button.disabled = to < 0 || to >= text.steps.length;
      button.addEventListener("click", () => select(to, false));
      return button;
    };
    const title = make("h2", {}, `step ${step.index} of ${text.steps.length - 1}`);
    const top = make("div", { class: "steps" }, go(at - 1, "Step before", "←"), title, go(at + 1, "Next step", "→"));
    const column = (label) => make("th", { scope: "col" }, label);
    const drawn = step.probabilities ?? [];
    const head = make("tr", {}, column("candidate"), column("by"), column("value"), column("margin"),
      ...drawn.slice(0, 1).map(() => column("chance")), ...text.members.map((_, member) => make("th", { scope: "col" }, name(member))));
    const best = number(step.values[step.winner]);
    const order = step.candidates.map((_, index) => index);
    const rank = (index) => (index === step.winner ? -Infinity : number(step.values[index]));
    order.sort((one, other) => rank(one) - rank(other) || one - other);
    const rows = order.map((index) => {
      const candidate = step.candidates[index];
      const shown = candidate.end ? "END" : visible(candidate.text);
      const by = candidate.members.map((member) => text.initials[member]).join("");
      const margin = number(step.values[index]) - best;
      return make("tr", { class: index === step.winner ? "won" : "" },
        make("td", {}, `${index === step.winner ? "★ " : ""}${shown}`),
        make("td", { title: called(candidate.members) }, by), make("td", {}, short(step.values[index])),
        make("td", {}, index === step.winner ? "" : `${margin < 0 ? "" : "+"}${short(margin)}`), ...drawn.slice(index, index + 1).map((chance) => make("td", {}, percent(number(chance)))),
        ...step.scores[index].map(scores));
    });
    const table = make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows));
    const notes = [];
    const note = (line) => notes.push(make("p", {}, line));
    if (step.overridden) note(`▲ ${text.members[step.primary]} is primary and proposed something else.`);
    if (Number.isFinite(number(step.margin))) note(`Margin of the least two values: ${short(step.margin)}.`);
    if (step.weights?.length) {
      note(`Weights: ${step.weights.map((weight, member) => `${text.members[member]} ${percent(number(weight))}`).join(", ")}.`);
    }
    if (step.excluded.length) note(`Left out: ${called(step.excluded)}.`);
    for (const each of step.rejected) {
      note(`Not a candidate: “${visible(each.text)}” of ${called(each.members)}, ${each.reason}: ${each.detail}`);
    }
    const seconds = step.seconds;
    note(`Time: propose ${time(seconds.propose)}, evaluate ${time(seconds.evaluate)}, ` +
      `select ${time(seconds.select)}, commit ${time(seconds.commit)}.`);
    note(`Passes: ${step.members.map((each, member) =>
      `${text.members[member]} ${each.forward_passes}`).join(", ")}.`);
    note("The numbers of a member are the candidate's perplexity, and below it ln p / tokens. " +
      (drawn.length ? "The winner was drawn by the chances, or has the least value." : "The least value wins."));
    byId("detail").replaceChildren(top, make("div", { class: "scroll" }, table), ...notes);
  };

  const chart = () => {
    const steps = text.steps;
    const size = Math.max(1, Math.ceil(steps.length / BINS));
    const spent = (step) => step.seconds.propose + step.seconds.evaluate + step.seconds.select + step.seconds.commit;
    const bins = [];
    for (let first = 0; first < steps.length; first += size) bins.push(steps.slice(first, first + size));
    const most = Math.max(...bins.map((bin) => mean(bin.map(spent))), 1e-9);
    const row = (label, value, height, kind, says) => {
      const svg = draw("svg", { viewBox: `0 0 ${Math.max(steps.length, 1)} 1`, preserveAspectRatio: "none",
        role: "img", "aria-label": says, class: kind });
      bins.forEach((bin, index) => {
        const tall = height(bin);
        const width = Math.min(size, steps.length - index * size) * (steps.length > 120 ? 1 : 0.92);
        if (tall > 0) {
          svg.append(draw("rect", { x: index * size, y: 1 - tall, width, height: tall, class: kind ? "own" : "bar" }));
        }
      });
      svg.append(draw("rect", { x: 0, y: 0, width: 1, height: 1, class: "cursor" }));
      svg.addEventListener("click", (event) => {
        const box = svg.getBoundingClientRect();
        select(Math.floor(((event.clientX - box.left) / box.width) * steps.length));
      });
      return [make("span", { class: "label" }, label), svg, make("span", { class: "value" }, value)];
    };
    const credit = (member) => (step) => {
      const { members } = winner(step);
      return members.includes(member) ? 1 / members.length : 0;
    };
    const together = (step) => winner(step).members.length / text.members.length;
    const rows = text.members.flatMap((each, member) => {
      const share = percent(mean(steps.map(credit(member))));
      const label = make("span", { title: each }, name(member), ` (${text.initials[member]})`);
      const won = (bin) => mean(bin.map(credit(member)));
      return row(label, `won ${share}`, won, style(member), `${each} won ${share} of the steps`);
    });
    const agreed = percent(mean(steps.map(together)));
    rows.push(...row("agreement", agreed, (bin) => mean(bin.map(together)), "", `agreement ${agreed}`));
    const total = time(text.seconds ?? steps.reduce((sum, step) => sum + spent(step), 0));
    rows.push(...row("time", total, (bin) => mean(bin.map(spent)) / most, "", `time, in all ${total}`));
    byId("chart").replaceChildren(...rows);
  };

  const show = (index) => {
    text = texts[index];
    at = 0;
    const overridden = text.steps.filter((step) => step.overridden).length;
    const facts = [`rule ${text.rule ?? "unknown"}`, `${text.steps.length} steps`, `finish: ${text.finish ?? "unfinished"}`];
    if (overridden) facts.push(`${overridden} overrides ▲`);
    facts.push(...text.costs, `coolfusion ${text.coolfusion}`);
    byId("facts").textContent = facts.join(" · ");
    const problem = [text.problem, text.error, text.chosen, ...text.notes].filter(Boolean).join(" · ");
    byId("problem").textContent = problem;
    byId("problem").hidden = !problem;
    byId("prompt").replaceChildren(...text.prompts.flatMap(([label, said]) =>
      label ? [make("b", {}, label), ` ${said}\n`] : [said]));
    byId("prompt").parentElement.classList.toggle("joined", text.prompts.every(([label]) => !label));
    spans = text.steps.map(segment);
    byId("text").replaceChildren(...spans);
    byId("detail").hidden = !text.steps.length;
    chart();
    select(0, false);
  };

  byId("text").addEventListener("click", (event) => {
    const node = event.target.closest(".seg");
    if (node) select(Number(node.dataset.step));
  });
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("select")) return;
    const contested = (index) => text.steps[index].candidates.length > 1;
    const seek = (by) => {
      let to = at + by;
      while (text.steps[to] && !contested(to)) to += by;
      return text.steps[to] ? to : at;
    };
    const inside = event.target.closest("#text") !== null;
    const moves = {
      ArrowRight: () => at + 1, ArrowLeft: () => at - 1,
      ...(inside ? { ArrowDown: () => seek(1), ArrowUp: () => seek(-1), Home: () => 0, End: () => text.steps.length - 1 } : {}),
    };
    if (Object.hasOwn(moves, event.key)) {
      event.preventDefault();
      select(moves[event.key]());
    }
  });
  byId("initials").addEventListener("click", () => {
    const on = byId("text").classList.toggle("initials");
    byId("initials").setAttribute("aria-pressed", String(on));
  });
  const themes = ["auto", "light", "dark"];
  let theme = 0;
  byId("theme").addEventListener("click", () => {
    theme = (theme + 1) % themes.length;
    if (theme) document.documentElement.dataset.theme = themes[theme];
    else delete document.documentElement.dataset.theme;
    byId("theme").textContent = `Theme: ${themes[theme]}`;
  });
  texts.forEach((each, index) => {
    const start = each.prompts.map(([, said]) => said).at(-1) ?? "";
    byId("texts").append(make("option", { value: index }, `${index + 1}: ${start.slice(0, 60)}`));
  });
  byId("chooser").hidden = texts.length < 2;
  byId("texts").addEventListener("change", (event) => show(Number(event.target.value)));
  show(0);
})();
