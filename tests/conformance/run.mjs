// Runs the public HTTP cache tests (npm: http-cache-tests) through Larder in a real Envoy with two workers, prints
// what passed and what failed, and fails when that differs from `expected.json`: see README.md.
//
// With ids as arguments it runs only these, and says what client and origin saw.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { getResults, runTests } from 'http-cache-tests/client/runner.mjs'
import { determineTestResult } from 'http-cache-tests/lib/display.mjs'
import groups from 'http-cache-tests/tests/index.mjs'
import surrogate from 'http-cache-tests/tests/surrogate-control.mjs'
import fetch from 'node-fetch'

import { Processes } from './processes.mjs'
import { table, verdict } from './verdict.mjs'

/** Tests at a time. More make answers so late on a busy machine that lifetimes of two seconds pass meanwhile. */
const AT_ONCE = 25
/** No test waits longer for a response than this. */
const TIMEOUT_MS = 20_000

const read = name => JSON.parse(readFileSync(join(import.meta.dirname, name), 'utf8'))
const all = [...groups, surrogate]
const only = new Set(process.argv.slice(2))

const processes = new Processes()
// Its origin fails on purpose, for one test while others run: with breakers it would be taken to be down.
const listener = await processes.envoy(await processes.origin(), join(import.meta.dirname, 'larder.json'))
const chosen = only.size ? all.map(group => ({ ...group, tests: group.tests.filter(inFull) })) : all
await runTests(chosen, withTimeout, false, `http://${listener}`, AT_ONCE)
const outcomes = outcomesOf(chosen, getResults())
for (const line of table(outcomes)) console.log(line)
const complaints = processes.complaints()
for (const line of complaints) console.error(line)
const wrong = only.size ? [] : verdict(outcomes, read('expected.json'))
if (complaints.length) wrong.push('Envoy or Larder logged errors (above).')
for (const line of wrong) console.error(line)
process.exit(wrong.length ? 1 : 0)

/** Whether the test was asked for; if so, it will be told in full. */
function inFull (test) {
  test.dump = only.has(test.id)
  return test.dump
}

function withTimeout (url, init) {
  return fetch(url, { timeout: TIMEOUT_MS, ...init })
}

/** Each test with what became of it: passed as the package judges it, dependencies included. */
function outcomesOf (groups, results) {
  const pass = new Set(['✅', 'Y'])
  return groups.flatMap(group => group.tests.filter(test => test.id in results).map(test => {
    const symbol = determineTestResult(all, test.id, results, only.size === 0)[2]
    const failed = results[test.id] === true ? undefined : results[test.id].join(': ')
    return {
      id: test.id,
      group: group.name,
      kind: test.kind ?? 'required',
      passed: pass.has(symbol),
      why: symbol === '⚪️' ? `depends on ${test.depends_on.join(', ')}` : failed
    }
  }))
}
