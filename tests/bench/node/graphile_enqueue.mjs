// Enqueues through graphile-worker's own API: BENCH_COUNT jobs, BENCH_BATCH a call (1: one by one). With a count of
// 0 it only makes the schema.
import { makeWorkerUtils } from 'graphile-worker'
import pg from 'pg'
import { done, uri } from './worker.mjs'

const pool = new pg.Pool({ connectionString: uri, max: 1 })
const utils = await makeWorkerUtils({ pgPool: pool })
await utils.migrate()
const count = Number(process.env.BENCH_COUNT)
const batch = Number(process.env.BENCH_BATCH)
const started = performance.now()
for (let i = 0; i < count; i += batch) {
  if (batch === 1) {
    await utils.addJob('job', { seq: i })
    continue
  }
  const jobs = Array.from({ length: Math.min(batch, count - i) }, (_, k) => ({ identifier: 'job', payload: { seq: i + k } }))
  await utils.addJobs(jobs)
}
done(started)
process.exit(0)
