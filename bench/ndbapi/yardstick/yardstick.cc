// The yardstick of bench/ndbapi: what the NDB API does when a program of a page drives it, with no contract to keep. It reads
// and updates rows of session by as few calls as there can be, each batch one transaction.
//
//   yardstick CONNECT DATABASE IDS read|write|cycle THREADS BATCH SECONDS PAYLOAD
//
// IDS is a file of 32-byte keys that are in the table. It prints how many rows it read, or wrote, or read and then wrote, in
// how many seconds, and the median time of a batch in microseconds.

#include <NdbApi.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Id { char bytes[32]; };

// The columns that a write sets, and that a read fetches.
struct Row {
  Uint64 ver, stamp;
  Int64 expires;
  Uint32 due;
  unsigned char payload[2 + 29000];
};

[[noreturn]] void fail(const char *what, const NdbError &e) {
  fprintf(stderr, "yardstick: %s: %d %s\n", what, e.code, e.message);
  exit(1);
}

struct Options {
  std::vector<Id> ids;
  bool reads, writes;
  int threads, batch, payload;
  double seconds;
};

class Worker {
public:
  Worker(Ndb_cluster_connection &c, const char *database, const Options &o, int number)
      : o(o), ndb(&c, database), rows(o.batch), keys(o.batch), random(number) {
    if (ndb.init(8)) fail("init", ndb.getNdbError());
    NdbDictionary::Dictionary *d = ndb.getDictionary();
    table = d->getTable("session");
    if (!table) fail("table session", d->getNdbError());
    key = record({{"id", 0}});
    row = record({{"ver", offsetof(Row, ver)}, {"stamp", offsetof(Row, stamp)}, {"expires", offsetof(Row, expires)},
                  {"due", offsetof(Row, due)}, {"payload", offsetof(Row, payload)}});
    // Each thread has keys of its own, so that no two wait for each other's locks.
    for (size_t i = number; i < o.ids.size(); i += o.threads) own.push_back(o.ids[i]);
  }

  void run(Clock::time_point end) {
    while (Clock::now() < end) {
      choose();
      const Clock::time_point began = Clock::now();
      if (o.reads) transact(false);
      if (o.writes) transact(true);
      took.push_back(std::chrono::duration<double, std::micro>(Clock::now() - began).count());
      done += keys.size();
    }
  }

  long done = 0;
  std::vector<double> took;

private:
  NdbRecord *record(std::initializer_list<std::pair<const char *, size_t>> columns) {
    std::vector<NdbDictionary::RecordSpecification> specs(columns.size());
    memset(specs.data(), 0, specs.size() * sizeof specs[0]);
    int n = 0;
    for (auto &[name, offset] : columns) {
      specs[n].column = table->getColumn(name);
      specs[n++].offset = offset;
    }
    NdbRecord *r = ndb.getDictionary()->createRecord(table, specs.data(), n, sizeof specs[0]);
    if (!r) fail("record", ndb.getDictionary()->getNdbError());
    return r;
  }

  // Chooses the keys of a batch, each once, and what to write there.
  void choose() {
    const size_t from = random() % own.size();
    for (size_t i = 0; i < keys.size(); i++) {
      keys[i] = own[(from + i) % own.size()];
      if (!o.writes || o.reads) continue;
      prepare(rows[i]);
    }
  }

  void prepare(Row &r) {
    r.ver++;
    r.stamp = random();
    r.expires = 4000000000000 + Int64(random() % 1000000);
    r.due = Uint32(r.expires / 60000 + 1);
    r.payload[0] = o.payload & 255;
    r.payload[1] = o.payload >> 8;
    for (int i = 0; i + 8 <= o.payload; i += 64) {
      const Uint64 v = random();
      memcpy(r.payload + 2 + i, &v, 8);
    }
  }

  void transact(bool writes) {
    NdbTransaction *t = ndb.startTransaction(table);
    if (!t) fail("begin", ndb.getNdbError());
    for (size_t i = 0; i < keys.size(); i++) {
      if (writes && o.reads) prepare(rows[i]);
      const NdbOperation *op = writes ? t->updateTuple(key, keys[i].bytes, row, (const char *)&rows[i])
                                      : t->readTuple(key, keys[i].bytes, row, (char *)&rows[i], NdbOperation::LM_CommittedRead);
      if (!op) fail("operation", t->getNdbError());
    }
    if (t->execute(NdbTransaction::Commit) && t->getNdbError().status != NdbError::TemporaryError) fail("execute", t->getNdbError());
    if (t->getNdbError().code) done -= keys.size(); // the redo log is overloaded: it did nothing
    ndb.closeTransaction(t);
  }

  const Options &o;
  Ndb ndb;
  const NdbDictionary::Table *table;
  NdbRecord *key, *row;
  std::vector<Row> rows;
  std::vector<Id> keys, own;
  std::mt19937_64 random;
};

} // namespace

int main(int n, char **args) {
  if (n != 9) {
    fprintf(stderr, "yardstick CONNECT DATABASE IDS read|write|cycle THREADS BATCH SECONDS PAYLOAD\n");
    return 2;
  }
  Options o;
  std::ifstream file(args[3], std::ios::binary);
  for (Id id; file.read(id.bytes, sizeof id.bytes);) o.ids.push_back(id);
  const std::string mode = args[4];
  o.reads = mode != "write";
  o.writes = mode != "read";
  o.threads = atoi(args[5]);
  o.batch = atoi(args[6]);
  o.seconds = atof(args[7]);
  o.payload = atoi(args[8]);
  if (o.threads < 1 || o.batch < 1 || o.seconds <= 0 || o.payload < 0 || o.payload > 29000 || o.ids.size() < size_t(o.threads) * o.batch) {
    fprintf(stderr, "yardstick: options out of range\n");
    return 2;
  }
  ndb_init();
  Ndb_cluster_connection c(args[1]);
  if (c.connect(15, 1, 0) || c.wait_until_ready(15, 0) < 0) {
    fprintf(stderr, "yardstick: connect: %s\n", c.get_latest_error_msg());
    return 1;
  }
  std::vector<Worker *> workers;
  for (int i = 0; i < o.threads; i++) workers.push_back(new Worker(c, args[2], o, i));
  const Clock::time_point began = Clock::now(), end = began + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(o.seconds));
  std::vector<std::thread> threads;
  for (Worker *w : workers) threads.emplace_back([=] { w->run(end); });
  for (std::thread &t : threads) t.join();
  const double lasted = std::chrono::duration<double>(Clock::now() - began).count();
  long done = 0;
  std::vector<double> took;
  for (Worker *w : workers) {
    done += w->done;
    took.insert(took.end(), w->took.begin(), w->took.end());
    delete w;
  }
  std::sort(took.begin(), took.end());
  printf("%ld %.6f %.1f\n", done, lasted, took.empty() ? 0 : took[took.size() / 2]);
  return 0;
}
