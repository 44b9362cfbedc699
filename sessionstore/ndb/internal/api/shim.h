// The flat C interface to MySQL's NDB API, as far as the store needs it. Package api describes the same structures in Go;
// lv_layout tells whether both agree. All numbers are in the machine's order, little endian, as NDB has them too.
#ifndef LVSESSION_NDB_SHIM_H
#define LVSESSION_NDB_SHIM_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  LV_SLOTS = 64,           // operations in a batch
  LV_PAYLOAD = 29000,      // bytes of a payload or a chunk in one row
  LV_REFUSED = 6000,       // code of an operation whose row is not as its guards expect it
  LV_LEASE_REFUSED = 6001, // the same of the lease
};

// Rows, as the columns of schema/ndb. Before the bytes of a VARBINARY stands their number.
typedef struct {
  uint8_t id[32];
  uint64_t ver, stamp;
  int64_t created, expires, deadline;
  uint32_t due;
  uint16_t chunks;
  uint8_t state, enc;
  uint8_t target[1 + 32];
  uint8_t subject[1 + 32];
  uint8_t ns[1 + 64];
  uint16_t size;  // of payload
  uint8_t payload[LV_PAYLOAD];
} lv_session;

typedef struct {
  uint8_t id[32];
  uint64_t ver;
  uint16_t seq, size;  // of data
  uint8_t data[LV_PAYLOAD];
} lv_chunk;

typedef struct {
  uint8_t subject[32], id[32];
} lv_subject;

typedef struct {
  uint8_t id[32];
  uint64_t token, stamp, owner;
  int64_t ends;
  uint32_t due;
} lv_lease;

typedef struct {
  uint32_t version;
  uint8_t engine[1 + 16];
  uint8_t store[16];
} lv_version;

enum { LV_SESSION, LV_CHUNK, LV_SUBJECT, LV_LEASE, LV_VERSION, LV_TABLES };

// What an operation of a batch does. Each is a transaction of its own.
enum {
  LV_INSERT = 1,       // session
  LV_UPDATE,           // session, as its guards and columns say, and lease, as its lease says
  LV_LEASE_INSERT,     //
  LV_LEASE_TAKE,       // replace a lease that ended by now and has a smaller token
  LV_LEASE_END,        // end the lease with the token
};

// Guards of LV_UPDATE.
enum {
  LV_IS_LIVE = 1,       // state 1, expires > now
  LV_IS_VERSION = 2,    // ver = version
  LV_IS_WHOLE = 4,      // chunks = 0
  LV_IN_TIME = 8,       // no deadline, or none before the row's new expires
  LV_OF_SUBJECT = 16,   // subject as in the row
  LV_IS_SESSION = 32,   // state 1
  LV_AT_DEADLINE = 64,  // deadline as in the row
};

// Columns that LV_UPDATE sets.
enum {
  LV_SET_WRITTEN = 1,  // ver, stamp, enc, expires, due, payload
  LV_SET_TOUCHED,      // expires, due
  LV_SET_BURIED,       // all but id, ver, stamp, chunks, subject
};

// What LV_UPDATE does to the lease with the token, which must not have ended before ends_after.
enum {
  LV_LEASE_LEFT = 0,
  LV_LEASE_HELD,  // sets the stamp, which locks the row
  LV_LEASE_ENDS,  // sets ends
};

typedef struct {
  uint8_t kind, set, lease, unused;
  uint32_t guards;
  uint64_t version;
  int64_t now;
  uint64_t token;
  int64_t ends_after;
  int32_t code, status;  // of the outcome: 0, or the number of the NDB error and its status
  lv_lease lock;
  lv_session row;
} lv_op;

// Sizes and offsets that Go checks.
typedef struct {
  uint64_t op, session, chunk, lease, version, row, lock, code, payload, data;
} lv_sizes;
void lv_layout(lv_sizes *);

typedef struct {
  int32_t code, status;
  char text[240];
} lv_error;

typedef struct lv_cluster lv_cluster;
typedef struct lv_worker lv_worker;

// lv_connect connects to a management node and waits until a data node answers, or returns null and says why.
lv_cluster *lv_connect(const char *nodes, const char *name, int seconds, lv_error *);
void lv_disconnect(lv_cluster *);

// A worker belongs to one thread at a time.
lv_worker *lv_worker_new(lv_cluster *, const char *database, lv_error *);
void lv_worker_free(lv_worker *, int stale);  // stale: what is known of the tables may be outdated
lv_op *lv_ops(lv_worker *);
void lv_describe(lv_worker *, int code, lv_error *);

// lv_read reads the rows of the first n operations' ids, committed, in one round trip: rows of session, with their payloads
// or without, or those of lease, by the ids of the locks.
enum { LV_READ_ROWS, LV_READ_HEADS, LV_READ_LEASES };
void lv_read(lv_worker *, int n, int what);
// lv_change runs the first n operations, side by side.
void lv_change(lv_worker *, int n);

// A transaction of a worker; the functions return NDB's error code, or 0. Rows are those of operation i: its row, its lock,
// or, for a chunk and a subject, what lies in place of its row. NDB keeps no pointer to a row that is staged.
int lv_begin(lv_worker *, const uint8_t *id, lv_error *);
enum { LV_COMMITTED, LV_EXCLUSIVE };
int lv_get(lv_worker *, int table, int i, int mode, int heads, lv_error *);
// lv_get_chunks reads n chunks to operations 1 to n, of the id and version of operation 0.
int lv_get_chunks(lv_worker *, int n, lv_error *);
enum { LV_PUT_INSERT, LV_PUT_UPDATE, LV_PUT_DELETE };
// lv_put stages a change; it is made no later than by lv_commit, whose error may be its.
int lv_put(lv_worker *, int table, int i, int what, lv_error *);
int lv_commit(lv_worker *, lv_error *);
void lv_rollback(lv_worker *);

// A scan gives row after row to operation 0, committed. By an index its bounds are in operations 1 and 2.
enum { LV_LOW = 1, LV_LOW_INCLUSIVE = 2, LV_HIGH = 4, LV_HIGH_INCLUSIVE = 8, LV_ORDERED = 16, LV_HEADS = 32, LV_WHOLE_TABLE = 64, LV_ONE_COLUMN = 128 };
int lv_scan(lv_worker *, int table, int flags, lv_error *);
int lv_next(lv_worker *, lv_error *);  // 0: a row; 1: no more; -1: an error
void lv_scan_end(lv_worker *);

#ifdef __cplusplus
}
#endif
#endif
