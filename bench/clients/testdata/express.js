// Serves requests with express-session over connect-redis, in this process, and says what it saw as JSON lines.
// Arguments: the address of sessiond.
import http from 'node:http';
import session from 'express-session';
import {RedisStore} from 'connect-redis';
import {createClient} from 'redis';

const say = (what, value) => console.log(JSON.stringify({what, value}));

const client = createClient({url: `redis://${process.argv[2]}`, socket: {reconnectStrategy: false}});
client.on('error', (err) => { say('error', String(err)); process.exit(1); });
await client.connect();
const store = new RedisStore({client, prefix: 'shop:'});
const handle = session({store, secret: 'cookie secret', resave: false, saveUninitialized: false, cookie: {maxAge: 60000}});

const server = http.createServer((req, res) => handle(req, res, (err) => {
  if (err) {
    res.statusCode = 500;
    return res.end(String(err));
  }
  switch (req.url) {
    case '/count':
      req.session.n = (req.session.n ?? 0) + 1;
      return res.end(String(req.session.n));
    case '/regenerate':
      return req.session.regenerate((err) => {
        req.session.n = 100;
        res.end(String(err ?? 'ok'));
      });
    case '/destroy':
      return req.session.destroy((err) => res.end(String(err ?? 'ok')));
    default: // only touches
      return res.end(String(req.session.n ?? 'none'));
  }
}));
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const base = `http://127.0.0.1:${server.address().port}`;

class Visitor {
  async get(path) {
    const res = await fetch(base + path, {headers: this.cookie ? {cookie: this.cookie} : {}});
    const set = res.headers.get('set-cookie');
    if (set) this.cookie = set.split(';')[0];
    return res.text();
  }
}

const call = (f, ...args) => new Promise((resolve, reject) => f.call(store, ...args, (err, v) => err ? reject(err) : resolve(v)));

const anna = new Visitor(), ben = new Visitor();
const seen = [];
for (const path of ['/count', '/count', '/', '/count', '/regenerate', '/count']) seen.push(await anna.get(path));
seen.push(await ben.get('/count'));
say('seen', seen.join(' '));
say('length', await call(store.length));
say('all', (await call(store.all)).map((s) => s.n).sort().join(' '));
say('ttl', (await client.ttl((await client.scan('0', {MATCH: 'shop:*'})).keys[0])) > 0);
say('destroy', await anna.get('/destroy'));
say('after destroy', await anna.get('/'));
say('length', await call(store.length));
await call(store.clear);
say('length', await call(store.length));
say('pipeline', (await Promise.all(Array.from({length: 50}, (_, i) => client.set(`p:${i}`, String(i))))).every((v) => v === 'OK'));
say('values', (await Promise.all(Array.from({length: 50}, (_, i) => client.get(`p:${i}`)))).every((v, i) => v === String(i)));
await client.close();
server.close();
server.closeAllConnections();
