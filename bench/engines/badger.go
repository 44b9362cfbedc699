package main

import "github.com/dgraph-io/badger/v4"

type badgerEngine struct{ db *badger.DB }

func openBadger(dir string, cacheBytes int64) (engine, error) {
	o := badger.DefaultOptions(dir).WithSyncWrites(true).WithBlockCacheSize(cacheBytes).WithLogger(nil).
		WithMetricsEnabled(false).WithNumVersionsToKeep(1).WithDetectConflicts(false)
	db, err := badger.Open(o)
	if err != nil {
		return nil, err
	}
	return &badgerEngine{db}, nil
}

func (e *badgerEngine) get(buf, key []byte) ([]byte, error) {
	err := e.db.View(func(tx *badger.Txn) error {
		item, err := tx.Get(key)
		if err != nil {
			return err
		}
		return item.Value(func(v []byte) error {
			buf = append(buf, v...)
			return nil
		})
	})
	return buf, err
}

func (e *badgerEngine) commit(changes []change) error {
	return e.db.Update(func(tx *badger.Txn) error {
		for _, c := range changes {
			var err error
			if c.value == nil {
				err = tx.Delete(c.key)
			} else {
				err = tx.Set(c.key, c.value)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (e *badgerEngine) close() error { return e.db.Close() }
