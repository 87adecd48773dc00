// What the Node workers say on stdout, a JSON object a line:
//   ready    it takes jobs
//   first    t: the first handler started, seconds since 1970
//   target   n jobs were handled (BENCH_TARGET); last: when the last of them ended
// With BENCH_OUT the job's number (args.seq) and the microsecond its handler started are kept, and written there
// as pairs of little-endian int64 on SIGTERM.
import fs from 'node:fs'
import http from 'node:http'

const target = Number(process.env.BENCH_TARGET || 0)
const out = process.env.BENCH_OUT
const records = []
let handled = 0
let first = 0

const say = object => fs.writeSync(1, JSON.stringify(object) + '\n')
const nowUs = () => Math.round((performance.timeOrigin + performance.now()) * 1000)

export const config = JSON.parse(process.env.BENCH_CONFIG || '{}')
export const uri = process.env.BENCH_URI

export function ready() {
  say({ event: 'ready' })
}

// A job that only starts and ends, or sends its request in between; async where there is one.
export function handle(args) {
  started(args)
  if (!args.url) return ended()
  return post(args).then(ended)
}

function started(args) {
  if (!first) {
    first = Date.now() / 1000
    say({ event: 'first', t: first })
  }
  if (out) records.push(args.seq, nowUs())
}

function ended() {
  handled++
  if (handled === target) say({ event: 'target', n: handled, last: Date.now() / 1000 })
}

const agent = new http.Agent({ keepAlive: true, maxSockets: 100 })

function post(args) {
  const body = JSON.stringify(args)
  return new Promise((resolve, reject) => {
    const request = http.request(args.url, {
      agent, method: 'POST', headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
    }, response => {
      response.resume()
      response.on('end', () => response.statusCode === 200 ? resolve() : reject(new Error(`status ${response.statusCode}`)))
    })
    request.on('error', reject)
    request.end(body)
  })
}

export function onStop(stop) {
  process.on('SIGTERM', async () => {
    if (out) {
      const bytes = Buffer.alloc(records.length * 8)
      records.forEach((value, i) => bytes.writeBigInt64LE(BigInt(Math.round(value ?? -1)), i * 8))
      fs.writeFileSync(out, bytes)
    }
    try {
      await stop()
    } catch {
      // It is ending anyway.
    }
    process.exit(0)
  })
}

export function done(startedMs) {
  say({ event: 'done', seconds: (performance.now() - startedMs) / 1000 })
}
