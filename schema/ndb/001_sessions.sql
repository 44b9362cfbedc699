-- Sessions, the overflow of large payloads, and leases, on MySQL NDB Cluster.
--
-- Times are Unix milliseconds by the clock of the sessiond that wrote them, if nothing else is said. Keys are
-- SHA-256 hashes: whoever reads these tables can take over no session.
--
-- READ_BACKUP=0 lets the first replica of a row answer all reads: others have a change a little later or earlier, so that whoever
-- reads while another writes would see a version and then the one before it. A hash key without an ordered index beside it saves memory and work.
-- Every UPDATE of a row makes a new entry in each ordered index of its table, whatever columns it names, and the wider the
-- index the dearer: hence one narrow index on session, and subjects in a table of their own.
-- One row of NDB holds at most 30,000 bytes, hence the size of payload and data; 750 bytes are left for columns to come.

CREATE TABLE IF NOT EXISTS session (
  id       BINARY(32)        NOT NULL,            -- SHA-256 of namespace, NUL, session id
  state    TINYINT UNSIGNED  NOT NULL,            -- 1 session, 2 alias of a regenerated one, 3 tombstone
  ver      BIGINT UNSIGNED   NOT NULL,            -- version; a tombstone keeps the version of what it buries
  stamp    BIGINT UNSIGNED   NOT NULL,            -- random, by the write that made this version: tells whose it was
  created  BIGINT            NOT NULL,
  expires  BIGINT            NOT NULL,            -- session: not found from then on; alias: end of its grace; tombstone: its end
  deadline BIGINT            NOT NULL,            -- session: absolute time-out, 0 for none; alias: end of the tombstone it becomes
  due      INT UNSIGNED      NOT NULL,            -- Unix minutes: from then on nobody can see it and GC may take it
  chunks   SMALLINT UNSIGNED NOT NULL,            -- rows in chunk that hold the rest of the payload
  target   VARBINARY(32)     NOT NULL,            -- alias: id of the session it leads to
  ns       VARBINARY(64)     NOT NULL,            -- session: namespace that it was created in, may be empty
  subject  VARBINARY(32)     NOT NULL,            -- session: SHA-256 of namespace and user; empty if nobody said whose it is
  enc      TINYINT UNSIGNED  NOT NULL,            -- session: encoding of the payload, 0 plain, 1 zstd
  payload  VARBINARY(29000)  NOT NULL,            -- session: the first 29,000 bytes
  PRIMARY KEY (id) USING HASH,
  KEY due (due)
) ENGINE=NDBCLUSTER DEFAULT CHARSET=binary COMMENT='NDB_TABLE=READ_BACKUP=0';

-- The rest of large payloads, on the same data node as their session. A reader takes the chunks of exactly the version
-- that it read in session; a writer replaces row and chunks in one transaction.
CREATE TABLE IF NOT EXISTS chunk (
  id   BINARY(32)        NOT NULL,
  ver  BIGINT UNSIGNED   NOT NULL,
  seq  SMALLINT UNSIGNED NOT NULL,                -- 0, 1, … session.chunks-1
  data VARBINARY(29000)  NOT NULL,
  PRIMARY KEY (id, ver, seq) USING HASH
) ENGINE=NDBCLUSTER DEFAULT CHARSET=binary COMMENT='NDB_TABLE=READ_BACKUP=0'
PARTITION BY KEY (id);

-- The sessions of each subject: a row for each session that names one in its column subject, live or remains.
CREATE TABLE IF NOT EXISTS subject (
  subject BINARY(32) NOT NULL,
  id      BINARY(32) NOT NULL,
  PRIMARY KEY (subject, id)
) ENGINE=NDBCLUSTER DEFAULT CHARSET=binary COMMENT='NDB_TABLE=READ_BACKUP=0'
PARTITION BY KEY (subject);

-- The latest lease of each key. It outlives its end for a while, see due.
CREATE TABLE IF NOT EXISTS lease (
  id    BINARY(32)      NOT NULL,
  token BIGINT UNSIGNED NOT NULL,                 -- fencing token, grows with every lease of this key
  stamp BIGINT UNSIGNED NOT NULL,                 -- random, by the lock that took it
  owner BIGINT UNSIGNED NOT NULL,                 -- mark of whoever took it, 0 for none
  ends  BIGINT          NOT NULL,                 -- 0 once it was released
  due   INT UNSIGNED    NOT NULL,                 -- Unix minutes: from then on GC may take it
  PRIMARY KEY (id) USING HASH,
  KEY due (due)
) ENGINE=NDBCLUSTER DEFAULT CHARSET=binary COMMENT='NDB_TABLE=READ_BACKUP=0';
