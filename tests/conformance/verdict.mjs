// What a run amounts to: the table, and where it differs from what the repository says.

const KINDS = ['required', 'optimal', 'check']
/** The part of the optimisations that must pass. */
const OPTIMAL_PERCENT = 95

/** Per kind and group: how many passed, and which did not. */
export function * table (outcomes) {
  for (const kind of KINDS) {
    const ofKind = outcomes.filter(outcome => outcome.kind === kind)
    if (!ofKind.length) continue
    yield `\n${kind}: ${counts(ofKind)}`
    for (const group of new Set(ofKind.map(test => test.group))) {
      const tests = ofKind.filter(test => test.group === group)
      yield `  ${group}: ${counts(tests)}`
      for (const { id, why } of tests.filter(test => !test.passed)) yield `    ${id}: ${why}`
    }
  }
}

/** Each way in which this run is not what `expected` says. */
export function verdict (outcomes, expected) {
  return [...KINDS.slice(0, 2).flatMap(kind => [...surprises(outcomes, kind, expected[kind])]), ...tooFew(outcomes, expected.contradicts_rfc)]
}

function * surprises (outcomes, kind, listed) {
  const failed = new Set(outcomes.filter(test => test.kind === kind && !test.passed).map(test => test.id))
  for (const id of failed) if (!(id in listed)) yield `${kind}: ${id} fails`
  for (const id of Object.keys(listed)) {
    if (!failed.has(id)) yield `${kind}: ${id} passes, or does not exist: take it off the list in expected.json`
  }
}

/** Of the optimisations, those that an RFC forbids do not count. */
function * tooFew (outcomes, contradicting) {
  const optimal = outcomes.filter(test => test.kind === 'optimal' && !contradicting.includes(test.id))
  const percent = 100 * optimal.filter(test => test.passed).length / optimal.length
  if (!(percent >= OPTIMAL_PERCENT)) yield `optimal: ${percent.toFixed(1)} % pass, fewer than ${OPTIMAL_PERCENT} %`
}

function counts (tests) {
  const passed = tests.filter(test => test.passed).length
  return `${passed} passed, ${tests.length - passed} failed`
}
