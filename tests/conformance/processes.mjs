// Starts and ends what a run needs: the package's origin server, and an Envoy with Larder in front of it.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const CHECKOUT = resolve(import.meta.dirname, '../..')
const PACKAGE = dirname(createRequire(import.meta.url).resolve('http-cache-tests/package.json'))
const PATIENCE_MS = 20_000

/** Everything that was started ends with this process, however it ends. */
export class Processes {
  #folder = mkdtempSync(join(tmpdir(), 'larder-conformance-'))
  #running = []
  #log

  constructor () {
    process.on('exit', () => this.end())
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1))
  }

  /** The package's origin; returns its port. */
  async origin () {
    const log = join(this.#folder, 'origin.log')
    const env = {
      ...process.env,
      npm_config_protocol: 'http',
      npm_config_port: '0',
      npm_config_pidfile: join(this.#folder, 'origin.pid')
    }
    this.#start(process.execPath, ['server/server.mjs'], log, { cwd: PACKAGE, env })
    return await until(`the origin's port (${log})`, () => /^Listening on http:.*:(\d+)\//m.exec(read(log))?.[1])
  }

  /** An Envoy with two workers, Larder configured by that file, in front of that origin; returns where it listens. */
  async envoy (originPort, configuration) {
    const child = spawn('python3', ['-m', 'stand', originPort, configuration], {
      cwd: join(CHECKOUT, 'envoy'), stdio: ['pipe', 'pipe', 'inherit']
    })
    this.#running.push(child)
    const [said] = await Promise.race([once(child.stdout, 'data'), once(child, 'close')])
    if (!(said instanceof Buffer)) throw new Error('Envoy did not start.')
    const { listener, log } = JSON.parse(said)
    this.#log = log
    return listener
  }

  /** What Envoy and Larder complained about. */
  complaints () {
    return read(this.#log).split('\n').filter(line => /\[(error|critical)\]|panick/.test(line))
  }

  end () {
    for (const child of this.#running.splice(0)) child.kill('SIGKILL')
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #start (command, args, log, options = {}) {
    const output = openSync(log, 'w')
    const child = spawn(command, args, { ...options, stdio: ['ignore', output, output] })
    child.on('error', error => { throw new Error(`${command} does not start`, { cause: error }) })
    this.#running.push(child)
    // A process that is killed cannot clean up: whoever waits for the end of its standard input can.
    this.#running.push(spawn('sh', ['-c', `read -r _; kill -9 ${child.pid}`], { stdio: ['pipe', 'ignore', 'ignore'] }))
    return child
  }
}

function read (path) {
  return existsSync(path) ? readFileSync(path, 'utf8') : ''
}

/** What this finds, once it finds something. */
async function until (what, look) {
  const end = Date.now() + PATIENCE_MS
  for (;;) {
    const found = await look()
    if (found) return found
    if (Date.now() > end) throw new Error(`no ${what} within ${PATIENCE_MS} ms`)
    await sleep(10)
  }
}
