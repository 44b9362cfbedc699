//go:build ndbapi

#include "shim.h"

#include <NdbApi.hpp>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <optional>

namespace {

constexpr int codeWords = 96;  // more than the longest of our programs has

struct column {
  const char *name;
  unsigned offset;
};

#define AT(row, field) {#field, offsetof(row, field)}
const column sessionColumns[] = {
    AT(lv_session, id),      AT(lv_session, ver),      AT(lv_session, stamp), AT(lv_session, created),
    AT(lv_session, expires), AT(lv_session, deadline), AT(lv_session, due),   AT(lv_session, chunks),
    AT(lv_session, state),   AT(lv_session, enc),      AT(lv_session, target), AT(lv_session, subject),
    AT(lv_session, ns),      {"payload", offsetof(lv_session, size)}};
const column chunkColumns[] = {AT(lv_chunk, id), AT(lv_chunk, ver), AT(lv_chunk, seq), {"data", offsetof(lv_chunk, size)}};
const column subjectColumns[] = {AT(lv_subject, subject), AT(lv_subject, id)};
const column leaseColumns[] = {AT(lv_lease, id),    AT(lv_lease, token), AT(lv_lease, stamp),
                               AT(lv_lease, owner), AT(lv_lease, ends),  AT(lv_lease, due)};
const column versionColumns[] = {AT(lv_version, version), AT(lv_version, engine), AT(lv_version, store)};
const column dueOfSession[] = {AT(lv_session, due)};
const column dueOfLease[] = {AT(lv_lease, due)};

struct description {
  const char *name;
  const column *columns;
  int count;
  unsigned size;
  const char *index;
  const column *keys;
  int keyCount;
};

#define COUNT(a) int(sizeof(a) / sizeof(a[0]))
const description descriptions[LV_TABLES] = {
    {"session", sessionColumns, COUNT(sessionColumns), sizeof(lv_session), "due", dueOfSession, 1},
    {"chunk", chunkColumns, COUNT(chunkColumns), sizeof(lv_chunk), nullptr, nullptr, 0},
    {"subject", subjectColumns, COUNT(subjectColumns), sizeof(lv_subject), "PRIMARY", subjectColumns, 2},
    {"lease", leaseColumns, COUNT(leaseColumns), sizeof(lv_lease), "due", dueOfLease, 1},
    {"schema_version", versionColumns, COUNT(versionColumns), sizeof(lv_version), nullptr, nullptr, 0},
};

// table is what a worker knows of a table.
struct table {
  const NdbDictionary::Table *of = nullptr;
  NdbRecord *rows = nullptr;
  NdbRecord *keys = nullptr;  // of the index
};

// mask is a set of a table's columns.
struct mask {
  unsigned char bits[4] = {};
  void add(const NdbDictionary::Table *t, const char *name) {
    int n = t->getColumn(name)->getColumnNo();
    bits[n >> 3] |= 1 << (n & 7);
  }
};

void note(lv_error *to, const NdbError &e, const char *what) {
  to->code = e.code;
  to->status = e.status;
  snprintf(to->text, sizeof to->text, "%s: NDB error %d: %s", what, e.code, e.message ? e.message : "");
}

void note(lv_error *to, int code, NdbError::Status status, const char *text) {
  to->code = code;
  to->status = status;
  snprintf(to->text, sizeof to->text, "%s", text);
}

// program is an interpreted program with room for its words.
struct program {
  Uint32 words[codeWords];
  std::optional<NdbInterpretedCode> code;
  NdbDictionary::Table const *of;

  NdbInterpretedCode &begin(const NdbDictionary::Table *t) {
    of = t;
    code.emplace(t, words, codeWords);
    return *code;
  }
  Uint32 attribute(const char *name) const { return of->getColumn(name)->getColumnNo(); }
};

}  // namespace

struct lv_cluster {
  Ndb_cluster_connection *connection;
};

