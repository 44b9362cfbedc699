-- What is installed: one row for each version applied, and row 0, which names the store and is locked while a version is
-- applied. Two SQL nodes that show different names lead to different stores.
CREATE TABLE IF NOT EXISTS schema_version (
  version INT UNSIGNED  NOT NULL,
  applied BIGINT        NOT NULL,                 -- Unix milliseconds
  engine  VARBINARY(16) NOT NULL,
  store   BINARY(16)    NOT NULL,
  PRIMARY KEY (version) USING HASH
) ENGINE=NDBCLUSTER DEFAULT CHARSET=binary COMMENT='NDB_TABLE=READ_BACKUP=1';
