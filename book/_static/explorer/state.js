// The explorer's state, from the address and back. Whatever the address says, what comes out can be
// drawn; each thing that had to be changed gives one sentence.
(ns => {
  const START = {
    alpha: 0.1, beta: 0.5, k: 10, prior: "equal", own: "", mix: false, p: 0.2, split: 0.7, dissent: 0.2,
  };
  const RANGES = {
    alpha: [0, 1, "α"],
    beta: [0, 2, "β"],
    p: [0.001, 0.998, "the share of class 1"],
    split: [0.001, 0.999, "the split of the rest"],
    dissent: [0, 0.2, "the dissent"],
  };
  const PRIORS = ["equal", "half", "rank", "own"];
  const MOST = 1000;

  // A number as people write it; NaN for anything else.
  const number = text => {
    const plain = String(text).trim().replace(",", ".");
    return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(plain) ? Number(plain) : NaN;
  };
  const quoted = text => `“${String(text).slice(0, 24)}”`;

  // One value, or what stands in for it, with the reason.
  const within = (text, [low, high, name], otherwise, say) => {
    const value = number(text);
    if (Number.isNaN(value)) {
      say(`${quoted(text)} is no number for ${name}: ${otherwise} is used.`);
      return otherwise;
    }
    const near = Math.min(high, Math.max(low, value));
    if (near !== value) say(`${name} lies between ${low} and ${high}: ${near} is used.`);
    return near;
  };

  const classes = (text, otherwise, say) => {
    const value = number(text);
    if (Number.isNaN(value)) {
      say(`${quoted(text)} is no number of classes: ${otherwise} is used.`);
      return otherwise;
    }
    const near = Math.min(MOST, Math.max(2, Math.round(value)));
    if (near !== value) say(`The number of classes is whole, 2 to ${MOST}: ${near} is used.`);
    return near;
  };

  // Shares that a reader typed: "5 3 2", "0.5, 0.3, 0.2", "50% 30% 20%".
  const shares = (text, say) => {
    const plain = String(text).slice(0, 20000).replace(/%/g, " ").trim();
    const pieces = plain.split(/[\s;|]+/).filter(Boolean);
    const decimal = pieces.length > 1 && pieces.every(piece => /^\d+,\d+$/.test(piece)); // 0,5 0,3 0,2
    const words = decimal ? pieces : plain.split(/[\s;|,]+/).filter(Boolean);
    const values = words.map(number);
    const wrong = values.findIndex(v => !(v >= 0 && v < 1e12));
    if (wrong >= 0) say(`${quoted(words[wrong])} is no share of a class: all classes are made equal.`);
    else if (words.length < 2) say("Shares are needed for at least two classes: all classes are made equal.");
    else if (words.length > MOST) say(`There are at most ${MOST} classes: all classes are made equal.`);
    else {
      const total = ns.sum(values);
      if (total > 1e-9) {
        if (Math.abs(total - 1) > 1e-9) {
          say(`The shares add up to ${Number(total.toPrecision(4))}: each is divided by that.`);
        }
        return values.map(v => v / total);
      }
      say("The shares add up to zero: all classes are made equal.");
    }
    return null;
  };

  const priorOf = (state, say) => {
    const own = state.prior === "own" ? shares(state.own, say) : null;
    if (own) return own;
    const parts = Array.from({ length: state.k }, (_, y) => {
      if (state.prior === "half") return y === 0 ? 0.5 : 0.5 / (state.k - 1);
      return state.prior === "rank" ? 1 / (y + 1) : 1;
    });
    const total = ns.sum(parts);
    return parts.map(v => v / total);
  };

  // Any object of texts -> a state, its prior, and sentences. What is no value becomes `otherwise`.
  const clean = (raw, otherwise = START) => {
    const notes = [], say = note => notes.push(note);
    const state = { ...START };
    for (const name of Object.keys(RANGES)) {
      if (name in raw) state[name] = within(raw[name], RANGES[name], otherwise[name], say);
    }
    if ("k" in raw) state.k = classes(raw.k, otherwise.k, say);
    if ("prior" in raw) {
      if (PRIORS.includes(raw.prior)) state.prior = raw.prior;
      else say(`${quoted(raw.prior)} is no prior: all classes are made equal.`);
    }
    if ("own" in raw) state.own = String(raw.own).slice(0, 20000);
    if ("mix" in raw) {
      state.mix = [true, "1", "true"].includes(raw.mix);
      if (![true, false, "1", "0", "true", "false"].includes(raw.mix)) {
        say(`${quoted(raw.mix)} is neither 0 nor 1 for mix: smoothing in training is drawn.`);
      }
    }
    const prior = priorOf(state, say);
    state.k = prior.length;
    return { state, prior, notes };
  };

  const parse = hash => {
    const isSection = document.getElementById(String(hash).replace(/^#/, ""));
    const raw = {}, unknown = [];
    for (const piece of String(hash).replace(/^#/, "").split("&").filter(Boolean)) {
      const [name, ...rest] = piece.split("=");
      let text = rest.join("=").replace(/\+/g, " ");
      try { text = decodeURIComponent(text); } catch { /* stays as it is written */ }
      if (Object.hasOwn(START, name)) raw[name] = text;
      else unknown.push(name);
    }
    const found = clean(raw);
    if (unknown.length && !isSection) {
      found.notes.push(`${unknown.map(quoted).slice(0, 3).join(", ")} is no setting here and is left out.`);
    }
    return found;
  };

  const format = state => "#" + Object.keys(START)
    .filter(name => name !== "own" || state.prior === "own")
    .map(name => `${name}=${encodeURIComponent(name === "mix" ? Number(state.mix) : state[name])}`)
    .join("&");

  Object.assign(ns, { START, RANGES, clean, parse, format });
})(window.ibExplorer);
