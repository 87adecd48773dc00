// Enqueues through pg-boss's own API: BENCH_COUNT jobs, BENCH_BATCH a call (1: one by one). With a count of 0 it only
// makes the schema and the queue, and writes to BENCH_SQL the statement that send() would run.
import fs from 'node:fs'
import { PgBoss } from 'pg-boss'
import { config, done, uri } from './worker.mjs'

const count = Number(process.env.BENCH_COUNT)
const batch = Number(process.env.BENCH_BATCH)
const boss = new PgBoss({ connectionString: uri, max: count ? 1 : 3, supervise: false, schedule: false, ...config.boss })
boss.on('error', error => process.stderr.write(`${error}\n`))
await boss.start()

async function setUp() {
  await boss.createQueue('job', config.queue || {})
  const statements = []
  const db = {
    executeSql: async (text, values) => {
      statements.push({ text, values })
      return { rows: [{ id: 'x' }], rowCount: 1 }
    }
  }
  await boss.send('job', { seq: 0 }, { db })
  fs.writeFileSync(process.env.BENCH_SQL, JSON.stringify(statements))
}

if (!count) await setUp()
const started = performance.now()
for (let i = 0; i < count; i += batch) {
  if (batch === 1) {
    await boss.send('job', { seq: i })
    continue
  }
  await boss.insert('job', Array.from({ length: Math.min(batch, count - i) }, (_, k) => ({ data: { seq: i + k } })))
}
done(started)
await boss.stop({ graceful: false }).catch(() => {})
process.exit(0)
