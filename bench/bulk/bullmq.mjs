// Enqueues the rows of a JSON lines file with BullMQ's addBulk, and prints the
// seconds that it took.
import { readFileSync } from 'node:fs';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';

const [, , file, port] = process.argv;
const rows = readFileSync(file, 'utf8').split('\n').filter(Boolean).map((line) => ({ name: 'change', data: JSON.parse(line) }));
const connection = new Redis(Number(port), '127.0.0.1', { maxRetriesPerRequest: null });
const queue = new Queue('changes', { connection });
await queue.waitUntilReady();
const began = performance.now();
for (let at = 0; at < rows.length; at += 1000) await queue.addBulk(rows.slice(at, at + 1000));
console.log((performance.now() - began) / 1000);
await queue.close();
connection.disconnect();