struct lv_worker {
  lv_cluster *cluster;
  Ndb *ndb = nullptr;
  table tables[LV_TABLES];
  mask heads, written, touched, buried, claimed, ended, leased;
  lv_op *ops = nullptr;
  program *programs = nullptr;  // two for each operation
  NdbTransaction *transactions[LV_SLOTS] = {};
  int pending = 0;

  // Of a transaction under way.
  NdbTransaction *transaction = nullptr;
  NdbScanOperation *scan = nullptr;
  int scanned = 0;  // table
  unsigned rowSize = 0;
  char bounds[256];
};

// What a callback needs to find its operation.
struct place {
  lv_worker *worker;
  int i;
};

extern "C" {

void lv_layout(lv_sizes *s) {
  *s = {sizeof(lv_op),         sizeof(lv_session),   sizeof(lv_chunk),      sizeof(lv_lease),           sizeof(lv_version),
        offsetof(lv_op, row), offsetof(lv_op, lock), offsetof(lv_op, code), offsetof(lv_session, payload), offsetof(lv_chunk, data)};
}

lv_cluster *lv_connect(const char *nodes, const char *name, int seconds, lv_error *error) {
  static std::once_flag once;
  std::call_once(once, [] { ndb_init(); });
  auto *connection = new Ndb_cluster_connection(nodes);
  connection->set_name(name);
  connection->set_timeout(seconds * 1000);
  if (connection->connect(0, 1, 0) != 0) {
    note(error, connection->get_latest_error(), NdbError::TemporaryError, connection->get_latest_error_msg());
    delete connection;
    return nullptr;
  }
  if (connection->wait_until_ready(seconds, 1) < 0) {
    note(error, 4009, NdbError::TemporaryError, "no data node answers");
    delete connection;
    return nullptr;
  }
  return new lv_cluster{connection};
}

void lv_disconnect(lv_cluster *c) {
  delete c->connection;
  delete c;
}

}  // extern "C"

static bool openTable(lv_worker *w, int i, lv_error *error) {
  const description &d = descriptions[i];
  table &t = w->tables[i];
  NdbDictionary::Dictionary *dictionary = w->ndb->getDictionary();
  t.of = dictionary->getTable(d.name);
  if (!t.of) {
    note(error, dictionary->getNdbError(), d.name);
    return false;
  }
  auto specify = [&](const column *columns, int count, NdbDictionary::RecordSpecification *to) {
    for (int k = 0; k < count; k++) {
      to[k] = {};
      to[k].column = t.of->getColumn(columns[k].name);
      to[k].offset = columns[k].offset;
      if (!to[k].column) {
        note(error, 284, NdbError::PermanentError, "a table lacks a column of the schema");
        return false;
      }
    }
    return true;
  };
  NdbDictionary::RecordSpecification list[16];
  if (!specify(d.columns, d.count, list)) return false;
  t.rows = dictionary->createRecord(t.of, list, d.count, sizeof list[0]);
  if (!t.rows) {
    note(error, dictionary->getNdbError(), d.name);
    return false;
  }
  if (!d.index) return true;
  const NdbDictionary::Index *index = dictionary->getIndex(d.index, d.name);
  if (!index || !specify(d.keys, d.keyCount, list) ||
      !(t.keys = dictionary->createRecord(index, t.of, list, d.keyCount, sizeof list[0]))) {
    note(error, dictionary->getNdbError(), d.index);
    return false;
  }
  return true;
}

