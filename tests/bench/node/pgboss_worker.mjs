// One pg-boss process whose only queue's handler does nothing, or sends its request.
import { PgBoss } from 'pg-boss'
import { config, handle, onStop, ready, uri } from './worker.mjs'

const boss = new PgBoss({ connectionString: uri, ...config.boss })
boss.on('error', error => process.stderr.write(`${error?.stack || error}\n`))
await boss.start()

async function settle(job) {
  try {
    await handle(job.data)
    return { id: job.id, status: 'completed' }
  } catch (error) {
    return { id: job.id, status: 'failed', output: { message: String(error) } }
  }
}

const work = config.work || {}
await boss.work('job', work, work.perJobResults ? jobs => Promise.all(jobs.map(settle)) : async jobs => {
  for (const job of jobs) handle(job.data)
})
onStop(() => boss.stop({ graceful: true, timeout: 3000 }))
ready()
