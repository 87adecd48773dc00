// One graphile-worker process whose only task does nothing, or sends its request.
import { Logger } from '@graphile/logger'
import { run } from 'graphile-worker'
import { config, handle, onStop, ready, uri } from './worker.mjs'

const logger = new Logger(() => (level, message) => {
  if (level === 'error') process.stderr.write(message + '\n')
})
const runner = await run({
  noHandleSignals: true,
  taskList: { job: async args => handle(args) },
  preset: { worker: { connectionString: uri, logger, ...config } }
})
onStop(() => runner.stop())
ready()