extern "C" {

lv_worker *lv_worker_new(lv_cluster *c, const char *database, lv_error *error) {
  auto *w = new lv_worker;
  w->cluster = c;
  w->ndb = new Ndb(c->connection, database, "def");
  if (w->ndb->init(2 * LV_SLOTS) != 0) {
    note(error, w->ndb->getNdbError(), "init");
    lv_worker_free(w, 0);
    return nullptr;
  }
  for (int i = 0; i < LV_TABLES; i++) {
    if (!openTable(w, i, error)) {
      lv_worker_free(w, 1);
      return nullptr;
    }
  }
  const NdbDictionary::Table *s = w->tables[LV_SESSION].of, *l = w->tables[LV_LEASE].of;
  for (const column &c : sessionColumns)
    if (strcmp(c.name, "payload") != 0) w->heads.add(s, c.name);
  for (const char *name : {"ver", "stamp", "enc", "expires", "due", "payload"}) w->written.add(s, name);
  for (const char *name : {"expires", "due"}) w->touched.add(s, name);
  for (const char *name : {"state", "created", "expires", "deadline", "due", "target", "ns", "enc", "payload"}) w->buried.add(s, name);
  w->claimed.add(l, "stamp");
  w->ended.add(l, "ends");
  for (const char *name : {"token", "stamp", "owner", "ends", "due"}) w->leased.add(l, name);
  w->ops = static_cast<lv_op *>(calloc(LV_SLOTS, sizeof(lv_op)));
  w->programs = new program[2 * LV_SLOTS];
  return w;
}

void lv_worker_free(lv_worker *w, int stale) {
  lv_rollback(w);
  NdbDictionary::Dictionary *dictionary = w->ndb->getDictionary();
  for (int i = 0; i < LV_TABLES; i++) {
    table &t = w->tables[i];
    if (t.keys) dictionary->releaseRecord(t.keys);
    if (t.rows) dictionary->releaseRecord(t.rows);
    if (t.of && stale) {
      if (descriptions[i].index) dictionary->invalidateIndex(descriptions[i].index, descriptions[i].name);
      dictionary->invalidateTable(descriptions[i].name);
    }
  }
  delete w->ndb;
  free(w->ops);
  delete[] w->programs;
  delete w;
}

lv_op *lv_ops(lv_worker *w) { return w->ops; }

void lv_describe(lv_worker *w, int code, lv_error *error) { note(error, w->ndb->getNdbError(code), "operation"); }

}  // extern "C"

static NdbTransaction *begin(lv_worker *w, const uint8_t *id) {
  char hash[512];
  Ndb::Key_part_ptr parts[2] = {{id, 32}, {nullptr, 0}};
  return w->ndb->startTransaction(w->tables[LV_SESSION].of, parts, hash, sizeof hash);
}

static void fail(lv_op *op, const NdbError &e) {
  op->code = e.code;
  op->status = e.status;
}

extern "C" void lv_read(lv_worker *w, int n, int what) {
  const bool leases = what == LV_READ_LEASES;
  const table &t = w->tables[leases ? LV_LEASE : LV_SESSION];
  const unsigned char *columns = what == LV_READ_HEADS ? w->heads.bits : nullptr;
  const NdbOperation *list[LV_SLOTS];
  NdbTransaction *tx = begin(w, leases ? w->ops[0].lock.id : w->ops[0].row.id);
  NdbError error = tx ? tx->getNdbError() : w->ndb->getNdbError();
  for (int i = 0; tx && i < n; i++) {
    lv_op *op = &w->ops[i];
    op->code = op->status = 0;
    char *row = leases ? reinterpret_cast<char *>(&op->lock) : reinterpret_cast<char *>(&op->row);
    list[i] = tx->readTuple(t.rows, row, t.rows, row, NdbOperation::LM_CommittedRead, columns);
    if (!list[i]) {
      error = tx->getNdbError();
      w->ndb->closeTransaction(tx);
      tx = nullptr;
    }
  }
  if (!tx) {
    for (int i = 0; i < n; i++) fail(&w->ops[i], error);
    return;
  }
  if (tx->execute(NdbTransaction::Commit, NdbOperation::AO_IgnoreError, 1) != 0 && tx->getNdbError().code != 626) {
    for (int i = 0; i < n; i++) fail(&w->ops[i], tx->getNdbError());
  } else {
    for (int i = 0; i < n; i++) fail(&w->ops[i], list[i]->getNdbError());
  }
  w->ndb->closeTransaction(tx);
}

