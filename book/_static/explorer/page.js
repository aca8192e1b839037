// The explorer's controls and tables, as HTML.
(ns => {
  let count = 0;
  const slider = (name, label, step) => {
    const id = `ib-${name}-${(count += 1)}`, [low, high] = ns.RANGES[name];
    return `<div class="control"><label for="${id}">${label}</label><div class="pair">
      <input type="range" id="${id}" data-control="${name}" min="${low}" max="${high}" step="${step}">
      <input type="text" inputmode="decimal" autocomplete="off" data-control="${name}" aria-label="${label}, as a number">
    </div></div>`;
  };
  const number = name => `<td data-number="${name}"></td>`;
  const rows = (heads, lines) => heads.map(([name, words]) =>
    `<tr><th scope="row">${words}</th>${lines.map(line => number(`${line}_${name}`)).join("")}</tr>`).join("");
  const picture = (name, words, box = "0 0 240 200") =>
    `<figure><svg data-picture="${name}" viewBox="${box}" role="img" aria-label="${words}"></svg><figcaption>${words}</figcaption></figure>`;

  const classes = () => `<div class="control"><label for="ib-k">Number of classes K</label><div class="pair">
    <input type="range" id="ib-k" data-control="logk" min="0" max="100" step="1" aria-describedby="ib-k-help">
    <input type="text" inputmode="numeric" autocomplete="off" data-control="k" aria-label="Number of classes K, as a number"></div>
    <span id="ib-k-help" class="unseen">from 2 to 1000, in growing steps</span></div>`;
  const plays = '<button type="button" data-action="play">Move along the curve</button>';

  const oneLabel = () => `
<section data-section="one" aria-labelledby="ib-one"><h3 id="ib-one">One label, one strength</h3>
<div class="controls">
  ${slider("alpha", "Smoothing α", 0.005)}
  ${classes()}
  <div class="control"><label for="ib-prior">Prior: the shares of the classes</label>
    <select id="ib-prior" data-control="prior">
      <option value="equal">all equal</option><option value="half">class 1 has half</option>
      <option value="rank">falling: 1, 1/2, 1/3, …</option><option value="own">your own</option>
    </select></div>
  <div class="control own" hidden><label for="ib-own">Your shares, such as 0.5 0.3 0.2</label>
    <input type="text" id="ib-own" data-control="own" autocomplete="off"></div>
  <div class="check"><label><input type="checkbox" data-control="mix"> mix after training instead</label></div>
  ${plays}
</div>
<div class="pictures">
  ${picture("softLabel", "The soft label of class 1")}
  ${picture("informationPlane", "The point on the curve")}
  ${picture("share", "What a strength keeps")}
</div>
<p data-sentence="one"></p>
<table><caption>In nats</caption><tbody>
  <tr><th scope="row">H(Y), all there is to know about the label</th>${number("h_y")}</tr>
  <tr><th scope="row">I(X;T) = I(T;Y), smoothing in training</th>${number("kept")}</tr>
  <tr><th scope="row">I(T;Y), outputs mixed after training</th>${number("mixed")}</tr>
  <tr><th scope="row">share of H(Y) that is kept</th>${number("share")}</tr>
  <tr><th scope="row">soft label: of its own class</th>${number("own")}</tr>
  <tr><th scope="row">soft label: of each other class</th>${number("other")}</tr>
</tbody></table>
<p><strong>Puzzle.</strong> Find the α that keeps half of the information about the label, for the classes chosen above. Then predict: do a thousand classes need a larger α, or a smaller one?</p>
<p class="controls"><button type="button" data-action="ask">Is this half?</button> <button type="button" data-action="tell">Show me</button></p>
<p class="answer" role="status" data-answer></p>
</section>`;

  const LOSSES = ["ls", "cp", "vib"];
  const threeLosses = () => `
<section data-section="three" aria-labelledby="ib-three"><h3 id="ib-three">Three losses pull one output</h3>
<p>Three classes; the label is class 1. The dot is the model's output. Each arrow says how gradient descent on the logits moves it, each trail where that ends: at the best output of its loss. Drag the dot, or use the sliders.</p>
<div class="controls">
  ${slider("alpha", "Smoothing α", 0.005)}
  ${slider("beta", "Strength β of the other two", 0.01)}
  ${slider("p", "Output: share of class 1", 0.001)}
  ${slider("split", "Class 2, of what is left", 0.001)}
</div>
<div class="two">${picture("simplex", "Outputs of three classes", "0 0 300 280")}
<div><table><thead><tr><th scope="col">at this output</th><th scope="col"><span class="key ls">smoothing</span></th>
  <th scope="col"><span class="key cp">penalty</span></th><th scope="col"><span class="key vib">bottleneck</span></th></tr></thead><tbody>
  ${rows([["value", "loss"], ["pull1", "pull on logit 1"], ["pull2", "pull on logit 2"], ["pull3", "pull on logit 3"], ["best", "smoothing of the best output"], ["acts", `the same for <span data-k></span> classes`]], LOSSES)}
</tbody></table></div></div>
<p data-sentence="three"></p>
</section>`;

  const POOLS = ["arithmetic", "geometric"];
  const twoPools = () => `
<section data-section="votes" aria-labelledby="ib-votes"><h3 id="ib-votes">When labels contradict each other</h3>
<p>Four inputs, two classes. On the first two inputs all people agree. On the third a share, the dissent, votes for class 2, on the fourth for class 1. The smoothed votes of an input are pooled into one target: by their mean, as cross-entropy does, or by their geometric mean.</p>
<div class="controls">${slider("alpha", "Smoothing α", 0.005)}${slider("dissent", "Dissent", 0.01)}</div>
<div class="two">${picture("contradiction", "Targets on the plane")}
<div><table><thead><tr><td></td><th scope="col"><span class="key ls">arithmetic</span></th><th scope="col"><span class="key geo">geometric</span></th></tr></thead><tbody>
  ${rows([["lean", "target of input 3, class 1"], ["ixt", "I(X;T)"], ["ity", "I(T;Y)"], ["best", `<span class="key ib">best</span> I(T;Y) there`], ["short", "short of it by"]], POOLS)}
</tbody></table></div></div>
<p data-sentence="votes"></p>
</section>`;

  const SETTINGS = [
    ["no smoothing", "alpha=0"],
    ["a thousand classes", "alpha=0.1&k=1000"],
    ["one class has half of the data", "alpha=0.1&k=10&prior=half"],
    ["confidently wrong, three pulls", "alpha=0.1&beta=0.5&p=0.01"],
    ["strong penalty", "alpha=0.5&beta=1.5&p=0.9"],
    ["mixed after training", "alpha=0.3&mix=1"],
    ["hardly any dissent", "alpha=0.1&dissent=0.05"],
  ];
  const settings = () => SETTINGS.map(([words, hash]) => `<li><a href="#${hash}">${words}</a></li>`).join("");

  // The front page's: one knob more than a figure.
  const front = () => `
<section data-section="one" aria-label="Label smoothing, moved">
<div class="controls">${slider("alpha", "Smoothing α", 0.005)}${classes()}${plays}</div>
<div class="pictures">
  ${picture("softLabel", "The soft label of class 1")}
  ${picture("informationPlane", "The point on the curve")}
  ${picture("share", "What a strength keeps")}
</div>
<p data-sentence="one"></p>
</section>`;

  const SECTIONS = { one: oneLabel, three: threeLosses, votes: twoPools };
  const link = '<a data-link href="#">Link to this setting</a> <span data-copied role="status"></span> <button type="button" data-action="reset">Begin again</button>';
  const more = '<a data-more href="#">Open it in the whole explorer</a>';
  const said = '<p class="unseen" role="status" data-said></p>';

  // The whole page of it, or one of its parts in a chapter or on the front page.
  ns.markup = part => {
    const notes = '<p class="notes" role="status" data-notes></p>';
    if (part === "front") return `${notes}${front()}<p>${more}</p>${said}`;
    if (part in SECTIONS) return `${notes}${SECTIONS[part]()}<p>${link} ${more}</p>${said}`;
    const all = Object.values(SECTIONS).map(section => section()).join("");
    return `${notes}${all}<p>Settings to look at:</p><ul>${settings()}</ul><p>${link}</p>${said}`;
  };
})(window.ibExplorer);
