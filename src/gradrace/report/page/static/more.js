// What stands at the end of the page: the optimizers' cards, and how it was judged.

function drawCards() {
  const names = [...new Set(page.labels.map((label) => page.optimizers[label]))].filter((name) => page.cards[name]);
  if (!names.length) return put("cards-body", h("p", null, t("cards.none")));
  put("cards-body", legend(t("cards.legend")), h("div", { class: "cards" }, names.map(optimizerCard)));
}

function optimizerCard(name) {
  const card = page.cards[name][state.lang];
  const labels = page.labels.filter((label) => page.optimizers[label] === name);
  const part = (key, ...content) => [h("h4", null, t(`cards.${key}`)), ...content];
  return h("article", { class: "card" },
    h("h3", null, labels.map((label) => [mark(label), " "]), card.title, h("span", { class: "small" }, ` ${labels.join(", ")}`)),
    part("idea", h("p", null, card.idea)),
    part("formula", h("pre", { tabindex: "0", role: "region", "aria-label": `${t("cards.formula")}: ${name}` }, card.formula.join("\n"))),
    part("use", h("p", null, card.use)),
    part("line", h("pre", { tabindex: "0", role: "region", "aria-label": `${t("cards.line")}: ${name}` }, h("code", null, card.code))),
    part("paper", h("p", null, h("a", { href: card.link, rel: "noreferrer noopener" }, card.paper))),
    card.differences.length ? part("differences", h("ul", null, card.differences.map((line) => h("li", null, line)))) : null);
}

function drawHow() {
  const { plan, machine, cost, race, workload } = summary;
  const currency = t(`how.${plan.currency}`);
  const count = Object.keys(plan.contenders).length;
  const lines = page.sentences[state.lang].how ?? [
    t("how.budget", { contenders: whole(count), studies: whole(plan.studies), trials: whole(plan.trials), steps: whole(plan.steps), currency }),
    t(plan.halving ? "how.halving" : "how.whole"), t("how.paired"), t("how.confirmation", { seeds: whole(plan.seeds) }), t("how.verdict"),
  ];
  const seconds = (value) => (value === null ? t("page.unknown") : t("how.seconds_unit", { seconds: number(value) }));
  const around = ["warmup", "clip_norm", "decoupled_weight_decay", "ema"].filter((name) => plan[name]).map((name) => `${name} ${number(plan[name])}`);
  const when = new Date(/[Z+]/.test(race.created.slice(10)) ? race.created : `${race.created}Z`);
  const created = new Intl.DateTimeFormat(locale(), { dateStyle: "long", timeStyle: "short", timeZone: "UTC" }).format(when);
  const facts = [
    ["how.race", race.id], ["how.status", t(`how.status_${race.status}`)], ["how.created", `${created} UTC`], ["how.seed", String(plan.seed)],
    ["how.data", [workload.title ?? workload.name, workload.source].filter(Boolean).join(": ")], ["how.licence", workload.licence],
    ["how.model", plan.parameters === null ? null : whole(plan.parameters)], ["how.batch", plan.batch_size ? whole(plan.batch_size) : null],
    ["how.schedule", plan.schedule], ["how.around", around.join(", ")], ["how.engine", plan.compiled ? t("how.compiled", { engine: plan.engine }) : plan.engine],
    ["how.machine", [machine.cores && t("how.cores", { cores: whole(machine.cores) }), machine.processor, machine.system].filter(Boolean).join(", ")],
    ["how.versions", [`gradrace ${summary.gradrace}`, machine.torch && `torch ${machine.torch}`, machine.python && `Python ${machine.python}`].filter(Boolean).join(", ")],
    ["how.trial_steps", whole(cost.trial_steps)], ["how.time", seconds(cost.seconds)], ["how.training", seconds(cost.seconds_training)],
  ].filter(([, value]) => value);
  const command = page.command
    ? [h("h3", null, t("how.repeat")), h("pre", { tabindex: "0", role: "region", "aria-label": t("how.repeat") }, h("code", null, page.command))]
    : summary.imported ? null : [h("h3", null, t("how.repeat")), h("p", null, t("how.repeat_none"))];
  put("how-body", h("ul", null, lines.map((line) => h("li", null, line))), command, h("dl", { class: "facts plain" }, facts.map(([key, value]) => h("div", null, h("dt", null, t(key)), h("dd", null, value)))));
}
