// The numbers of the explorer, in nats. Each function names the one of the package that it equals;
// tests/test_explorer.py holds them together.
// Classic scripts that share one name: browsers refuse ES modules from a plain folder (file:).
window.ibExplorer ??= {};
(ns => {
  const sum = values => values.reduce((total, value) => total + value, 0);
  const xlogx = p => (p > 0 ? p * Math.log(p) : 0);
  const entropy = p => 0 - sum(p.map(xlogx)); // info.entropy

  // (1 + d) log(1 + d) - d without cancellation near d = 0.
  const phi = d => {
    if (d <= -1) return 1;
    if (Math.abs(d) < 1e-3) return d * d * (1 / 2 - d * (1 / 6 - d * (1 / 12 - d * (1 / 20 - d / 30))));
    return (1 + d) * Math.log1p(d) - d;
  };

  // info.label_smoothing_information(alpha, prior=prior), uniform r.
  const information = (alpha, prior) => {
    const u = 1 / prior.length;
    return sum(prior.map(pi => {
      const mean = (1 - alpha) * pi + alpha * u, safe = mean > 0 ? mean : 1;
      const own = (1 - alpha) * (1 - pi) / safe, other = -(1 - alpha) * pi / safe;
      return mean * (pi * phi(own) + (1 - pi) * phi(other));
    }));
  };

  // info.information_plane(encoder, p_y_given_x=votes, p_x=weights): both axes from the tables.
  const plane = (encoder, votes, weights) => {
    const symbols = encoder[0].length, classes = votes[0].length;
    const qt = new Float64Array(symbols), py = new Float64Array(classes);
    const joint = Array.from({ length: symbols }, () => new Float64Array(classes));
    encoder.forEach((row, x) => row.forEach((q, t) => {
      qt[t] += weights[x] * q;
      for (let y = 0; y < classes; y++) joint[t][y] += weights[x] * q * votes[x][y];
    }));
    votes.forEach((row, x) => row.forEach((w, y) => { py[y] += weights[x] * w; }));
    let ixt = 0, ity = 0;
    encoder.forEach((row, x) => row.forEach((q, t) => {
      if (q > 0) ixt += weights[x] * q * Math.log(q / qt[t]);
    }));
    joint.forEach((row, t) => row.forEach((p, y) => {
      if (p > 0) ity += p * Math.log(p / (qt[t] * py[y]));
    }));
    return { ixt: Math.max(0, ixt), ity: Math.max(0, ity) };
  };

  // info.mix_outputs on the outputs of a model that was trained without smoothing, one-hot at its
  // optimum; then I(T;Y) from the joint law of output and label, with no closed form.
  const mixedInformation = (alpha, prior) => {
    const k = prior.length, u = alpha / k;
    const mean = new Float64Array(k);
    for (let y = 0; y < k; y++) for (let t = 0; t < k; t++) mean[t] += prior[y] * ((y === t) * (1 - alpha) + u);
    let total = 0;
    for (let y = 0; y < k; y++) for (let t = 0; t < k; t++) {
      const q = (y === t) * (1 - alpha) + u;
      if (q > 0 && prior[y] > 0) total += prior[y] * q * Math.log(q / mean[t]);
    }
    return Math.max(0, total);
  };

  // The one root of a rising function between two ends.
  const bisect = (rising, low, high) => {
    for (let i = 0; i < 200 && low < high; i++) {
      const middle = (low + high) / 2;
      if (middle === low || middle === high) break;
      if (rising(middle) < 0) low = middle; else high = middle;
    }
    return (low + high) / 2;
  };

  // info.label_smoothing_strength
  const strengthFor = (kept, prior) => bisect(a => kept - information(a, prior), 0, 1);

  // losses.smoothing_equivalent: the effective smoothing of the other two losses' best output.
  const EPS = 0.1;
  const fromOdds = (s, k) => (s < 700 ? k / (k + Math.expm1(s)) : k * Math.exp(-s));
  const penaltyActsLike = (beta, k) => {
    if (beta === 0) return 0;
    const s = bisect(x => beta * x * (1 - fromOdds(x, k) * (k - 1) / k) - 1, 0, k / beta);
    return fromOdds(s, k);
  };
  const odds = k => Math.log1p(k * (1 - EPS) / EPS);
  const bottleneckActsLike = (beta, k) => (beta === 0 ? 0 : fromOdds(odds(k) / beta, k));

  // losses.label_smoothing, confidence_penalty and discrete_vib (eps = 0.1) of one output p whose
  // label is the first class, and their pulls: minus the gradient by the logits.
  const target = (alpha, k) => Array.from({ length: k }, (_, t) => (t === 0) * (1 - alpha) + alpha / k);
  const losses = (p, alpha, beta) => {
    const k = p.length, h = entropy(p), q = target(alpha, k);
    const spread = p.map(v => (v > 0 ? v * (Math.log(v) + h) : 0)); // gradient of -H
    const on = -Math.log(1 - EPS + EPS / k);
    return {
      ls: {
        value: -sum(q.map((v, t) => (v > 0 ? v * Math.log(p[t]) : 0))),
        pull: p.map((v, t) => q[t] - v),
      },
      cp: {
        value: -Math.log(p[0]) - beta * h,
        pull: p.map((v, t) => (t === 0) - v - beta * spread[t]),
      },
      vib: {
        value: on + odds(k) * (1 - p[0]) + beta * (Math.log(k) - h),
        pull: p.map((v, t) => odds(k) * p[0] * ((t === 0) - v) - beta * spread[t]),
      },
    };
  };

  // Where an output goes when its logits follow a pull: how p moves.
  const motion = (p, pull) => {
    const mean = sum(p.map((v, t) => v * pull[t]));
    return p.map((v, t) => v * (pull[t] - mean));
  };
  const path = (start, name, alpha, beta) => {
    const points = [start];
    let p = start;
    for (let i = 0; i < 400; i++) {
      const move = motion(p, losses(p, alpha, beta)[name].pull);
      const speed = Math.hypot(...move);
      if (speed < 1e-7) break;
      const step = Math.min(0.012 / speed, 4);
      const next = p.map((v, t) => Math.max(v + step * move[t], 1e-9)), total = sum(next);
      const scaled = next.map(v => v / total);
      // A step that would turn back has arrived.
      const then = motion(scaled, losses(scaled, alpha, beta)[name].pull);
      if (sum(then.map((v, t) => v * move[t])) < 0) break;
      points.push(p = scaled);
    }
    return points;
  };

  // Four equally likely inputs whose votes for two classes lean by `dissent`.
  const votes = dissent => [[1, 0], [0, 1], [1 - dissent, dissent], [dissent, 1 - dissent]];
  const QUARTERS = [1 / 4, 1 / 4, 1 / 4, 1 / 4];
  const sigmoid = x => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)));
  const sharp = (s, dissent) => votes(dissent).map(w => {
    const q = sigmoid(s * (w[0] - w[1])); // info.geometric_smoothing: softmax of s w
    return [q, sigmoid(-s * (w[0] - w[1]))];
  });
  // info.pool_labels with the channel of uniform smoothing; at alpha = 0 the limit.
  const pooled = (alpha, dissent, how) => {
    if (how === "arithmetic") return votes(dissent).map(w => w.map(v => (1 - alpha) * v + alpha / 2));
    if (alpha === 0) return votes(dissent).map(w => (w[0] > w[1] ? [1, 0] : [0, 1]));
    return sharp(Math.log((2 - alpha) / alpha), dissent);
  };
  const voted = (encoder, dissent) => plane(encoder, votes(dissent), QUARTERS);
  // info.bottleneck_at_rate: for dissent up to 0.2 the best T is a softmax of the votes; a cell of
  // the page holds this against the certificate info.bottleneck_bound.
  const bestAtRate = (rate, dissent) => {
    const at = s => voted(sharp(s, dissent), dissent);
    if (rate >= Math.LN2 - 1e-12) return voted(pooled(0, dissent, "geometric"), dissent).ity;
    if (rate <= 0) return 0;
    return at(bisect(s => at(s).ixt - rate, 0, 1e5)).ity;
  };
  const curve = (dissent, count = 60) => Array.from({ length: count + 1 }, (_, i) => {
    const rate = Math.LN2 * i / count;
    return [rate, bestAtRate(rate, dissent)];
  });

  Object.assign(ns, {
    sum, entropy, information, plane, mixedInformation, strengthFor, penaltyActsLike,
    bottleneckActsLike, target, losses, motion, path, votes, pooled, voted, bestAtRate, curve,
  });
})(window.ibExplorer);
