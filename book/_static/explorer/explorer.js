// Reads the address, draws, listens. Everything a reader sees follows from one state.
(ns => {
  const mount = document.getElementById("ib-explorer");
  if (!mount) return;
  const all = selector => [...mount.querySelectorAll(selector)];
  const one = selector => mount.querySelector(selector);
  const exact = value => (Number.isFinite(value) ? value.toFixed(6).replace(/^-0\.0+$/, "0.000000").replace("-", "−") : "none");
  const near = value => value.toFixed(3).replace(/^-0\.000$/, "0.000").replace("-", "−");
  const plain = value => String(Number(value.toFixed(4)));
  const part = mount.dataset.part ?? "all", shows = name => part === "all" || part === name;
  // The page of the whole explorer: beside this script's folder, wherever the site lies.
  const whole = new URL("../../book/explorer.html", document.currentScript.src).href;
  let now = ns.clean({});

  const derive = ({ state, prior }) => {
    const { alpha, beta, k, dissent } = state;
    const hy = ns.entropy(prior), kept = ns.information(alpha, prior);
    const mixed = ns.mixedInformation(alpha, prior);
    const point = [state.p, (1 - state.p) * state.split, (1 - state.p) * (1 - state.split)];
    const best = { ls: alpha, cp: ns.penaltyActsLike(beta, 3), vib: ns.bottleneckActsLike(beta, 3) };
    const acts = { ls: alpha, cp: ns.penaltyActsLike(beta, k), vib: ns.bottleneckActsLike(beta, k) };
    return {
      state, prior, hy, kept, mixed, point, best, acts, share: hy > 0 ? kept / hy : NaN,
      target: ns.target(alpha, k), pulls: ns.losses(point, alpha, beta),
      votes: shows("votes") ? deriveVotes(alpha, dissent) : null,
    };
  };
  const curves = new Map();
  const deriveVotes = (alpha, dissent) => {
    if (!curves.has(dissent)) {
      const family = Array.from({ length: 41 }, (_, i) => ns.voted(ns.pooled(i / 40, dissent, "arithmetic"), dissent));
      curves.set(dissent, { curve: ns.curve(dissent), family });
    }
    const found = { ...curves.get(dissent) };
    for (const how of ["arithmetic", "geometric"]) {
      const rows = ns.pooled(alpha, dissent, how), at = ns.voted(rows, dissent);
      found[how] = { ...at, lean: rows[2][0], best: ns.bestAtRate(at.ixt, dissent) };
      found[how].short = found[how].best - at.ity;
    }
    return found;
  };

  const numbers = d => {
    const values = {
      h_y: d.hy, kept: d.kept, mixed: d.mixed, share: d.share, own: d.target[0], other: d.target[1],
    };
    for (const name of ["ls", "cp", "vib"]) {
      values[`${name}_value`] = d.pulls[name].value;
      d.pulls[name].pull.forEach((v, t) => { values[`${name}_pull${t + 1}`] = v; });
      values[`${name}_best`] = d.best[name];
      values[`${name}_acts`] = d.acts[name];
    }
    for (const how of d.votes ? ["arithmetic", "geometric"] : []) {
      for (const name of ["lean", "ixt", "ity", "best", "short"]) values[`${how}_${name}`] = d.votes[how][name];
    }
    return values;
  };

  const sentences = d => {
    const { alpha, beta, k, mix, dissent } = d.state, a = `α = ${plain(alpha)}`;
    let first = d.hy > 0
      ? `${a} keeps ${near(d.kept)} of ${near(d.hy)} nats about the label: ${Math.round(100 * d.share)}%, with ${k} classes.`
      : "Only one class occurs: there is nothing to know about the label, and nothing to lose.";
    if (alpha === 0) first += " Without smoothing this is the corner of cross-entropy.";
    if (alpha === 1) first += " The soft label is the same for every class: nothing is left.";
    if (mix) first += ` Plain training, outputs mixed afterwards: the ring lies on the same point (${near(d.mixed)} nats).`;
    const pull = name => near(d.pulls[name].pull[0]);
    let second = `With ${Math.round(100 * d.state.p)}% on the label, the logit of class 1 is pulled by ${pull("ls")} (smoothing), ${pull("cp")} (penalty) and ${pull("vib")} (bottleneck, ε = 0.1).`;
    if (beta === 0) second += " At β = 0 the other two lead to the corner of class 1.";
    else second += ` β = ${plain(beta)} acts like smoothing of ${near(d.best.cp)} and ${near(d.best.vib)}.`;
    if (!d.votes) return { one: first, three: second };
    const { arithmetic, geometric } = d.votes;
    let third = `The mean of the smoothed votes tells ${near(arithmetic.ity)} nats about a label, ${near(Math.max(0, arithmetic.short))} short of the best possible at its rate. The geometric mean is on the curve, at ${near(geometric.ity)} nats.`;
    if (dissent === 0) third += " Nobody dissents: both are the same.";
    else if (alpha === 0) third += " At α = 0 the geometric mean of one-hot votes does not exist; its limit, the majority, is drawn.";
    return { one: first, three: second, votes: third };
  };

  const labels = (d, words) => ({
    softLabel: `Soft label of class 1: ${near(d.target[0])} on class 1, ${exact(d.target[1])} on each of the ${d.state.k - 1} others.`,
    informationPlane: `Information plane. The dashed line is what no model can pass. The point lies on it, at ${near(d.kept)} nats on both axes; the line ends at ${near(d.hy)}.`,
    share: `Share of H(Y) kept against α: from 1 it falls, steeply at first, to 0.${Number.isFinite(d.share) ? ` At α = ${plain(d.state.alpha)} it is ${near(d.share)}.` : ""}`,
    simplex: `Triangle of outputs. ${words.three}`,
    contradiction: `Information plane of the four inputs. ${words.votes}`,
  });

  const ksOf = step => Math.round(2 * 500 ** (step / 100)); // 2 to 1000
  const stepOf = k => Math.round(100 * Math.log(k / 2) / Math.log(500));

  const fillControls = state => {
    for (const input of all("[data-control]")) {
      const name = input.dataset.control;
      if (name === "mix") input.checked = state.mix;
      else if (name === "logk") {
        if (ksOf(Number(input.value)) !== state.k) input.value = stepOf(state.k);
        input.setAttribute("aria-valuetext", `${state.k} classes`);
      } else if (input !== document.activeElement || input.type === "range") {
        input.value = typeof state[name] === "number" ? plain(state[name]) : state[name];
      }
    }
    const own = one(".own");
    if (own) own.hidden = state.prior !== "own";
  };

  const render = () => {
    const d = derive(now), words = sentences(d), values = numbers(d);
    for (const cell of all("[data-number]")) cell.textContent = exact(values[cell.dataset.number]);
    for (const place of all("[data-sentence]")) place.textContent = words[place.dataset.sentence];
    for (const place of all("[data-k]")) place.textContent = d.state.k;
    const label = labels(d, words);
    for (const svg of all("[data-picture]")) ns[svg.dataset.picture](svg, d, label[svg.dataset.picture]);
    const notes = now.notes.join(" ");
    if (one("[data-notes]").textContent !== notes) one("[data-notes]").textContent = notes;
    const hash = ns.format(d.state);
    for (const link of all("[data-link]")) link.href = hash;
    for (const link of all("[data-more]")) link.href = whole + hash;
    fillControls(d.state);
    return words;
  };

  // A screen reader hears the new values once the reader rests.
  let resting, saving;
  const announce = sentence => {
    clearTimeout(resting);
    resting = setTimeout(() => { one("[data-said]").textContent = sentence; }, 700);
  };
  const save = () => {
    clearTimeout(saving); // browsers refuse an address that changes too often
    saving = setTimeout(() => history.replaceState(null, "", ns.format(now.state)), 300);
  };

  const forget = () => { for (const place of all("[data-answer]")) place.textContent = ""; };
  const change = (patch, section = "one") => {
    now = ns.clean({ ...now.state, ...patch }, now.state);
    if (!("answer" in patch)) forget();
    for (const place of all("[data-copied]")) place.textContent = "";
    const words = render();
    if (playing === null) {
      announce(words[section]);
      save();
    }
  };

  const read = hash => {
    stop();
    now = ns.parse(hash);
    forget();
    render();
  };

  // --- moving along the curve ---------------------------------------------------------------------

  let playing = null;
  const stop = () => {
    if (playing === null) return;
    clearTimeout(playing);
    playing = null;
    one("[data-action=play]").textContent = "Move along the curve";
  };
  const play = () => {
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const step = calm ? 0.1 : 0.005, pause = calm ? 800 : 30;
    one("[data-action=play]").textContent = "Stop";
    const go = () => {
      const alpha = Math.min(1, now.state.alpha + step);
      if (alpha === 1) stop();
      else playing = setTimeout(go, pause);
      change({ alpha: Number(alpha.toFixed(6)) });
    };
    playing = setTimeout(go, 0);
    change({ alpha: now.state.alpha >= 1 ? 0 : now.state.alpha });
  };

  // --- the puzzle ---------------------------------------------------------------------------------

  const answer = told => {
    const { state, prior } = now, hy = ns.entropy(prior), place = one("[data-answer]");
    if (!(hy > 0)) {
      place.textContent = "Only one class occurs: there is nothing to halve. Choose another prior.";
      return;
    }
    const half = ns.strengthFor(hy / 2, prior), kept = ns.information(state.alpha, prior) / hy;
    const exactly = `exactly half is at α = <span data-number="half">${exact(half)}</span>, for ${state.k} classes.`;
    const share = `α = ${plain(state.alpha)} keeps ${(100 * kept).toFixed(1)}%`;
    if (told) {
      change({ alpha: half, answer: true });
      place.innerHTML = `Here: ${exactly}`;
    } else if (Math.abs(kept - 0.5) <= 0.01) place.innerHTML = `Yes: ${share}; ${exactly}`;
    else if (kept > 0.5) place.textContent = `Not yet: ${share}. Smooth more.`;
    else place.textContent = `Too far: ${share}. Smooth less.`;
  };

  // --- events -------------------------------------------------------------------------------------

  const sectionOf = element => element.closest("[data-section]")?.dataset.section ?? "one";

  const heard = event => {
    const input = event.target.closest("[data-control]");
    if (!input) return;
    const name = input.dataset.control;
    const typed = input.type === "text" && name !== "own";
    if (typed && event.type === "input") return; // a number is read when it is whole
    stop();
    let patch = { [name]: input.type === "checkbox" ? input.checked : input.value };
    if (name === "logk") patch = { k: ksOf(Number(input.value)) };
    if ("k" in patch && now.state.prior === "own") patch.prior = "equal";
    if (name === "prior" && input.value === "own" && !now.state.own) patch.own = "0.5 0.3 0.2";
    change(patch, sectionOf(input));
    if (typed) input.value = plain(now.state[name]);
  };

  const actions = {
    play: () => (playing === null ? play() : (stop(), change({}))),
    ask: () => answer(false),
    tell: () => answer(true),
    reset: () => { stop(); now = ns.clean({}); change({}, part === "all" ? "one" : sectionOf(one("section"))); },
  };

  // What a teacher does with a link is to send it. A plain folder has no clipboard.
  const copy = address => navigator.clipboard?.writeText(address).then(() => {
    one("[data-copied]").textContent = "(copied)";
  }, () => {});

  const dragging = svg => {
    const move = event => {
      const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      const [p, second, third] = ns.unplace(at.x, at.y);
      const inside = Math.min(0.998, Math.max(0.001, p)), [b, c] = [second, third].map(v => Math.max(v, 0));
      const split = b + c > 0 ? Math.min(0.999, Math.max(0.001, b / (b + c))) : now.state.split;
      change({ p: Number(inside.toFixed(3)), split: Number(split.toFixed(3)) }, "three");
    };
    let held = false;
    // A finger on the dot drags it; beside the dot it scrolls the page.
    const keep = event => event.target.classList.contains("handle") && event.preventDefault();
    svg.addEventListener("touchstart", keep, { passive: false });
    svg.addEventListener("pointerdown", event => {
      held = event.pointerType === "mouse" || event.target.classList.contains("handle");
      if (!held) return;
      event.preventDefault();
      svg.setPointerCapture(event.pointerId);
    });
    svg.addEventListener("pointermove", event => held && move(event));
    for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, () => { held = false; });
    svg.addEventListener("click", move);
  };

  mount.innerHTML = ns.markup(part);
  mount.addEventListener("input", heard);
  mount.addEventListener("change", heard);
  mount.addEventListener("click", event => {
    const action = event.target.closest("[data-action]")?.dataset.action;
    if (action) actions[action]();
    const link = event.target.closest("[data-link]");
    if (link) copy(link.href);
  });
  all("[data-picture=simplex]").forEach(dragging);
  // In a chapter an address without "=" means a section, old or new.
  const meant = hash => part === "all" || hash.includes("=");
  window.addEventListener("hashchange", () => {
    const { hash } = location;
    if (hash && meant(hash) && !document.getElementById(hash.slice(1))) read(hash);
  });
  ns.show = read; // draws what an address says, for tests
  read(meant(location.hash) ? location.hash : "");
  mount.nextElementSibling?.remove(); // the picture for readers without scripts
})(window.ibExplorer);
