// A device for PHP in WebAssembly: what is written to it goes to a sessiond as it is, and what it answers is read from it.
// PHP must not be suspended meanwhile, so this thread sleeps and another one talks to sessiond.
import { connect } from 'node:net';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';

const MAX = 4 << 20;

if (!isMainThread) {
  const { signal, bytes, host, port } = workerData;
  const exchange = (number, request) => {
    const answer = [];
    const socket = connect({ host, port });
    socket.end(request);
    socket.on('data', (chunk) => answer.push(chunk));
    socket.on('error', () => {}); // the answer is what came until then, and PHP finds it cut off
    socket.on('close', () => {
      const all = Buffer.concat(answer);
      bytes.set(all);
      Atomics.store(signal, 1, all.length);
      Atomics.store(signal, 0, number);
      Atomics.notify(signal, 0);
    });
  };
  parentPort.on('message', ({ number, request }) => exchange(number, Buffer.from(request)));
}

// install makes the device in a PHP runtime.
export function install(runtime, path, { host, port }) {
  const signal = new Int32Array(new SharedArrayBuffer(8));
  const bytes = new Uint8Array(new SharedArrayBuffer(MAX));
  const worker = new Worker(new URL(import.meta.url), { workerData: { signal, bytes, host, port } });
  worker.unref();
  let number = 0; // of the exchange: the other thread tells which one is over
  const { FS } = runtime;
  const id = FS.makedev(211, 0);
  FS.registerDevice(id, {
    open(stream) {
      stream.request = [];
      stream.answer = null;
    },
    close() {},
    write(stream, buffer, offset, length) {
      stream.request.push(Buffer.from(buffer.slice(offset, offset + length)));
      return length;
    },
    read(stream, buffer, offset, length) {
      if (!stream.answer) {
        // sessiond ends the connection after its answer: that is how the other thread sees its end.
        const request = Buffer.concat(stream.request).toString('latin1').replace('\r\n', '\r\nConnection: close\r\n');
        number++;
        worker.postMessage({ number, request: Buffer.from(request, 'latin1') });
        for (let over; (over = Atomics.load(signal, 0)) !== number; ) Atomics.wait(signal, 0, over);
        stream.answer = Buffer.from(bytes.slice(0, Atomics.load(signal, 1)));
      }
      const part = stream.answer.subarray(0, length);
      stream.answer = stream.answer.subarray(length);
      buffer.set(part, offset);
      return part.length;
    },
  });
  FS.mkdev(path, id);
}