// guard makes the program that lets an update pass.
static const NdbInterpretedCode *guard(program &p, const NdbDictionary::Table *t, const lv_op *op) {
  NdbInterpretedCode &c = p.begin(t);
  static const uint8_t live = 1;
  static const uint16_t none = 0;
  if (op->guards & (LV_IS_LIVE | LV_IS_SESSION)) c.branch_col_ne(&live, 1, p.attribute("state"), 0);
  if (op->guards & LV_IS_LIVE) {
    c.read_attr(1, p.attribute("expires"));
    c.load_const_u64(2, op->now);
    c.branch_le(1, 2, 0);
  }
  if (op->guards & LV_IS_VERSION) c.branch_col_ne(&op->version, 8, p.attribute("ver"), 0);
  if (op->guards & LV_IS_WHOLE) c.branch_col_ne(&none, 2, p.attribute("chunks"), 0);
  if (op->guards & LV_OF_SUBJECT) c.branch_col_ne(op->row.subject, 33, p.attribute("subject"), 0);
  if (op->guards & LV_AT_DEADLINE) c.branch_col_ne(&op->row.deadline, 8, p.attribute("deadline"), 0);
  if (op->guards & LV_IN_TIME) {
    c.read_attr(1, p.attribute("deadline"));
    c.load_const_u64(2, 0);
    c.branch_eq(1, 2, 1);
    c.load_const_u64(2, op->row.expires);
    c.branch_lt(1, 2, 0);
    c.def_label(1);
  }
  c.interpret_exit_ok();
  c.def_label(0);
  c.interpret_exit_nok(LV_REFUSED);
  return c.finalise() == 0 ? &c : nullptr;
}

// guardLease makes the program that lets an update of a lease pass.
static const NdbInterpretedCode *guardLease(program &p, const NdbDictionary::Table *t, const lv_op *op) {
  NdbInterpretedCode &c = p.begin(t);
  if (op->kind == LV_LEASE_TAKE) {
    c.read_attr(1, p.attribute("ends"));
    c.load_const_u64(2, op->now);
    c.branch_gt(1, 2, 0);
    c.read_attr(1, p.attribute("token"));
    c.load_const_u64(2, op->lock.token);
    c.branch_ge(1, 2, 0);
  } else {
    c.branch_col_ne(&op->token, 8, p.attribute("token"), 0);
  }
  if (op->kind == LV_UPDATE) {
    c.read_attr(1, p.attribute("ends"));
    c.load_const_u64(2, op->ends_after);
    c.branch_le(1, 2, 0);
  }
  c.interpret_exit_ok();
  c.def_label(0);
  c.interpret_exit_nok(LV_LEASE_REFUSED);
  return c.finalise() == 0 ? &c : nullptr;
}

static bool update(NdbTransaction *tx, const table &t, const void *row, const mask &set, const NdbInterpretedCode *code) {
  if (!code) return false;
  NdbOperation::OperationOptions options{};
  options.optionsPresent = NdbOperation::OperationOptions::OO_INTERPRETED;
  options.interpretedCode = code;
  const char *r = static_cast<const char *>(row);
  return tx->updateTuple(t.rows, r, t.rows, r, set.bits, &options, sizeof options) != nullptr;
}

// define adds what an operation does to its transaction.
static bool define(lv_worker *w, NdbTransaction *tx, int i) {
  const table &s = w->tables[LV_SESSION], &l = w->tables[LV_LEASE];
  lv_op *op = &w->ops[i];
  program *p = &w->programs[2 * i];
  const char *row = reinterpret_cast<const char *>(&op->row), *lock = reinterpret_cast<const char *>(&op->lock);
  switch (op->kind) {
    case LV_INSERT:
      return tx->insertTuple(s.rows, row, s.rows, row) != nullptr;
    case LV_LEASE_INSERT:
      return tx->insertTuple(l.rows, lock, l.rows, lock) != nullptr;
    case LV_LEASE_TAKE:
      return update(tx, l, lock, w->leased, guardLease(p[0], l.of, op));
    case LV_LEASE_END:
      return update(tx, l, lock, w->ended, guardLease(p[0], l.of, op));
  }
  const mask &set = op->set == LV_SET_WRITTEN ? w->written : op->set == LV_SET_TOUCHED ? w->touched : w->buried;
  if (!update(tx, s, row, set, guard(p[0], s.of, op))) return false;
  if (op->lease == LV_LEASE_LEFT) return true;
  return update(tx, l, lock, op->lease == LV_LEASE_HELD ? w->claimed : w->ended, guardLease(p[1], l.of, op));
}

