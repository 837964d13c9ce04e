#!/bin/bash
# SPDX-License-Identifier: MIT
#
# node: worker threads that come and go, buffers handed between them, its thread
# pool (zlib, hashes, files), many strings and objects.
#
# for an engine with a thread pool and workers that come and go, whose memory moves between them
# needs node
# probe node -e 0

cat >main.js <<'END'
const { Worker } = require('worker_threads');
const zlib = require('zlib');
const crypto = require('crypto');
const fs = require('fs');
const { promisify } = require('util');
const hash = (data) => crypto.createHash('sha256').update(data).digest('hex').slice(0, 32);

const run = (n) => new Promise((resolve, reject) => {
	const worker = new Worker('./worker.js', { workerData: n });
	let result;
	worker.on('message', (m) => { result = m; });
	worker.on('error', reject);
	worker.on('exit', (code) => code ? reject(new Error(`exit ${code}`)) : resolve(result));
});

(async () => {
	for (let round = 0; round < 4; round++) {
		const results = await Promise.all([0, 1, 2, 3].map((i) => run(round * 4 + i)));
		const all = results.map((r) => hash(r.buffer) + r.text).join();
		console.log(`result workers-${round}`, hash(all));
	}
	const parts = await Promise.all([...Array(64).keys()].map(async (i) => {
		const text = Buffer.alloc(300000, `part ${i} `);
		const packed = await promisify(i % 2 ? zlib.gzip : zlib.brotliCompress)(text,
			i % 2 ? {} : { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 5 } });
		const back = await promisify(i % 2 ? zlib.gunzip : zlib.brotliDecompress)(packed);
		if (!back.equals(text))
			throw new Error('zlib');
		await fs.promises.writeFile(`f${i}`, back);
		return hash(await fs.promises.readFile(`f${i}`));
	}));
	console.log('result pool', hash(parts.join()));
	const keys = await Promise.all([...Array(8).keys()].map((i) =>
		promisify(crypto.scrypt)(`secret ${i}`, 'salt', 64, { N: 4096 })));
	console.log('result scrypt', hash(Buffer.concat(keys)));
	let big = {};
	for (let i = 0; i < 300000; i++)
		big[`key${i * 7919 % 1000003}`] = { i, s: 'x'.repeat(i % 50), a: [i, i + 1] };
	const text = JSON.stringify(big);
	big = null;
	console.log('result json', hash(text), Object.keys(JSON.parse(text)).length);
})().catch((e) => { console.error(e); process.exit(1); });
END
cat >worker.js <<'END'
const { parentPort, workerData } = require('worker_threads');
const map = new Map();
for (let i = 0; i < 60000; i++)
	map.set(`${workerData}-${i % 9973}`, Buffer.alloc(i % 700 + 1, i & 255));
const buffer = new Uint8Array(4 << 20);
let at = 0;
for (const [key, value] of map)
	for (const byte of value.subarray(0, 300))
		buffer[at++ % buffer.length] ^= byte;
const text = [...map.keys()].sort().join().slice(0, 1000);
parentPort.postMessage({ buffer, text }, [buffer.buffer]);
END
node main.js
