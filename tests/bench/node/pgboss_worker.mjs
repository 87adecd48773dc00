// One pg-boss process whose only queue's handler does nothing.
import { PgBoss } from 'pg-boss'
import { config, handle, onStop, ready, uri } from './worker.mjs'

const boss = new PgBoss({ connectionString: uri, ...config.boss })
boss.on('error', error => process.stderr.write(`${error?.stack || error}\n`))
await boss.start()
await boss.work('job', config.work || {}, async jobs => {
  for (const job of jobs) handle(job.data)
})
onStop(() => boss.stop({ graceful: true, timeout: 3000 }))
ready()