static void finished(int, NdbTransaction *tx, void *at) {
  place *p = static_cast<place *>(at);
  fail(&p->worker->ops[p->i], tx->getNdbError());
  p->worker->pending--;
}

extern "C" void lv_change(lv_worker *w, int n) {
  place places[LV_SLOTS];
  for (int i = 0; i < n; i++) {
    lv_op *op = &w->ops[i];
    op->code = op->status = 0;
    bool leases = op->kind == LV_LEASE_INSERT || op->kind == LV_LEASE_TAKE || op->kind == LV_LEASE_END;
    NdbTransaction *tx = w->transactions[i] = begin(w, leases ? op->lock.id : op->row.id);
    if (!tx) {
      fail(op, w->ndb->getNdbError());
      continue;
    }
    if (!define(w, tx, i)) {
      fail(op, tx->getNdbError());
      if (op->code == 0) op->code = 4000;
      continue;
    }
    places[i] = {w, i};
    w->pending++;
    tx->executeAsynchPrepare(NdbTransaction::Commit, finished, &places[i], NdbOperation::AbortOnError);
  }
  while (w->pending > 0) w->ndb->sendPollNdb(3000, w->pending, 1);
  for (int i = 0; i < n; i++) {
    if (w->transactions[i]) w->ndb->closeTransaction(w->transactions[i]);
    w->transactions[i] = nullptr;
  }
}

static int failed(lv_error *error, const NdbError &e, const char *what) {
  note(error, e, what);
  if (error->code == 0) error->code = 4000;
  return error->code;
}

static char *rowOf(lv_worker *w, int table, int i) {
  return table == LV_LEASE ? reinterpret_cast<char *>(&w->ops[i].lock) : reinterpret_cast<char *>(&w->ops[i].row);
}

