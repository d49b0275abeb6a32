// Starts and ends what a run needs: the package's origin server, and an Envoy with Larder in front of it.

import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
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

  /** An Envoy with two workers, Larder configured so, in front of that origin; returns where it listens. */
  async envoy (originPort, configuration) {
    const [config, admin, log] = ['envoy.yaml', 'admin', 'envoy.log'].map(name => join(this.#folder, name))
    writeFileSync(config, bootstrap(originPort, configuration))
    const child = this.#start(process.env.LARDER_ENVOY ?? 'envoy', [
      '--config-path', config, '--admin-address-path', admin,
      '--concurrency', '2', '--disable-hot-restart', '--log-level', 'warning'
    ], log)
    const address = await until('an admin address', () => {
      if (child.exitCode !== null) throw new Error(`Envoy ended at once:\n${read(log)}`)
      return read(admin).trim()
    })
    return await until('a listener', async () => {
      const listeners = await fetch(`http://${address}/listeners?format=text`).then(answer => answer.text())
      return /^larder::(\S+)/m.exec(listeners)?.[1]
    })
  }

  /** What Envoy and Larder complained about. */
  complaints () {
    return read(join(this.#folder, 'envoy.log')).split('\n').filter(line => /\[(error|critical)\]|panick/.test(line))
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

/** The very configuration that operators copy, with ports, module and plugin configuration filled in. */
function bootstrap (originPort, configuration) {
  const module = join(CHECKOUT, 'dist/larder.wasm')
  if (!existsSync(module)) throw new Error('dist/larder.wasm is missing: run `make build`')
  const filled = [
    ['port_value: 9901', 'port_value: 0'],
    ['0.0.0.0, port_value: 10000', '127.0.0.1, port_value: 0'],
    ['port_value: 8000', `port_value: ${originPort}`],
    ['dist/larder.wasm', module],
    ['value: |\n                    { "collapse": { "cluster": "route_loop" } }\n', `value: ${JSON.stringify(JSON.stringify(configuration))}\n`]
  ]
  let yaml = readFileSync(join(CHECKOUT, 'envoy/envoy.yaml'), 'utf8')
  for (const [from, to] of filled) {
    const parts = yaml.split(from)
    if (parts.length !== 2) throw new Error(`envoy/envoy.yaml should have this exactly once: ${from}`)
    yaml = parts.join(to)
  }
  return yaml
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
