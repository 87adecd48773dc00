// The other side of the comparison: what the npm package croner says. Reads the lines that cron_fires reads
// (tests/cron/fires.c) and answers in the same form. It lies beside croner's node_modules when it runs.
//
// With the argument "offsets" the lines are ZONE <tab> FROM_S:OFFSET_S FROM_S:OFFSET_S ...; the answer is the first
// FROM_S from which on this Node's time zone data says something else, or "same". With "broken" it takes lists and
// ranges for intervals, which must be found.
import { createInterface } from 'node:readline';
import { Cron } from 'croner';

const OPTIONS = {
  // What docs/schedules.md calls a fixed time; croner's default counts lists and ranges as intervals.
  fixedTimeRule: process.argv[2] === 'broken' ? 'single-value' : 'no-wildcard',
  // a/n from a on
  sloppyRanges: true,
  paused: true,
};

function fires(line) {
  const [start, count, timezone, expression] = line.split('\t');
  try {
    const cron = new Cron(expression, { ...OPTIONS, timezone });
    return cron.nextRuns(Number(count), new Date(Number(start) * 1000)).map((at) => at.getTime() / 1000).join(' ');
  } catch (error) {
    return `error ${error.message}`;
  }
}

function offsetAt(format, atS) {
  const parts = Object.fromEntries(format.formatToParts(new Date(atS * 1000)).map(({ type, value }) => [type, Number(value)]));
  return Date.UTC(parts.year, parts.month - 1, parts.day, parts.hour % 24, parts.minute, parts.second) / 1000 - atS;
}

function offsets(line) {
  const [timeZone, list] = line.split('\t');
  const format = new Intl.DateTimeFormat('en-US', { timeZone, year: 'numeric', month: 'numeric', day: 'numeric',
    hour: 'numeric', minute: 'numeric', second: 'numeric', hour12: false });
  const spans = list.trim().split(' ').map((span) => span.split(':').map(Number));
  for (let i = 0; i < spans.length; i++) {
    const [from, offset] = spans[i];
    const last = i + 1 < spans.length ? spans[i + 1][0] - 1 : from;
    if (offsetAt(format, from) !== offset) return String(from);
    if (offsetAt(format, last) !== offset) return String(from);
    // Changes that only Node knows: a look at every month.
    for (let at = from; at < last; at += 30 * 86400) if (offsetAt(format, at) !== offset) return String(at);
  }
  return 'same';
}

const answer = process.argv[2] === 'offsets' ? offsets : fires;
for await (const line of createInterface({ input: process.stdin })) console.log(answer(line));