extern "C" {

int lv_begin(lv_worker *w, const uint8_t *id, lv_error *error) {
  w->transaction = begin(w, id);
  return w->transaction ? 0 : failed(error, w->ndb->getNdbError(), "begin");
}

int lv_get(lv_worker *w, int table, int i, int mode, int heads, lv_error *error) {
  const struct table &t = w->tables[table];
  char *row = rowOf(w, table, i);
  auto lock = mode == LV_EXCLUSIVE ? NdbOperation::LM_Exclusive : NdbOperation::LM_CommittedRead;
  const NdbOperation *op =
      w->transaction->readTuple(t.rows, row, t.rows, row, lock, heads && table == LV_SESSION ? w->heads.bits : nullptr);
  if (!op) return failed(error, w->transaction->getNdbError(), "read");
  // A read that finds no row goes on; what was staged before must not fail.
  int result = w->transaction->execute(NdbTransaction::NoCommit, NdbOperation::DefaultAbortOption, 1);
  if (result != 0 && w->transaction->getNdbError().code != 626) return failed(error, w->transaction->getNdbError(), "read");
  return op->getNdbError().code == 0 ? 0 : failed(error, op->getNdbError(), "read");
}

int lv_get_chunks(lv_worker *w, int n, lv_error *error) {
  const table &t = w->tables[LV_CHUNK];
  const NdbOperation *list[LV_SLOTS];
  for (int i = 1; i <= n && i < LV_SLOTS; i++) {
    auto *row = reinterpret_cast<lv_chunk *>(rowOf(w, LV_CHUNK, i));
    memcpy(row->id, w->ops[0].row.id, sizeof row->id);
    row->ver = w->ops[0].row.ver;
    row->seq = uint16_t(i - 1);
    char *r = reinterpret_cast<char *>(row);
    list[i] = w->transaction->readTuple(t.rows, r, t.rows, r, NdbOperation::LM_CommittedRead);
    if (!list[i]) return failed(error, w->transaction->getNdbError(), "read");
  }
  int result = w->transaction->execute(NdbTransaction::NoCommit, NdbOperation::DefaultAbortOption, 1);
  if (result != 0 && w->transaction->getNdbError().code != 626) return failed(error, w->transaction->getNdbError(), "read");
  for (int i = 1; i <= n && i < LV_SLOTS; i++) {
    if (list[i]->getNdbError().code != 0) return failed(error, list[i]->getNdbError(), "read");
  }
  return 0;
}

int lv_put(lv_worker *w, int table, int i, int what, lv_error *error) {
  const NdbRecord *rows = w->tables[table].rows;
  const char *row = rowOf(w, table, i);
  const NdbOperation *op = what == LV_PUT_INSERT   ? w->transaction->insertTuple(rows, row, rows, row)
                           : what == LV_PUT_UPDATE ? w->transaction->updateTuple(rows, row, rows, row)
                                                   : w->transaction->deleteTuple(rows, row, rows);
  return op ? 0 : failed(error, w->transaction->getNdbError(), "change");
}

int lv_commit(lv_worker *w, lv_error *error) {
  int code = 0;
  if (w->transaction->execute(NdbTransaction::Commit, NdbOperation::AbortOnError, 1) != 0)
    code = failed(error, w->transaction->getNdbError(), "transaction");
  w->ndb->closeTransaction(w->transaction);
  w->transaction = nullptr;
  return code;
}

void lv_rollback(lv_worker *w) {
  if (!w->transaction) return;
  w->ndb->closeTransaction(w->transaction);  // what is not committed is taken back
  w->transaction = nullptr;
  w->scan = nullptr;
}

int lv_scan(lv_worker *w, int table, int flags, lv_error *error) {
  const struct table &t = w->tables[table];
  const description &d = descriptions[table];
  w->scanned = table;
  w->rowSize = d.size;
  w->transaction = w->ndb->startTransaction();
  if (!w->transaction) return failed(error, w->ndb->getNdbError(), "scan");
  const unsigned char *columns = (flags & LV_HEADS) && table == LV_SESSION ? w->heads.bits : nullptr;
  NdbScanOperation::ScanOptions options{};
  if (flags & LV_ORDERED) {
    options.optionsPresent = NdbScanOperation::ScanOptions::SO_SCANFLAGS;
    options.scan_flags = NdbScanOperation::SF_OrderBy;
  }
  if (flags & LV_WHOLE_TABLE) {
    w->scan = w->transaction->scanTable(t.rows, NdbOperation::LM_CommittedRead, columns, &options, sizeof options);
  } else {
    Uint32 count = flags & LV_ONE_COLUMN ? 1 : d.keyCount;
    NdbIndexScanOperation::IndexBound bound{};
    bound.low_inclusive = flags & LV_LOW_INCLUSIVE;
    bound.high_inclusive = flags & LV_HIGH_INCLUSIVE;
    if (flags & LV_LOW) bound.low_key = rowOf(w, table, 1), bound.low_key_count = d.keyCount;
    if (flags & LV_HIGH) bound.high_key = rowOf(w, table, 2), bound.high_key_count = count;
    w->scan = w->transaction->scanIndex(t.keys, t.rows, NdbOperation::LM_CommittedRead, columns, &bound, &options, sizeof options);
  }
  if (!w->scan || w->transaction->execute(NdbTransaction::NoCommit, NdbOperation::AbortOnError, 1) != 0) {
    int code = failed(error, w->transaction->getNdbError(), "scan");
    lv_rollback(w);
    return code;
  }
  return 0;
}

int lv_next(lv_worker *w, lv_error *error) {
  int result = w->scan->nextResultCopyOut(rowOf(w, w->scanned, 0), true, true);
  if (result >= 0) return result == 0 ? 0 : 1;
  failed(error, w->scan->getNdbError().code ? w->scan->getNdbError() : w->transaction->getNdbError(), "scan");
  return -1;
}

void lv_scan_end(lv_worker *w) {
  if (w->scan) w->scan->close(true, true);
  w->scan = nullptr;
  lv_rollback(w);
}

}  // extern "C"
